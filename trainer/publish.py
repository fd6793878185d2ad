"""A trained network to a bundle: exported, quantized, joined by the linear model, calibrated.

What may not happen here: a bundle whose int8 graph decides otherwise than the network did.
"""

from __future__ import annotations

import json
import platform
import random
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from filterd.mail.render import RENDERER_VERSION
from filterd.model.bundle import LINEAR, MODEL, TOKENIZER, WEIGHTS, Bundle, Linear, Task, write
from filterd.model.encoder import Encoder, record_golden, softmax
from filterd.model.linear import save_linear
from filterd.model.runtime import open_session, open_tokenizer
from filterd.pipeline import RENDERED_CHARACTERS
from trainer import export
from trainer.corpora import SPAM
from trainer.dataset import choose, digest
from trainer.evaluate import choose_threshold, fit_temperature, labels_of, score_tasks
from trainer.gate import compare_graphs, refuse_unless_equal
from trainer.golden import golden_texts
from trainer.linear import fit_linear, margins
from trainer.network import load_network, save_half

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray
    from tokenizers import Tokenizer

    from filterd.model.linear import LinearModel
    from trainer.dataset import Example
    from trainer.observer import Observer
    from trainer.pretrained import BaseModel

    Logits = Mapping[str, NDArray[np.float64]]

FULL = "model_fp32.onnx"
CALIBRATION_TEXTS = 200
# What the linear model's margin counts for beside the BERT's. By `filterd-trainer crossval`: see
# docs/measurements.md.
SHARE = 1.5


@dataclass(frozen=True, slots=True)
class Draft:
    """What a bundle is made of: the work folder that holds the network, and what goes with it.

    `provenance` is kept in the bundle's metrics as it is.
    """

    work: Path
    out: Path
    version: str
    base: BaseModel
    max_tokens: int
    seed: int
    provenance: Mapping[str, Any]


def publish(draft: Draft, examples: Sequence[Example], observer: Observer) -> Bundle:
    """Export the best checkpoint, quantize, measure both, calibrate, and write the bundle.

    Raises TrainingError when int8 decides otherwise than fp32.
    """
    observer.stage("exporting")
    network = load_network(draft.work / "best", attention="eager")
    names: dict[str, list[str]] = network.config.tasks
    full, int8 = draft.work / FULL, draft.work / MODEL
    difference = export.export(network, full)
    observer.stage("quantizing")
    tokenizer = open_tokenizer(draft.work / TOKENIZER, draft.max_tokens)
    export.quantize(full, int8, list(names), sample_ids(tokenizer, examples, draft.seed))
    save_half(network, draft.work / WEIGHTS)
    observer.stage("linear model")
    linear = fit_linear(choose(examples, SPAM, "train"), SHARE)
    save_linear(linear, draft.work / LINEAR)

    observer.stage("judging what was held out")
    held = [each for each in examples if each.split == "validation"]
    test = [each for each in examples if each.split == "test"]

    def judged(graph: Path, texts: Sequence[Example], what: str) -> Logits:
        return join(score(graph, tokenizer, texts, names, what, observer), linear, texts)

    before = judged(full, held, "validation, fp32")
    after = judged(int8, held, "validation, int8")
    tasks = calibrate(names, after, held)
    comparison = compare_graphs(names, before, after, held, threshold_of(tasks))
    sizes = {
        "fp32": export.measure(full, draft.max_tokens, network.config.vocab_size),
        "int8": export.measure(int8, draft.max_tokens, network.config.vocab_size),
    }
    metrics = {
        "validation": score_tasks(names, after, held, threshold_of(tasks)),
        "test": score_tasks(names, judged(int8, test, "test, int8"), test),
        "quantization": {
            **comparison,
            "torch_difference": difference,
            "bytes": {"fp32": full.stat().st_size, "int8": int8.stat().st_size},
            "ms": {name: timing.ms for name, timing in sizes.items()},
            "tokens": draft.max_tokens,
        },
        "provenance": {
            **draft.provenance,
            "machine": platform.machine(),
            "cpu": torch.backends.cpu.get_cpu_capability(),
            "torch": torch.__version__,
        },
    }
    (draft.work / "metrics.json").write_text(json.dumps(metrics, indent=2), encoding="utf-8")
    refuse_unless_equal(comparison)
    observer.stage("publishing")
    bundle = Bundle(
        path=draft.work,
        version=draft.version,
        tasks=tasks,
        renderer_version=RENDERER_VERSION,
        max_tokens=draft.max_tokens,
        base_model=draft.base.name,
        base_licence=draft.base.licence,
        data_digest=f"sha256:{digest(examples)}",
        metrics=metrics,
        golden=(),
        files={},
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        linear=Linear(bias=linear.bias, share=linear.share),
    )
    texts = golden_texts(RENDERED_CHARACTERS)
    return write_bundle(draft.out, replace(bundle, golden=record_golden(Encoder(bundle), texts)))


