"""Corpora to a published bundle: each stage leaves its result in the work folder, so that the
same command, given again after a kill, goes on where it stopped.
"""

from __future__ import annotations

import json
import platform
import random
import shutil
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import torch
from transformers.utils import logging as transformers_logging

from filterd.mail.render import RENDERER_VERSION
from filterd.model.bundle import MODEL, TOKENIZER, WEIGHTS, Bundle, Task, write
from filterd.model.encoder import (
    CHARACTERS_PER_TOKEN,
    Encoder,
    record_golden,
    softmax,
)
from filterd.model.runtime import open_session, open_tokenizer
from trainer import export
from trainer.corpora import SPAM
from trainer.dataset import (
    TASKS,
    Example,
    Plan,
    digest,
    load_examples,
    read_examples,
    save_examples,
    tally,
)
from trainer.errors import BaseModelError, TrainingError
from trainer.evaluate import choose_threshold, fit_temperature, labels_of, score_tasks
from trainer.finetune import Recipe, Step, Trainer
from trainer.gate import compare_graphs, refuse_unless_equal
from trainer.golden import golden_texts
from trainer.network import load_network, save_half, start_from
from trainer.pretrained import BaseModel, find_base

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray
    from tokenizers import Tokenizer

    from trainer.checkpoint import Position

    Logits = Mapping[str, NDArray[np.float64]]

FULL = "model_fp32.onnx"
CALIBRATION_TEXTS = 200


class Observer(Protocol):
    """Told how a run goes on; nothing it does changes the outcome."""

    def stage(self, name: str) -> None:
        """A new stage begins."""

    def progress(self, name: str, done: int, total: int) -> None:
        """`done` of `total` of something with a name."""

    def step(self, step: Step) -> None:
        """A training step is done."""

    def data(self, counts: Mapping[tuple[str, str, str], int]) -> None:
        """How many examples there are, by corpus, label and split."""


@dataclass(frozen=True, slots=True)
class Order:
    """What was asked for: where from, where to, and how. `out` must not exist yet."""

    corpora: Path
    out: Path
    work: Path
    base: str
    recipe: Recipe
    plan: Plan
    version: str
    threads: int


def bootstrap(order: Order, observer: Observer) -> Bundle:
    """Read, train, export, quantize, calibrate and publish. Raises FilterdError."""
    if order.out.exists():
        raise TrainingError(f"{order.out}: already there; a bundle is never overwritten")
    transformers_logging.set_verbosity_error()
    torch.set_num_threads(order.threads)
    order.work.mkdir(parents=True, exist_ok=True)
    observer.stage("base weights")
    base = find_base(order.base)
    claim(order)
    examples = gather(order, observer)
    observer.data(tally(examples))
    trained = train(order, base, examples, observer)
    return publish(
        order,
        base,
        examples,
        observer,
        {"training": trained.best, "seconds": round(trained.seconds)},
    )


def claim(order: Order) -> None:
    """Bind the work folder to these settings; TrainingError if it holds another run's."""
    settings = json.loads(
        json.dumps(
            {
                "base": order.base,
                "corpora": str(order.corpora.resolve()),
                "plan": asdict(order.plan),
                "recipe": asdict(order.recipe),
            }
        )
    )
    file = order.work / "run.json"
    if not file.exists():
        file.write_text(json.dumps(settings, indent=2), encoding="utf-8")
    elif json.loads(file.read_text(encoding="utf-8")) != settings:
        raise TrainingError(
            f"{order.work}: holds a run with other settings; name another --work or remove it"
        )


def gather(order: Order, observer: Observer) -> list[Example]:
    """The examples of the work folder, read from the corpora the first time."""
    file = order.work / "examples.jsonl"
    if not file.exists():
        observer.stage("reading corpora")
        save_examples(file, read_examples(order.corpora, order.plan, observer.progress))
    return load_examples(file)


def train(
    order: Order, base: BaseModel, examples: Sequence[Example], observer: Observer
) -> Position:
    """Fine-tune from the last checkpoint, if any; how it went, and the best epoch's metrics."""
    observer.stage("fine-tuning")
    torch.manual_seed(order.recipe.seed)
    network = start_from(base, TASKS)
    positions = int(network.config.max_position_embeddings)
    if order.recipe.max_tokens > positions:
        raise BaseModelError(f"{base.name}: reads {positions} tokens at most; lower --max-tokens")
    tokenizer_file = order.work / TOKENIZER
    shutil.copyfile(base.tokenizer, tokenizer_file)
    tokenizer = open_tokenizer(tokenizer_file, order.recipe.max_tokens)
    trainer = Trainer(network, tokenizer, order.recipe, order.work)
    return trainer.run(
        [each for each in examples if each.split == "train"],
        [each for each in examples if each.split == "validation"],
        observer.step,
    )


