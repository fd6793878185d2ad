"""A candidate: the champion's own network, trained on, exported and quantized to a bundle.

Threshold and linear model stay the champion's, and so do the temperatures but that of spam
(`trainer.sharpness`); the gate compares the two as they would serve.
"""

from __future__ import annotations

import platform
import shutil
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from transformers.utils import logging as transformers_logging

from filterd.mail.render import RENDERER_VERSION
from filterd.model.bundle import LINEAR, MODEL, TOKENIZER, WEIGHTS, Bundle, Task
from filterd.model.encoder import Encoder, record_golden
from filterd.model.linear import load_linear
from filterd.model.manifest import SPAM_TASK
from filterd.model.runtime import open_tokenizer
from filterd.pipeline import RENDERED_CHARACTERS
from trainer import export
from trainer.dataset import digest
from trainer.finetune import Recipe, Trainer
from trainer.gate import compare_graphs
from trainer.golden import golden_texts
from trainer.golden_losses import golden_losses
from trainer.interpolation import Way, farthest
from trainer.network import add_task, load_half, load_network, save_half
from trainer.publish import FULL, join, sample_ids, score, threshold_of, write_bundle
from trainer.scoring import predict, score_with
from trainer.sharpness import NO_AIM, Aim, temperature_for

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray
    from tokenizers import Tokenizer

    from filterd.model.linear import LinearModel
    from trainer.checkpoint import Position
    from trainer.dataset import Example
    from trainer.network import MultiTaskBert
    from trainer.observer import Observer
    from trainer.publish import Logits

CANDIDATE = "candidate"  # the bundle's folder, in the work folder


@dataclass(frozen=True, slots=True)
class Order:
    """What to make: from which champion, in which work folder, how. `new_tasks`: task -> labels.

    `aim` is mail that says how far the night goes, and that the temperature of spam is set by.
    """

    champion: Bundle
    work: Path
    recipe: Recipe
    version: str
    new_tasks: Mapping[str, tuple[str, ...]]
    aim: Aim = NO_AIM


def train(order: Order, examples: Sequence[Example], observer: Observer) -> Position:
    """Fine-tune the champion's weights; goes on from the work folder's last checkpoint.

    The champion itself is the teacher wherever no label is known. Raises FilterdError, and what
    torch raises when memory runs out.
    """
    transformers_logging.set_verbosity_error()
    torch.manual_seed(order.recipe.seed)
    weights = order.champion.path / WEIGHTS
    network = load_half(weights)
    for task, labels in order.new_tasks.items():
        add_task(network, task, labels)
    teacher = load_half(weights)
    teacher.requires_grad_(requires_grad=False)
    tokenizer_file = order.work / TOKENIZER
    shutil.copyfile(order.champion.path / TOKENIZER, tokenizer_file)
    tokenizer = open_tokenizer(tokenizer_file, order.recipe.max_tokens)
    trainer = Trainer(network, tokenizer, order.recipe, order.work, teacher)
    return trainer.run(
        [each for each in examples if each.split == "train"],
        [each for each in examples if each.split == "validation"],
        observer.step,
    )


