"""What the commands that judge do: progress on standard error, the outcome on standard output.

Apart from `trainer.commands`, whose training needs torch: judging does without.
"""

from __future__ import annotations

import os
import sys
import time
from contextlib import ExitStack
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import numpy as np
from rich.console import Console

from filterd.commands.terminal import print_json, say
from filterd.errors import FilterdError
from filterd.model.encoder import open_encoder
from filterd.pipeline import RENDERED_CHARACTERS
from trainer.attack import attack, attack_table, read_mails, threshold_at
from trainer.curves import learning_curve
from trainer.dataset import Plan, read_examples
from trainer.judge import figures, judge_corpora
from trainer.probe import probe, probe_table
from trainer.progress import Display
from trainer.replay import Score, replay, summarize
from trainer.report import figures_table, replay_table
from trainer.score_cache import ScoreCache
from trainer.stream import arrival_index, read_index

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from trainer.feedback import Feedback
    from trainer.replay import Replayed

FALSE_POSITIVES = 0.005  # that `attack` sets a bundle's threshold for


def run_evaluate(
    bundle: Path,
    folder: Path,
    corpora: tuple[str, ...],
    limit: int | None,
    report: Path | None,
    threads: int,
    *,
    as_json: bool,
) -> None:
    """Judge a bundle on corpora; `report` is where the page goes, if one is wanted."""
    encoder = open_encoder(bundle)
    with Display(Console(stderr=True)) as display:
        judged = judge_corpora(
            encoder, folder, corpora, limit, display, threads or available_cores()
        )
    found = figures(judged, encoder.bundle)
    if report is not None:
        from trainer.html_report import html_report  # noqa: PLC0415 - matplotlib takes a second

        page = html_report(judged, encoder.bundle, made=datetime.now(UTC), source=str(folder))
        try:
            report.write_text(page, encoding="utf-8", errors="replace")
        except OSError as error:
            raise FilterdError(f"{report}: cannot be written: {error.strerror}") from None
    if as_json:
        print_json(found)
    else:
        Console().print(figures_table(found))


def run_replay(
    index: Path,
    bundle: Path,
    feedback: Feedback,
    threads: int,
    scores: Path | None,
    plot: Path | None,
    *,
    as_json: bool,
) -> None:
    """Replay a stream: a line per message, or a bar, and then the summary.

    `scores` is a file that keeps what the encoder said, `plot` one for the learning curve.
    """
    entries = read_index(index)
    encoder = open_encoder(bundle)
    score = Score()
    started = time.perf_counter()
    with ExitStack() as opened:
        cache = None
        if scores is not None:
            cache = opened.enter_context(ScoreCache(scores, encoder.bundle))
        results = replay(entries, encoder, threads or available_cores(), feedback, cache)
        if not as_json:
            results = _with_bar(results, len(entries))
        for replayed in results:
            score.add(replayed)
            if as_json:
                print_json(replayed.fields())
                sys.stdout.flush()  # who reads along sees each as it is judged
    summary = summarize(score, encoder.bundle, time.perf_counter() - started)
    summary["feedback"] = str(feedback)
    if plot is not None:
        _plot(score, str(feedback), plot)
    if as_json:
        print_json({"summary": summary})
    else:
        Console().print(replay_table(summary))


def _plot(score: Score, feedback: str, file: Path) -> None:
    from trainer.plots import draw_learning  # noqa: PLC0415 - matplotlib takes a second

    curve = learning_curve(np.array(score.spam), np.frombuffer(score.is_spam, dtype=np.bool_))
    try:
        draw_learning({feedback: curve}, "Error so far", file)
    except (OSError, ValueError) as error:
        raise FilterdError(f"{file}: the plot cannot be written: {error}") from None


def run_index(folder: Path) -> None:
    """Print an INDEX of a folder, in the order of arrival."""
    for line in arrival_index(folder):
        say(line)


def run_probe(folder: Path, most: int, exclude: tuple[str, ...], *, as_json: bool) -> None:
    """Tell corpora from their rendered text: a table, or JSON."""
    plan = Plan(RENDERED_CHARACTERS, limit=most, exclude=exclude, variants=0, by_share=False)
    with Display(Console(stderr=True)) as display:
        found = probe(read_examples(folder, plan, display.progress), most, seed=0)
    if as_json:
        print_json([{**asdict(each), "mean": each.mean} for each in found])
    else:
        Console().print(probe_table(found))


def run_attack(
    bundles: Sequence[Path], folder: Path, corpora: Sequence[str], most: int, *, as_json: bool
) -> None:
    """Recall of each bundle on spam after each change: a table, or JSON."""
    results = {}
    with Display(Console(stderr=True)) as display:
        for path in bundles:
            encoder = open_encoder(path)
            mails = read_mails(folder, corpora, most, display)
            threshold = threshold_at(encoder, mails["ham"], FALSE_POSITIVES)
            results[str(path)] = attack(encoder, mails["spam"], threshold, 0, display.progress)
    if as_json:
        print_json(
            {
                path: {name: asdict(caught) for name, caught in result.items()}
                for path, result in results.items()
            }
        )
    else:
        Console().print(attack_table(results))


def available_cores() -> int:
    """How many cores this process may run on."""
    return len(os.sched_getaffinity(0))


def _with_bar(results: Iterator[Replayed], total: int) -> Iterator[Replayed]:
    with Display(Console(stderr=True)) as display:
        for done, replayed in enumerate(results, start=1):
            yield replayed
            display.progress("replaying", done, total)