def publish(
    order: Order,
    base: BaseModel,
    examples: Sequence[Example],
    observer: Observer,
    provenance: Mapping[str, Any],
) -> Bundle:
    """Export the best checkpoint, quantize, measure both, calibrate, and write the bundle.

    Raises TrainingError when int8 decides otherwise than fp32.
    """
    observer.stage("exporting")
    network = load_network(order.work / "best", attention="eager")
    names: dict[str, list[str]] = network.config.tasks
    full, int8 = order.work / FULL, order.work / MODEL
    difference = export.export(network, full)
    observer.stage("quantizing")
    tokenizer = open_tokenizer(order.work / TOKENIZER, order.recipe.max_tokens)
    export.quantize(full, int8, list(names), sample_ids(tokenizer, examples, order.recipe.seed))
    save_half(network, order.work / WEIGHTS)

    held = [each for each in examples if each.split == "validation"]
    test = [each for each in examples if each.split == "test"]
    before = score(full, tokenizer, held, names, "validation, fp32", observer)
    after = score(int8, tokenizer, held, names, "validation, int8", observer)
    tasks = calibrate(names, after, held)
    comparison = compare_graphs(names, before, after, held, threshold_of(tasks))
    sizes = {
        "fp32": export.measure(full, order.recipe.max_tokens, network.config.vocab_size),
        "int8": export.measure(int8, order.recipe.max_tokens, network.config.vocab_size),
    }
    metrics = {
        "validation": score_tasks(names, after, held, threshold_of(tasks)),
        "test": score_tasks(
            names, score(int8, tokenizer, test, names, "test, int8", observer), test
        ),
        "quantization": {
            **comparison,
            "torch_difference": difference,
            "bytes": {"fp32": full.stat().st_size, "int8": int8.stat().st_size},
            "ms": {name: timing.ms for name, timing in sizes.items()},
            "tokens": order.recipe.max_tokens,
        },
        "provenance": {
            **provenance,
            "examples": {" ".join(key): count for key, count in sorted(tally(examples).items())},
            "recipe": asdict(order.recipe),
            "excluded": list(order.plan.exclude),
            "machine": platform.machine(),
            "cpu": torch.backends.cpu.get_cpu_capability(),
            "torch": torch.__version__,
        },
    }
    (order.work / "metrics.json").write_text(json.dumps(metrics, indent=2), encoding="utf-8")
    refuse_unless_equal(comparison)
    observer.stage("publishing")
    draft = Bundle(
        path=order.work,
        version=order.version,
        tasks=tasks,
        renderer_version=RENDERER_VERSION,
        max_tokens=order.recipe.max_tokens,
        base_model=base.name,
        base_licence=base.licence,
        data_digest=f"sha256:{digest(examples)}",
        metrics=metrics,
        golden=(),
        files={},
        created=datetime.now(UTC).isoformat(timespec="seconds"),
    )
    texts = golden_texts(order.recipe.max_tokens * CHARACTERS_PER_TOKEN)
    return _write(order.out, replace(draft, golden=record_golden(Encoder(draft), texts)))


def _write(out: Path, draft: Bundle) -> Bundle:
    return write(
        out,
        model=draft.path / MODEL,
        tokenizer=draft.path / TOKENIZER,
        weights=draft.path / WEIGHTS,
        version=draft.version,
        tasks=draft.tasks,
        renderer_version=draft.renderer_version,
        max_tokens=draft.max_tokens,
        base_model=draft.base_model,
        base_licence=draft.base_licence,
        data_digest=draft.data_digest,
        metrics=draft.metrics,
        golden=draft.golden,
        created=draft.created,
    )


def sample_ids(tokenizer: Tokenizer, examples: Sequence[Example], seed: int) -> list[list[int]]:
    """Token ids of some training texts, the same ones for the same seed."""
    texts = [each.texts[0] for each in examples if each.split == "train"]
    chosen = random.Random(seed).sample(texts, min(CALIBRATION_TEXTS, len(texts)))  # noqa: S311 - no secret
    return [found.ids for found in tokenizer.encode_batch(chosen)]


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