def make_bundle(
    order: Order,
    examples: Sequence[Example],
    judged: Sequence[Example],
    provenance: Mapping[str, Any],
    observer: Observer,
) -> Bundle:
    """Export, quantize and write the candidate's bundle into the work folder.

    `judged` are the texts on which int8 is compared with full precision. Raises TrainingError,
    BundleError.
    """
    champion, work = order.champion, order.work
    learnt = load_network(work / "best", attention="eager")
    names: dict[str, list[str]] = learnt.config.tasks
    full, int8 = work / FULL, work / MODEL
    tokenizer = open_tokenizer(work / TOKENIZER, order.recipe.max_tokens)
    linear = _take_linear(champion, work)
    line = _line_of(order, observer)
    way = _on_the_way(order, learnt, tokenizer, linear, line.first)
    network = way.network
    difference = export.export(network, full)
    observer.stage("quantizing")
    export.quantize(full, int8, list(names), sample_ids(tokenizer, examples, order.recipe.seed))
    save_half(network, work / WEIGHTS)
    tasks = _tasks(champion, names)

    def logits_of(graph: Path, texts: Sequence[Example], what: str) -> Logits:
        logits = score(graph, tokenizer, texts, names, what, observer)
        return logits if linear is None else join(logits, linear, texts)

    if order.aim.golden:
        recent = logits_of(int8, order.aim.recent, "recent mail")[SPAM_TASK]
        golden = logits_of(int8, order.aim.golden, "golden set")[SPAM_TASK]
        before = champion.task(SPAM_TASK).temperature
        temperature = temperature_for(order.aim, recent, golden, line.flagged, before)
        tasks = tuple(
            replace(task, temperature=temperature) if task.name == SPAM_TASK else task
            for task in tasks
        )
    pairs = []
    for graph, what in ((full, "fp32"), (int8, "int8")):
        pairs.append(logits_of(graph, judged, what))
    metrics = {
        "quantization": {
            **compare_graphs(
                names, pairs[0], pairs[1], judged, threshold_of(tasks), everywhere=True
            ),
            "torch_difference": difference,
            "bytes": {"fp32": full.stat().st_size, "int8": int8.stat().st_size},
        },
        "provenance": {
            **provenance,
            "recipe": asdict(order.recipe),
            "started_from": {"version": champion.version, "data_digest": champion.data_digest},
            "share_of_the_way": way.share,
            "golden": {
                "set": digest(order.aim.golden),
                "threshold": order.aim.threshold,
                "losses": dict(way.losses),
                "first": dict(way.first),
                "caught": line.caught,
            },
            "machine": platform.machine(),
            "cpu": torch.backends.cpu.get_cpu_capability(),
            "torch": torch.__version__,
        },
    }
    bundle = Bundle(
        path=work,
        version=order.version,
        tasks=tasks,
        renderer_version=RENDERER_VERSION,
        max_tokens=order.recipe.max_tokens,
        base_model=champion.base_model,
        base_licence=champion.base_licence,
        data_digest=f"sha256:{digest(examples)}",
        metrics=metrics,
        golden=(),
        files={},
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        linear=champion.linear,
    )
    texts = golden_texts(RENDERED_CHARACTERS)
    scores = record_golden(Encoder(bundle), texts)
    return write_bundle(work / CANDIDATE, replace(bundle, golden=scores))


def _take_linear(champion: Bundle, work: Path) -> LinearModel | None:
    """The champion's linear model, copied into the work folder; None if it has none."""
    if champion.linear is None:
        return None
    shutil.copyfile(champion.path / LINEAR, work / LINEAR)
    return load_linear(work / LINEAR, bias=champion.linear.bias, share=champion.linear.share)


@dataclass(frozen=True, slots=True, eq=False)
class _Line:
    """What the champion flags of the golden set, and what the bundle that nights began with made
    of it: losses by task, of which there may be none, and the share of spam caught.
    """

    flagged: NDArray[np.bool_]
    first: Mapping[str, float]
    caught: float


def _line_of(order: Order, observer: Observer) -> _Line:
    aim = order.aim
    scores = score_with(Encoder(order.champion), aim.golden, observer, "golden set, champion")
    flagged = scores[SPAM_TASK][:, -1] >= aim.threshold
    is_spam = np.array([each.labels.get(SPAM_TASK) == "spam" for each in aim.golden], dtype=bool)
    caught = float(flagged[is_spam].mean()) if is_spam.any() else 0.0
    known = order.champion.metrics.get("provenance", {}).get("golden", {})
    # Another release may come with another golden set, and what was made of that says nothing.
    if known.get("set") != digest(aim.golden):
        return _Line(flagged, {}, caught)
    if known.get("threshold") == aim.threshold:
        caught = float(known["caught"])
    return _Line(flagged, known["first"], caught)


def _on_the_way(
    order: Order,
    learnt: MultiTaskBert,
    tokenizer: Tokenizer,
    linear: LinearModel | None,
    first: Mapping[str, float],
) -> Way:
    """The network to make a bundle of (`trainer.interpolation`)."""
    golden, tasks = order.aim.golden, order.champion.tasks

    def judge(network: MultiTaskBert) -> dict[str, float]:
        logits: Logits = predict(network, tokenizer, golden)
        if linear is not None:
            logits = join(logits, linear, golden)
        return golden_losses(logits, golden, {task.name: task.labels for task in tasks})

    return farthest(load_half(order.champion.path / WEIGHTS), learnt, judge, first)


def _tasks(champion: Bundle, names: Mapping[str, Sequence[str]]) -> tuple[Task, ...]:
    """The champion's tasks as they are, and new ones uncalibrated."""
    known = {task.name: task for task in champion.tasks}
    return tuple(known.get(name) or Task(name, tuple(labels)) for name, labels in names.items())
