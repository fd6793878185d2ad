"""The trained network as the ONNX graph that serves: BERT written node by node.

Against what a tracing exporter makes of it, queries, keys and values are one product, attention
is one node (which scales by 1/sqrt(d) on the way), the position table holds the token type too,
and there is no mask, for every text is run alone. What may not happen here: a graph that computes
something else than the network (`trainer.export` compares them).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from trainer.errors import TrainingError
from trainer.network import EMBEDDING

if TYPE_CHECKING:
    from collections.abc import Sequence

    import onnx
    from numpy.typing import NDArray

    from trainer.network import MultiTaskBert

OPSET = 20  # the first with Gelu as one node
IR_VERSION = 10  # old enough for ONNX Runtime 1.23
ORT = "com.microsoft"  # ONNX Runtime's own operations
IDS = "input_ids"
WORDS = "words"


def build_graph(network: MultiTaskBert) -> onnx.ModelProto:
    """The network as fp32 ONNX: "input_ids", int64 [batch, tokens], to logits and "embedding".

    Texts of one run are of one length: there is no padding. Raises TrainingError for a BERT that
    is not built as usual.
    """
    config = network.config
    kind = (config.hidden_act, config.position_embedding_type)
    if kind != ("gelu", "absolute"):
        raise TrainingError(f"a BERT with {kind[0]} and {kind[1]} positions cannot be exported")
    bert = _Bert(network)
    hidden = bert.embed()
    for number in range(config.num_hidden_layers):
        hidden = bert.layer(hidden, number)
    bert.read_out(hidden)
    widths = {task: len(labels) for task, labels in config.tasks.items()}
    return bert.model(
        [helper.make_tensor_value_info(IDS, TensorProto.INT64, ["batch", "tokens"])],
        [
            helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", width])
            for name, width in {**widths, EMBEDDING: config.hidden_size}.items()
        ],
    )


class Nodes:
    """A graph in the making: nodes in the order in which they are added, and constants.

    A node goes by the name of its result.
    """

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: dict[str, NDArray[Any]] = {}

    def constant(self, name: str, values: NDArray[Any]) -> str:
        """Add a constant; its name."""
        self.constants[name] = values
        return name

    def node(self, operation: str, inputs: Sequence[str], name: str, **attributes: Any) -> str:
        """Add a node; its name."""
        self.nodes.append(helper.make_node(operation, inputs, [name], name, **attributes))
        return name

    def linear(
        self, source: str, weight: NDArray[np.float32], bias: NDArray[np.float32], name: str
    ) -> str:
        """Add the product of a result with weights [inputs, outputs], and a bias; its name."""
        weights = self.constant(f"{name}/weight", weight)
        product = self.node("MatMul", [source, weights], f"{name}/product")
        return self.node("Add", [product, self.constant(f"{name}/bias", bias)], name)

    def model(
        self, inputs: Sequence[onnx.ValueInfoProto], outputs: Sequence[onnx.ValueInfoProto]
    ) -> onnx.ModelProto:
        """All of it, less the constants that nothing reads."""
        read = {name for node in self.nodes for name in node.input}
        constants = [
            numpy_helper.from_array(np.ascontiguousarray(values), name)
            for name, values in self.constants.items()
            if name in read
        ]
        graph = helper.make_graph(self.nodes, "bert", inputs, outputs, constants)
        opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid(ORT, 1)]
        return helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION)


class _Bert(Nodes):
    """The parts of BERT; each method gives its result's name.

    Activations are float32 [batch, tokens, channels].
    """

    def __init__(self, network: MultiTaskBert) -> None:
        super().__init__()
        self._config = network.config
        self._weights = {
            name.removeprefix("bert."): tensor.detach().cpu().float().numpy()
            for name, tensor in network.state_dict().items()
        }
        self._zero = self.constant("zero", np.array([0]))
        self._one = self.constant("one", np.array([1]))

    def embed(self) -> str:
        """What the first layer reads."""
        words, places, types = (
            self._weights[f"embeddings.{name}_embeddings.weight"]
            for name in ("word", "position", "token_type")
        )
        word = self.node("Gather", [self.constant(WORDS, words), IDS], "word")
        tokens = self.node("Shape", [IDS], "tokens", start=1, end=2)
        table = self.constant("positions", places + types[0])
        place = self.node("Slice", [table, self._zero, tokens, self._zero], "position")
        return self._norm(word, place, "embeddings.LayerNorm", "embedded")

    def layer(self, hidden: str, number: int) -> str:
        """A whole layer; of the last one [CLS] alone, for nothing else is read."""
        weights, name = f"encoder.layer.{number}", f"layer.{number}"
        query, key, value = (
            f"{weights}.attention.self.{part}" for part in ("query", "key", "value")
        )
        if number == self._config.num_hidden_layers - 1:
            merged = self._merged(hidden, [key, value], f"{name}/key_value")
            parts = self._split(merged, [f"{name}/key", f"{name}/value"])
            hidden = self.node("Slice", [hidden, self._zero, self._one, self._one], f"{name}/cls")
            parts.insert(0, self._merged(hidden, [query], f"{name}/query"))
        else:
            merged = self._merged(hidden, [query, key, value], f"{name}/query_key_value")
            parts = self._split(merged, [f"{name}/query", f"{name}/key", f"{name}/value"])
        heads = self._config.num_attention_heads
        context = self.node(
            "MultiHeadAttention", parts, f"{name}/context", domain=ORT, num_heads=heads
        )
        attended = self._merged(context, [f"{weights}.attention.output.dense"], f"{name}/attended")
        hidden = self._norm(
            attended, hidden, f"{weights}.attention.output.LayerNorm", f"{name}/middle"
        )
        inner = self._merged(hidden, [f"{weights}.intermediate.dense"], f"{name}/inner")
        gelu = self.node("Gelu", [inner], f"{name}/gelu")
        outer = self._merged(gelu, [f"{weights}.output.dense"], f"{name}/outer")
        return self._norm(outer, hidden, f"{weights}.output.LayerNorm", f"{name}/out")

    def read_out(self, hidden: str) -> None:
        """The logits of each task, and "embedding"."""
        pooled = self.node("Squeeze", [hidden, self._one], EMBEDDING)
        for task in self._config.tasks:
            self._merged(pooled, [f"heads.{task}"], task)

    def _merged(self, source: str, weights: Sequence[str], name: str) -> str:
        """One product for the linear layers of these names, side by side."""
        weight = np.concatenate([self._weights[f"{each}.weight"].T for each in weights], axis=1)
        bias = np.concatenate([self._weights[f"{each}.bias"] for each in weights])
        return self.linear(source, weight, bias, name)

    def _norm(self, new: str, old: str, weights: str, name: str) -> str:
        total = self.node("Add", [new, old], f"{name}/sum")
        scale = self.constant(f"{name}/scale", self._weights[f"{weights}.weight"])
        shift = self.constant(f"{name}/shift", self._weights[f"{weights}.bias"])
        return self.node(
            "LayerNormalization",
            [total, scale, shift],
            name,
            axis=-1,
            epsilon=self._config.layer_norm_eps,
        )

    def _split(self, whole: str, names: list[str]) -> list[str]:
        """The last axis in equal parts."""
        self.nodes.append(
            helper.make_node("Split", [whole], names, axis=-1, num_outputs=len(names))
        )
        return names
