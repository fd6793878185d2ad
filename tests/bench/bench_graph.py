"""Our graph beside optimum's, in fp32 and int8, over the weights of a bundle.

Usage: python tests/bench/bench_graph.py [BUNDLE]    (the shipped bundle if none is named)

Median CPU milliseconds of one text on one thread, all graphs turn about; how far the logits are
from those of fp32 on golden mails, and how many verdicts stay. Our int8 learns from half of the
golden mails, all are judged on the other half.
"""

from __future__ import annotations

import dataclasses
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from optimum.onnxruntime import ORTQuantizer
from optimum.onnxruntime.configuration import AutoQuantizationConfig

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from filterd.model.bundle import MODEL, SHIPPED, WEIGHTS, verify
from filterd.model.encoder import Encoder
from filterd.pipeline import SPAM_TASK, read
from trainer import export
from trainer.network import load_half

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from filterd.model.bundle import Bundle

GOLDEN = Path(__file__).resolve().parents[1] / "data" / "golden"
LENGTHS = (64, 128, 256)
ROUNDS = 30


def make_graphs(bundle: Bundle, work: Path, ids: Sequence[Sequence[int]]) -> dict[str, Path]:
    """Each graph by its name; the first is the one to compare with."""
    network = load_half(bundle.path / WEIGHTS)
    network.set_attn_implementation("eager")
    network.eval()
    ours, theirs, packed = work / "ours.onnx", work / "theirs.onnx", work / "packed.onnx"
    export.export(network, ours)
    export.export_with_optimum(network, theirs)
    export.quantize(ours, packed, list(network.config.tasks), ids)
    settings = AutoQuantizationConfig.avx512_vnni(is_static=False, per_channel=True)
    with export.quiet():
        ORTQuantizer(theirs).quantize(settings, save_dir=work, file_suffix="int8")
    return {
        "fp32 optimum": theirs,
        "fp32 ours": ours,
        "int8 optimum": work / "theirs_int8.onnx",
        "int8 ours": packed,
        "the bundle's": bundle.path / MODEL,
    }


def judge(encoder: Encoder, texts: Sequence[str]) -> tuple[NDArray[np.float64], list[bool]]:
    """Logits of all tasks [texts, labels], and whether each text is spam."""
    tasks = [task.name for task in encoder.bundle.tasks]
    ids = [encoder._tokenize(text) for text in texts]
    logits = [
        np.concatenate(list(found.values()))
        for found in export.predict(encoder._session, ids, tasks)
    ]
    limit = encoder.bundle.threshold(SPAM_TASK)
    return np.array(logits), [each.tasks[SPAM_TASK][-1] >= limit for each in encoder.encode(texts)]


def milliseconds(encoders: Sequence[Encoder], tokens: int) -> NDArray[np.float64]:
    """The median of each."""
    ids = np.random.default_rng(0).integers(1000, 20000, tokens).tolist()
    times = np.empty((ROUNDS, len(encoders)))
    for turn in range(-2, ROUNDS):
        for place, encoder in enumerate(encoders):
            started = time.process_time()
            encoder._compute(ids)
            if turn >= 0:
                times[turn, place] = time.process_time() - started
    return 1000 * np.median(times, axis=0)


def main() -> None:
    bundle = verify(Path(sys.argv[1]) if len(sys.argv) > 1 else SHIPPED)
    texts = [read(each.read_bytes()).text for each in sorted(GOLDEN.rglob("*.eml"))]
    tokenizer = Encoder(bundle)
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        graphs = make_graphs(bundle, work, [tokenizer._tokenize(text) for text in texts[1::2]])
        encoders = []
        for number, graph in enumerate(graphs.values()):
            folder = work / str(number)
            shutil.copytree(bundle.path, folder)
            shutil.copyfile(graph, folder / MODEL)
            encoders.append(Encoder(dataclasses.replace(bundle, path=folder), previous=tokenizer))
    costs = {tokens: milliseconds(encoders, tokens) for tokens in LENGTHS}
    found = [judge(encoder, texts[::2]) for encoder in encoders]
    print(f"{'CPU ms at tokens':16}", *(f"{each:6}" for each in LENGTHS), "  logits off: most mean")
    for place, (graph, (logits, spam)) in enumerate(zip(graphs, found, strict=True)):
        off = np.abs(logits - found[0][0])
        same = np.mean(np.equal(spam, found[0][1]))
        ms = " ".join(f"{costs[tokens][place]:6.1f}" for tokens in LENGTHS)
        print(f"{graph:16} {ms} {off.max():18.4f} {off.mean():.4f}, same verdicts {same:.2%}")


if __name__ == "__main__":
    main()