def write_bundle(out: Path, bundle: Bundle) -> Bundle:
    """Write a bundle whose files lie in the work folder `bundle.path`. Raises BundleError."""
    return write(
        out,
        model=bundle.path / MODEL,
        tokenizer=bundle.path / TOKENIZER,
        weights=bundle.path / WEIGHTS,
        version=bundle.version,
        tasks=bundle.tasks,
        renderer_version=bundle.renderer_version,
        max_tokens=bundle.max_tokens,
        base_model=bundle.base_model,
        base_licence=bundle.base_licence,
        data_digest=bundle.data_digest,
        metrics=bundle.metrics,
        golden=bundle.golden,
        created=bundle.created,
        linear=None if bundle.linear is None else (bundle.path / LINEAR, bundle.linear),
    )


def sample_ids(tokenizer: Tokenizer, examples: Sequence[Example], seed: int) -> list[list[int]]:
    """Token ids of some training texts, the same ones for the same seed."""
    texts = [each.texts[0] for each in examples if each.split == "train"]
    chosen = random.Random(seed).sample(texts, min(CALIBRATION_TEXTS, len(texts)))  # noqa: S311 - no secret
    return [found.ids for found in tokenizer.encode_batch(chosen)]


def join(logits: Logits, linear: LinearModel, examples: Sequence[Example]) -> Logits:
    """Logits as the encoder joins them: the linear model's share added to those of spam."""
    spam = logits[SPAM].copy()
    spam[:, -1] += linear.share * margins(linear, [each.texts[0] for each in examples])
    return {**logits, SPAM: spam}


def score(
    file: Path,
    tokenizer: Tokenizer,
    examples: Sequence[Example],
    names: Mapping[str, Sequence[str]],
    what: str,
    observer: Observer,
) -> Logits:
    """Logits [examples, labels] per task that a graph gives the plain readings."""
    session = open_session(file)
    ids = [each.ids for each in tokenizer.encode_batch([each.texts[0] for each in examples])]
    found: dict[str, list[NDArray[np.float64]]] = {task: [] for task in names}
    for number, logits in enumerate(export.predict(session, ids, list(names))):
        observer.progress(what, number + 1, len(ids))
        for task, row in logits.items():
            found[task].append(row)
    return {
        task: np.array(rows).reshape(len(ids), len(names[task])) for task, rows in found.items()
    }


def calibrate(
    names: Mapping[str, Sequence[str]], logits: Logits, held: Sequence[Example]
) -> tuple[Task, ...]:
    """Tasks with the temperature, and for spam the threshold, that fit the held-out examples."""
    tasks = []
    for name, labels in names.items():
        rows, wanted = labels_of(held, name, labels)
        temperature = fit_temperature(logits[name][rows], wanted)
        threshold = None
        if name == SPAM:
            probabilities = softmax(logits[name][rows] / temperature)[:, -1]
            threshold = choose_threshold(probabilities, wanted == len(labels) - 1)
        tasks.append(Task(name, tuple(labels), temperature, threshold))
    return tuple(tasks)


def threshold_of(tasks: Sequence[Task]) -> tuple[float, float]:
    """Temperature and threshold of the spam task."""
    return next((t.temperature, t.threshold or 0.5) for t in tasks if t.name == SPAM)
