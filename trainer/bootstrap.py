"""Corpora to a trained network to a published bundle: each stage leaves its result in the work
folder, so that the same command, given again after a kill, goes on where it stopped.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import torch
from transformers.utils import logging as transformers_logging

from filterd.model.bundle import TOKENIZER, WEIGHTS, Bundle, verify
from filterd.model.runtime import open_tokenizer
from trainer.compute import join_processes
from trainer.dataset import (
    TASKS,
    Example,
    Plan,
    load_examples,
    read_examples,
    save_examples,
    tally,
)
from trainer.distil import load_teacher
from trainer.errors import BaseModelError, TrainingError
from trainer.finetune import Recipe, Trainer
from trainer.network import load_half, start_from
from trainer.pretrained import BaseModel, find_base
from trainer.publish import Draft, publish

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from trainer.checkpoint import Position
    from trainer.observer import Observer


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
    teacher: Path | None = None  # the checkpoint of a network to learn from
    start: Path | None = None  # a bundle to go on from, rather than from the base


def bootstrap(order: Order, observer: Observer) -> Bundle | None:
    """Read, train, export, quantize, calibrate and publish. Raises FilterdError.

    Of several processes (`accelerate launch`) the first reads and publishes; None in the others.
    """
    if order.out.exists():
        raise TrainingError(f"{order.out}: already there; a bundle is never overwritten")
    transformers_logging.set_verbosity_error()
    order.work.mkdir(parents=True, exist_ok=True)
    processes = join_processes()
    torch.set_num_threads(max(order.threads // processes.num_processes, 1))
    with processes.main_process_first():
        observer.stage("base weights")
        started = verify(order.start) if order.start else None
        base = find_base(order.base) if started is None else base_of(started)
        claim(order)
        examples = gather(order, observer)
    observer.data(tally(examples))
    trained = train(order, base, examples, observer)
    if not processes.is_main_process:
        return None
    draft = Draft(
        work=order.work,
        out=order.out,
        version=order.version,
        base=base,
        max_tokens=order.recipe.max_tokens,
        seed=order.recipe.seed,
        provenance={
            "training": trained.best,
            "seconds": round(trained.seconds),
            "examples": {" ".join(key): count for key, count in sorted(tally(examples).items())},
            "recipe": asdict(order.recipe),
            "excluded": list(order.plan.exclude),
            "started_from": None if started is None else describe(started),
        },
    )
    return publish(draft, examples, observer)


def base_of(bundle: Bundle) -> BaseModel:
    """A bundle as what to start from: its tokenizer, and the base that it says it was made of."""
    return BaseModel(str(bundle.path), bundle.base_model, bundle.base_licence)


def describe(bundle: Bundle) -> dict[str, Any]:
    """What a bundle that was gone on from says of its own training."""
    known = bundle.metrics.get("provenance", {})
    kept = ("recipe", "seconds", "examples", "started_from")
    return {
        "version": bundle.version,
        "data_digest": bundle.data_digest,
        **{name: known.get(name) for name in kept},
    }


def claim(order: Order) -> None:
    """Bind the work folder to these settings; TrainingError if it holds another run's."""
    settings = json.loads(
        json.dumps(
            {
                "base": order.base,
                "corpora": str(order.corpora.resolve()),
                "plan": asdict(order.plan),
                "recipe": asdict(order.recipe),
                "teacher": str(order.teacher) if order.teacher else None,
                "start": str(order.start) if order.start else None,
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
    network = load_half(order.start / WEIGHTS) if order.start else start_from(base, TASKS)
    positions = int(network.config.max_position_embeddings)
    if order.recipe.max_tokens > positions:
        raise BaseModelError(f"{base.name}: reads {positions} tokens at most; lower --max-tokens")
    tokenizer_file = order.work / TOKENIZER
    with join_processes().main_process_first():
        shutil.copyfile(base.tokenizer, tokenizer_file)
    tokenizer = open_tokenizer(tokenizer_file, order.recipe.max_tokens)
    teacher = load_teacher(order.teacher, network) if order.teacher else None
    trainer = Trainer(network, tokenizer, order.recipe, order.work, teacher)
    return trainer.run(
        [each for each in examples if each.split == "train"],
        [each for each in examples if each.split == "validation"],
        observer.step,
    )
