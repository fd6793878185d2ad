"""A graph of `trainer.graph` with weights of int8, and activations scaled as they come.

Three things keep its scores near those of full precision:
- The inner channels of a layer that grow largest stay in fp32: a few are ten times the others at
  [CLS], and one scale for all would leave the others few of its 256 steps (after LLM.int8(),
  Dettmers 2022). Rounding what they add to moved logits by 0.086 with them, by 0.016 without.
- Elsewhere large channels are divided and their weights multiplied (SmoothQuant, Xiao 2023).
- Weights are rounded one input channel after another, each making good what those before it got
  wrong (GPTQ, Frantar 2023). So they can keep to +-64: processors without VNNI add products in
  pairs in 16 bits, which two of 64 x 255 just fit. int8 is exact and fast on all of them.
What may not happen here: rounding of attention or of the heads, which hold little to gain.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from filterd.model.runtime import open_session
from trainer.graph import IDS, ORT, WORDS, Nodes

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    Floats = NDArray[np.float32]
    Channels = NDArray[np.int64]

LARGEST = 64
KEPT = 16  # inner channels a layer; fewer are no faster
LARGE = 2.0  # times the usual channel's peak: what none may exceed,
UNEVEN = 3.0  # if one exceeds this
DAMPING = 0.001  # of the mean square of a channel


@dataclass(frozen=True, slots=True, eq=False)
class Inputs:
    """What a product was seen to read: peaks [channels], and sums of products of two channels."""

    peaks: Floats
    moments: Floats

    def only(self, channels: Channels) -> Inputs:
        """The same of some channels."""
        return Inputs(self.peaks[channels], self.moments[np.ix_(channels, channels)])


def quantize_graph(
    model: onnx.ModelProto, scratch: Path, ids: Sequence[Sequence[int]], keep: Collection[str]
) -> onnx.ModelProto:
    """`model` with packed weights, but for those of the products that give the outputs `keep`.

    `ids` are the token ids of texts such as it will read; `scratch` is a file to write over.
    """
    packed = _Int8(model, keep)
    packed.pack(observe(model, scratch, packed.sources(), ids))
    return packed.model(model.graph.input, model.graph.output)


def observe(
    model: onnx.ModelProto, scratch: Path, names: Sequence[str], ids: Sequence[Sequence[int]]
) -> dict[str, Inputs]:
    """What the named activations are over all tokens of some texts."""
    probed = onnx.ModelProto()
    probed.CopyFrom(model)
    for name in names:
        probed.graph.output.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, None))
    onnx.save(probed, str(scratch))
    session = open_session(scratch)
    peaks: dict[str, Floats] = {}
    moments: dict[str, Floats] = {}
    for row in ids:
        found = session.run(names, {IDS: np.array([row], dtype=np.int64)})
        for name, [values] in zip(names, found, strict=True):
            peak = np.abs(values).max(axis=0)
            peaks[name] = np.maximum(peaks.get(name, peak), peak)
            moments[name] = moments.get(name, 0) + values.T @ values
    return {name: Inputs(peaks[name], moments[name]) for name in names}


def parted(peaks: Floats) -> tuple[Channels, Channels]:
    """Numbers of the inner channels to keep in fp32, and of the rest."""
    order = np.argsort(-peaks)
    count = min(KEPT, len(order) // 4)
    return np.sort(order[:count]), np.sort(order[count:])


def divisors(peaks: Floats) -> Floats:
    """What to divide each channel by so that none stands out; all 1 if none does."""
    usual = max(float(np.median(peaks)), 1e-6)
    if peaks.max() <= UNEVEN * usual:
        return np.ones_like(peaks)
    large: Floats = np.maximum(peaks / np.float32(LARGE * usual), np.float32(1))
    return large


def round_weights(weight: Floats, moments: Floats) -> tuple[NDArray[np.int8], Floats]:
    """int8 [inputs, outputs] and a scale per output, for inputs of these moments."""
    scale = np.abs(weight).max(axis=0) / LARGEST
    scale[scale == 0] = 1
    order = np.argsort(-moments.diagonal())  # those that matter most have most left to follow
    squares = moments[np.ix_(order, order)].astype(np.float64)
    squares += (DAMPING * squares.diagonal().mean() + 1e-9) * np.eye(len(order))
    share = np.linalg.cholesky(np.linalg.inv(squares)).T.astype(np.float32)
    left = (weight / scale)[order]
    rounded = np.empty(weight.shape, dtype=np.int8)
    for row, channel in enumerate(order):
        nearest = np.clip(np.rint(left[row]), -LARGEST, LARGEST)
        rounded[channel] = nearest
        left[row + 1 :] -= np.outer(share[row, row + 1 :], (left[row] - nearest) / share[row, row])
    return rounded, scale


class _Int8(Nodes):
    """A graph written out anew. The bias of each product with a weight is added right after it."""

    def __init__(self, model: onnx.ModelProto, keep: Collection[str]) -> None:
        super().__init__()
        self.constants = {
            each.name: numpy_helper.to_array(each) for each in model.graph.initializer
        }
        self._old = list(model.graph.node)
        self._readers = {name: node for node in self._old for name in node.input}
        self._makers = {name: node for node in self._old for name in node.output}
        biased = {
            node.output[0]: self._readers[node.output[0]]
            for node in self._old
            if node.op_type == "MatMul" and node.input[1] in self.constants
        }
        self._biased = {name: node for name, node in biased.items() if node.output[0] not in keep}

    def sources(self) -> list[str]:
        """Names of what is read by the products to be packed."""
        return sorted({self._makers[name].input[0] for name in self._biased})

    def pack(self, inputs: Mapping[str, Inputs]) -> None:
        """Write all nodes, products and the table of words as int8."""
        for node in self._old:
            if node.output[0] in self._biased:
                self._pack_product(node, self._biased[node.output[0]], inputs)
            elif WORDS in node.input:
                self._pack_words(node.output[0])
            elif node.input[0] not in self._biased:
                self.nodes.append(node)

    def _pack_product(
        self, product: onnx.NodeProto, biased: onnx.NodeProto, inputs: Mapping[str, Inputs]
    ) -> None:
        source, name = product.input[0], biased.output[0]
        weight, bias = self.constants[product.input[1]], self.constants[biased.input[1]]
        reader = self._readers[name]
        if reader.op_type == "Gelu":
            kept, rest = parted(inputs[reader.output[0]].peaks)
            self._int8(source, weight[:, rest], bias[rest], inputs[source], name)
            self.linear(source, weight[:, kept], bias[kept], f"{name}/kept")
            self.node("Gelu", [f"{name}/kept"], f"{reader.output[0]}/kept")
        elif self._makers[source].op_type == "Gelu":
            kept, rest = parted(inputs[source].peaks)
            self._int8(source, weight[rest], bias, inputs[source].only(rest), f"{name}/rest")
            weights = self.constant(f"{name}/kept/weight", weight[kept])
            self.node("MatMul", [f"{source}/kept", weights], f"{name}/kept")
            self.node("Add", [f"{name}/rest", f"{name}/kept"], name)
        else:
            self._int8(source, weight, bias, inputs[source], name)

    def _int8(self, source: str, weight: Floats, bias: Floats, inputs: Inputs, name: str) -> None:
        large = divisors(inputs.peaks)
        if large.max() > 1:
            even = self.constant(f"{name}/even", 1 / large)
            source = self.node("Mul", [source, even], f"{name}/evened")
        rounded, scale = round_weights(
            weight * large[:, None], inputs.moments / np.outer(large, large)
        )
        packed = self.constant(f"{name}/int8", rounded)
        step = self.constant(f"{name}/step", scale)
        added = self.constant(f"{name}/bias", bias)
        self.node("DynamicQuantizeMatMul", [source, packed, step, "", added], name, domain=ORT)

    def _pack_words(self, name: str) -> None:
        """The table as int8 with a step per word; those of a text are unpacked."""
        table = self.constants[WORDS]
        step = np.abs(table).max(axis=1, keepdims=True) / 127
        step[step == 0] = 1
        packed = self.constant(f"{WORDS}/int8", np.rint(table / step).astype(np.int8))
        steps = self.constant(f"{WORDS}/step", step)
        self.node("Gather", [packed, IDS], f"{name}/int8")
        self.node("Cast", [f"{name}/int8"], f"{name}/wide", to=TensorProto.FLOAT)
        self.node("Gather", [steps, IDS], f"{name}/step")
        self.node("Mul", [f"{name}/wide", f"{name}/step"], name)
