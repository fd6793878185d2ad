"""What the commands of `filterd-trainer` that train do, once it is known that they shall.

Apart from `trainer.cli` because torch takes seconds to load, and `--help` needs none of it.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import torch
from rich.console import Console

from filterd.commands.terminal import print_json
from filterd.model.runtime import open_tokenizer
from filterd.pipeline import RENDERED_CHARACTERS
from trainer.augment import CHANGES
from trainer.bootstrap import Order, bootstrap
from trainer.compute import join_processes
from trainer.crossval import Fold, claim_fold, gather_fold, run_fold
from trainer.dataset import TASKS, Plan
from trainer.errors import TrainingError
from trainer.finetune import Recipe, Trainer
from trainer.network import start_from
from trainer.pretrained import find_base
from trainer.progress import Display
from trainer.publish import SHARE
from trainer.report import bundle_table, folds_table
from trainer.search import HEAD_RATE, Space, best_table, search

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from transformers import BertConfig

DEFAULTS = Recipe()


@dataclass(frozen=True, slots=True)
class Training:
    """How to train, as it was typed: what `bootstrap`, `crossval` and `search` have in common.

    `without` names changes of `trainer.augment` that variants are made without; `threads` 0 is
    all cores.
    """

    corpora: Path
    base: str
    seed: int
    limit: int | None
    exclude: tuple[str, ...]
    letters: bool
    without: tuple[str, ...]
    threads: int
    epochs: int = DEFAULTS.epochs
    max_tokens: int = DEFAULTS.max_tokens
    batch: int = DEFAULTS.batch
    rate: float = DEFAULTS.encoder_rate
    layers: int | None = None
    teacher: Path | None = None
    start: Path | None = None
    gradient_checkpoint: bool = False

    def recipe(self) -> Recipe:
        """How the network is trained."""
        return Recipe(
            epochs=self.epochs,
            batch=self.batch,
            max_tokens=self.max_tokens,
            seed=self.seed,
            encoder_rate=self.rate,
            head_rate=HEAD_RATE * self.rate,
            layers=self.layers,
            gradient_checkpoint=self.gradient_checkpoint,
        )

    def plan(self) -> Plan:
        """What it is trained on. TrainingError for a change that there is not."""
        if unknown := set(self.without) - set(CHANGES):
            raise TrainingError(f"no change '{min(unknown)}'; there are {', '.join(CHANGES)}")
        return Plan(
            max_characters=RENDERED_CHARACTERS,
            seed=self.seed,
            limit=self.limit,
            exclude=self.exclude,
            changes=tuple(name for name in CHANGES if name not in self.without),
            letters=self.letters,
        )

    def cores(self) -> int:
        """Threads to compute on."""
        return self.threads or os.cpu_count() or 1


def run_bootstrap(
    training: Training, out: Path, work: Path | None, version: str, *, as_json: bool
) -> None:
    """Train and publish; progress on standard error, the outcome on standard output."""
    order = Order(
        corpora=training.corpora,
        out=out,
        work=work or out.with_name(f"{out.name}.work"),
        base=training.base,
        recipe=training.recipe(),
        plan=training.plan(),
        version=version or f"{datetime.now(UTC):%Y-%m-%d}.1",
        threads=training.cores(),
        teacher=training.teacher,
        start=training.start,
    )
    with _display() as display:
        bundle = bootstrap(order, display)
    if bundle is None:  # this is not the first of several processes
        return
    if as_json:
        print_json({"bundle": str(out), "version": bundle.version, "metrics": bundle.metrics})
    else:
        Console().print(bundle_table(bundle))


def run_crossval(
    training: Training,
    folds: Sequence[str],
    work: Path,
    most: int,
    reading: str,
    *,
    bundles: bool,
    as_json: bool,
) -> None:
    """Train once per fold and judge what it left out; a table, or JSON, of all folds."""
    torch.set_num_threads(training.cores())
    figures: dict[str, Any] = {}
    base = find_base(training.base)
    with _display() as display:
        for name in folds:
            fold = Fold(
                held=tuple(name.split("+")),
                folder=work / name,
                limit=most,
                plan=training.plan(),
                recipe=training.recipe(),
                reading=reading,
                bundle=bundles,
            )
            figures |= run_fold(fold, training.corpora, base, SHARE, display)
    if as_json:
        print_json(figures)
    else:
        Console().print(folds_table(figures))


def run_search(
    training: Training, fold: str, work: Path, trials: int, most: int, *, as_json: bool
) -> None:
    """Try recipes, each judged by the corpora that the fold leaves out; the best as a table."""
    torch.set_num_threads(training.cores())
    base = find_base(training.base)
    held_out = Fold(tuple(fold.split("+")), work / fold, most, training.plan(), training.recipe())
    with _display() as display:
        claim_fold(held_out)
        train, held = gather_fold(held_out, training.corpora, display)

        def objective(recipe: Recipe, report: Callable[[int, float], None]) -> float:
            # Named by its recipe: a trial that was killed is given again, and goes on.
            folder = held_out.folder / sha256(repr(recipe).encode()).hexdigest()[:12]
            folder.mkdir(exist_ok=True)
            trainer = Trainer(
                start_from(base, TASKS),
                open_tokenizer(base.tokenizer, recipe.max_tokens),
                recipe,
                folder,
            )
            display.stage(f"trial: {recipe}")
            position = trainer.run(
                [each for each in train if each.split == "train"],
                held,
                display.step,
                lambda epoch, metrics: report(epoch, metrics["objective"]),
            )
            shutil.rmtree(folder)
            return float(position.best["objective"])

        study = search(
            objective,
            trials,
            held_out.folder / "search.db",
            training.seed,
            training.recipe(),
            space_of(start_from(base, TASKS).config),
        )
    if as_json:
        print_json({"figure": study.best_value, "recipe": study.best_params})
    else:
        Console().print(best_table(study))


def space_of(config: BertConfig) -> Space:
    """What can be tried with a base: no more layers and tokens than it has."""
    whole = Space()
    most = int(config.max_position_embeddings)
    return replace(
        whole,
        layers=tuple(each for each in whole.layers if not each or each < config.num_hidden_layers),
        max_tokens=tuple(each for each in whole.max_tokens if each <= most) or (most,),
    )


@contextlib.contextmanager
def _display() -> Iterator[Display]:
    """Shows progress, but from one process only if several train together."""
    quiet = not join_processes().is_main_process
    with Display(Console(stderr=True, quiet=quiet)) as display:
        yield display
