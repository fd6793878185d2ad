"""What the commands of `filterd-trainer` do, once it is known that they shall.

Apart from `trainer.cli` because torch takes seconds to load, and `--help` needs none of it.
"""

from __future__ import annotations

import json
import os
import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from rich.console import Console

from filterd.model.encoder import CHARACTERS_PER_TOKEN, open_encoder
from trainer.bootstrap import Order, bootstrap
from trainer.dataset import Plan
from trainer.finetune import Recipe
from trainer.judge import judge
from trainer.progress import Display
from trainer.report import bundle_table, figures_table

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class BootstrapOptions:
    """`bootstrap` as it was typed; `work` None, `version` "" and `threads` 0 stand for defaults."""

    corpora: Path
    out: Path
    work: Path | None
    base: str
    epochs: int
    max_tokens: int
    batch: int
    seed: int
    rate: float
    limit: int | None
    exclude: tuple[str, ...]
    letters: bool
    version: str
    threads: int


def run_bootstrap(options: BootstrapOptions, *, as_json: bool) -> None:
    """Train and publish; progress on standard error, the outcome on standard output."""
    out = options.out
    order = Order(
        corpora=options.corpora,
        out=out,
        work=options.work or out.with_name(f"{out.name}.work"),
        base=options.base,
        recipe=Recipe(
            epochs=options.epochs,
            batch=options.batch,
            max_tokens=options.max_tokens,
            seed=options.seed,
            encoder_rate=options.rate,
            head_rate=5 * options.rate,
        ),
        plan=Plan(
            max_characters=options.max_tokens * CHARACTERS_PER_TOKEN,
            seed=options.seed,
            limit=options.limit,
            exclude=options.exclude,
            letters=options.letters,
        ),
        version=options.version or f"{datetime.now(UTC):%Y-%m-%d}.1",
        threads=options.threads or os.cpu_count() or 1,
    )
    with Display(Console(stderr=True)) as display:
        bundle = bootstrap(order, display)
    if as_json:
        _print_json({"bundle": str(out), "version": bundle.version, "metrics": bundle.metrics})
    else:
        Console().print(bundle_table(bundle))


def run_evaluate(
    bundle: Path, folder: Path, corpora: tuple[str, ...], limit: int | None, *, as_json: bool
) -> None:
    """Judge a bundle; progress on standard error, the figures on standard output."""
    encoder = open_encoder(bundle)
    with Display(Console(stderr=True)) as display:
        figures = judge(encoder, folder, corpora, limit, display)
    if as_json:
        _print_json(figures)
    else:
        Console().print(figures_table(figures))


def _print_json(value: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(value, ensure_ascii=False) + "\n")
