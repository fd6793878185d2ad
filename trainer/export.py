"""The trained network as ONNX: our own graph, proven equal to torch's and to optimum's, then int8.

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
from optimum.utils import NormalizedTextConfig

from filterd.model.runtime import open_session
from trainer.errors import TrainingError
from trainer.graph import IDS, build_graph
from trainer.int8 import quantize_graph
from trainer.network import EMBEDDING, MultiTaskBert

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    import onnxruntime
    from numpy.typing import NDArray

OPTIMUM_OPSET = 17  # the first with LayerNormalization as one node
EQUAL = 1e-5


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
        return {IDS: axes, "attention_mask": axes}

    @property
    def outputs(self) -> dict[str, dict[int, str]]:
        """Dynamic axes of the outputs, in the order of the network's."""
        return {name: {0: "batch"} for name in (*self._config.tasks, EMBEDDING)}


def export(network: MultiTaskBert, file: Path) -> float:
    """Write the network as fp32 ONNX; returns its largest difference from torch and from optimum.

    `network` must use eager attention. Raises TrainingError if they differ by more than 1e-5.
    """
    network = network.eval().cpu().float()
    onnx.save(build_graph(network), str(file))
    other = file.with_name(f"{file.stem}_optimum.onnx")
    export_with_optimum(network, other)
    generator = torch.Generator().manual_seed(0)
    shape = (2, network.config.max_position_embeddings)
    ids = torch.randint(0, network.config.vocab_size, shape, generator=generator)
    with torch.no_grad():
        wanted = [each.numpy() for each in network(ids, torch.ones_like(ids)).values()]
    ours, theirs = (_run(open_session(each), ids.numpy()) for each in (file, other))
    other.unlink()
    worst = max(
        float(np.abs(values - each).max())
        for values, *pair in zip(ours, wanted, theirs, strict=True)
        for each in pair
    )
    if worst > EQUAL:
        raise TrainingError(f"the exported graph is off by {worst:.2g}, {EQUAL} is allowed")
    return worst


def export_with_optimum(network: MultiTaskBert, file: Path) -> None:
    """Write the network as optimum does it, by tracing: the second opinion on our graph.

    As fast in fp32; in int8 a fifth slower (tests/bench/bench_graph.py).
    """
    with quiet():
        export_onnx(network, MultiTaskOnnxConfig(network.config), file, opset=OPTIMUM_OPSET)


def quantize(
    source: Path, target: Path, heads: Sequence[str], ids: Sequence[Sequence[int]]
) -> None:
    """Write `source`, a graph of ours, with int8 weights (`trainer.int8`); `heads` stay fp32.

    `ids` are the token ids of texts to learn the size of activations from.
    """
    onnx.save(quantize_graph(onnx.load(str(source)), target, ids, heads), str(target))


def predict(
    session: onnxruntime.InferenceSession, ids: Sequence[Sequence[int]], tasks: Sequence[str]
) -> Iterator[Mapping[str, NDArray[np.float64]]]:
    """Logits [labels] per task of each text, one at a time: int8 scales depend on the batch."""
    for row in ids:
        found = _run(session, np.array([row], dtype=np.int64), tasks)
        yield {
            task: logits[0].astype(np.float64) for task, logits in zip(tasks, found, strict=True)
        }


def measure(file: Path, tokens: int, vocabulary: int, runs: int = 30) -> Timing:
    """Time one text of `tokens` tokens on one thread; two runs to warm up, then the median."""
    session = open_session(file)
    ids = np.random.default_rng(0).integers(0, vocabulary, (1, tokens), dtype=np.int64)
    times = []
    for _ in range(runs + 2):
        started = time.perf_counter()
        _run(session, ids)
        times.append(time.perf_counter() - started)
    return Timing(tokens, round(float(np.median(times[2:])) * 1000, 2))


def _run(
    session: onnxruntime.InferenceSession,
    ids: NDArray[np.int64],
    outputs: Sequence[str] | None = None,
) -> list[NDArray[np.float32]]:
    """The outputs for texts of one length; older bundles and optimum want a mask of ones."""
    feed = {
        found.name: ids if found.name == IDS else np.ones_like(ids)
        for found in session.get_inputs()
    }
    results: list[NDArray[np.float32]] = session.run(outputs, feed)
    return results


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
