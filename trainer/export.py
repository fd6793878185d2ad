"""The trained network as ONNX: exported by optimum, proven equal, then quantized to int8.

What may not happen here: a graph that decides otherwise than the network it was made from.
"""

from __future__ import annotations

import contextlib
import logging
import time
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import onnx
import torch
from optimum.exporters.onnx.config import TextEncoderOnnxConfig
from optimum.exporters.onnx.convert import export as export_onnx
from optimum.onnxruntime import ORTQuantizer
from optimum.onnxruntime.configuration import AutoQuantizationConfig
from optimum.utils import NormalizedTextConfig

from filterd.model.runtime import open_session
from trainer.errors import TrainingError
from trainer.network import EMBEDDING, MultiTaskBert
from trainer.outliers import split_outliers

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    import onnxruntime
    from numpy.typing import NDArray

OPSET = 17  # the first with LayerNormalization as one node
EQUAL = 1e-4


@dataclass(frozen=True, slots=True)
class Timing:
    """Milliseconds of one thread per text of `tokens` tokens, alone in its batch: the median."""

    tokens: int
    ms: float


class MultiTaskOnnxConfig(TextEncoderOnnxConfig):  # type: ignore[misc] # optimum has no types
    """What optimum has to know: no token types, an output per task, and the embedding."""

    NORMALIZED_CONFIG_CLASS = NormalizedTextConfig

    @property
    def inputs(self) -> dict[str, dict[int, str]]:
        """Dynamic axes of the inputs."""
        axes = {0: "batch", 1: "tokens"}
        return {"input_ids": axes, "attention_mask": axes}

    @property
    def outputs(self) -> dict[str, dict[int, str]]:
        """Dynamic axes of the outputs, in the order of the network's."""
        return {name: {0: "batch"} for name in (*self._config.tasks, EMBEDDING)}


def export(network: MultiTaskBert, file: Path) -> float:
    """Write the network as fp32 ONNX; returns its largest difference from torch.

    `network` must use eager attention. Raises TrainingError if they differ by more than 1e-4.
    """
    network = network.eval().cpu().float()
    with quiet():
        export_onnx(network, MultiTaskOnnxConfig(network.config), file, opset=OPSET)
    generator = torch.Generator().manual_seed(0)
    tokens = min(48, network.config.max_position_embeddings)
    ids = torch.randint(0, network.config.vocab_size, (3, tokens), generator=generator)
    mask = torch.ones_like(ids)
    mask[1, tokens // 2 :] = 0
    with torch.no_grad():
        expected = network(ids, mask)
    session = open_session(file)
    found = session.run(None, {"input_ids": ids.numpy(), "attention_mask": mask.numpy()})
    names = [output.name for output in session.get_outputs()]
    worst = max(
        float(np.abs(values - expected[name].numpy()).max())
        for name, values in zip(names, found, strict=True)
    )
    if worst > EQUAL:
        raise TrainingError(f"the exported graph is off by {worst:.2g}, {EQUAL} is allowed")
    return worst


def quantize(
    source: Path, target: Path, heads: Sequence[str], ids: Sequence[Sequence[int]]
) -> None:
    """Write `source` with int8 weights, one scale per channel, activations scaled as they come.

    `ids` are the token ids of texts to find outlier channels with (`trainer.outliers`). Weights
    use all 8 bits; processors without VNNI then need the session option that
    `filterd.model.runtime` sets, or their sums overflow. Attention products and heads stay fp32:
    they hold no weights worth packing, and rounding them costs accuracy.
    """
    config = AutoQuantizationConfig.avx512_vnni(is_static=False, per_channel=True)
    split = source.with_name(f"{source.stem}_split.onnx")
    config.nodes_to_exclude = nodes_without_weights(source, heads)
    config.nodes_to_exclude += split_outliers(source, split, ids, config.nodes_to_exclude)
    with quiet():
        quantizer = ORTQuantizer(split)
        quantizer.quantize(config, save_dir=target.parent, file_suffix="int8")
    split.with_name(f"{split.stem}_int8.onnx").rename(target)
    split.unlink()


def nodes_without_weights(file: Path, heads: Sequence[str]) -> list[str]:
    """Names of the nodes to leave in fp32: products of two activations, and the heads."""
    graph = onnx.load(str(file), load_external_data=False).graph
    constants = {each.name for each in graph.initializer}
    constants |= {each.output[0] for each in graph.node if each.op_type == "Constant"}
    return [
        node.name
        for node in graph.node
        if (node.op_type == "MatMul" and constants.isdisjoint(node.input))
        or (node.op_type in {"Gemm", "MatMul"} and not set(heads).isdisjoint(node.output))
    ]


def predict(
    session: onnxruntime.InferenceSession, ids: Sequence[Sequence[int]], tasks: Sequence[str]
) -> Iterator[Mapping[str, NDArray[np.float64]]]:
    """Logits [labels] per task of each text, one at a time: int8 scales depend on the batch."""
    for row in ids:
        tokens = np.array([row], dtype=np.int64)
        feed = {"input_ids": tokens, "attention_mask": np.ones_like(tokens)}
        found = session.run(list(tasks), feed)
        yield {
            task: logits[0].astype(np.float64) for task, logits in zip(tasks, found, strict=True)
        }


def measure(file: Path, tokens: int, vocabulary: int, runs: int = 30) -> Timing:
    """Time one text of `tokens` tokens on one thread; two runs to warm up, then the median."""
    session = open_session(file)
    ids = np.random.default_rng(0).integers(0, vocabulary, (1, tokens), dtype=np.int64)
    feed = {"input_ids": ids, "attention_mask": np.ones_like(ids)}
    times = []
    for _ in range(runs + 2):
        started = time.perf_counter()
        session.run(None, feed)
        times.append(time.perf_counter() - started)
    return Timing(tokens, round(float(np.median(times[2:])) * 1000, 2))


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Without the exporters' notes, which speak to their own developers."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
