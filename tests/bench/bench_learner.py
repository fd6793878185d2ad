"""A stream in order of arrival, and four filters that learn from it: who errs least?

    .venv/bin/filterd-trainer index FOLDER > FOLDER/index
    .venv/bin/python tests/bench/bench_learner.py FOLDER/index --bundle BUNDLE --scores FILE

filterd (learner on top of BUNDLE, which should not have been trained on the stream), the bundle
alone, bogofilter (Debian's package `bogofilter`) trained on each message whose label is told, and
the plain baseline: online logistic regression over the set of hashed byte 4-grams of the first
3,500 raw bytes. Each feedback of TREC's; the active ones ask bogofilter and the baseline where
they are in doubt themselves.
"""

from __future__ import annotations

import argparse
import json
import math
import re
import subprocess
import sys
import tempfile
from collections import deque
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from rich.console import Console
from rich.table import Table

from filterd.learner.features import HEAD_BYTES, grams
from filterd.model.encoder import open_encoder
from trainer.curves import learning_curve
from trainer.evaluate import spam_figures
from trainer.feedback import Feedback, parse_feedback
from trainer.plots import draw_learning
from trainer.replay import replay
from trainer.score_cache import ScoreCache
from trainer.stream import Entry, read_index

if TYPE_CHECKING:
    from collections.abc import Callable

FEEDBACKS = ("immediate", "delayed:1000", "active:100", "active:500")
RATE = 0.006  # of the baseline; 0.004 to 0.008 were measured to be best
DOUBT = 2.5  # log odds within which the baseline asks
BUCKETS = 1 << 22
err = Console(stderr=True)


class Grams:
    """The baseline."""

    def __init__(self) -> None:
        self._weights = np.zeros(BUCKETS, dtype=np.float32)

    def judge(self, raw: bytes) -> float:
        """Log odds of spam."""
        return float(self._weights[self._features(raw)].sum())

    def teach(self, raw: bytes, label: str) -> None:
        """Take a label."""
        odds = max(-35.0, min(35.0, self.judge(raw)))
        missed = (label == "spam") - 1 / (1 + math.exp(-odds))
        self._weights[self._features(raw)] += np.float32(RATE * missed)

    def is_doubtful(self, odds: float) -> bool:
        """Whether it would ask."""
        return abs(odds) < DOUBT

    def close(self) -> None:
        """Nothing to close."""

    def _features(self, raw: bytes) -> np.ndarray:
        return np.unique(grams(raw[:HEAD_BYTES], bits=22))


class Bogofilter:
    """bogofilter as its package is set up, with a word list of its own."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory()

    def judge(self, raw: bytes) -> float:
        """Its spamicity 0..1; 0.5 while it knows no word."""
        done = self._run(["-v", "-v"], raw)
        found = re.search(rb"spamicity=([0-9.]+)", done.stdout)
        return float(found[1]) if found else 0.5

    def teach(self, raw: bytes, label: str) -> None:
        """Take a label."""
        self._run(["-s" if label == "spam" else "-n"], raw)

    def is_doubtful(self, spam: float) -> bool:
        """Its own "unsure", between the cut-offs of its configuration."""
        return 0.45 < spam < 0.99

    def close(self) -> None:
        """Remove its word list."""
        self._folder.cleanup()

    def _run(self, options: list[str], raw: bytes) -> subprocess.CompletedProcess[bytes]:
        command = ["bogofilter", "-d", self._folder.name, *options]
        return subprocess.run(command, input=raw, capture_output=True, check=False)


def filter_stream(
    make: Callable[[], Grams | Bogofilter], entries: list[Entry], feedback: Feedback
) -> np.ndarray:
    """Scores of a filter that judges each mail before its label can be told."""
    judged, waiting, asked = make(), deque(), 0
    scores = []
    for entry in entries:
        raw = entry.read()
        scores.append(judged.judge(raw))
        if feedback.kind == "immediate":
            judged.teach(raw, entry.label)
        elif feedback.kind == "delayed":
            waiting.append(entry)
            if len(waiting) > feedback.count:
                due = waiting.popleft()
                judged.teach(due.read(), due.label)
        elif asked < feedback.count and judged.is_doubtful(scores[-1]):
            asked += 1
            judged.teach(raw, entry.label)
    judged.close()
    return np.array(scores)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("index", type=Path)
    parser.add_argument("--bundle", type=Path, required=True)
    parser.add_argument("--scores", type=Path, required=True, help="cache of the bundle's scores")
    parser.add_argument("--plot", type=Path, help="learning curves, immediate feedback: .svg, .png")
    parser.add_argument("--without-bogofilter", action="store_true")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    entries = read_index(arguments.index)
    is_spam = np.array([entry.label == "spam" for entry in entries])
    encoder = open_encoder(arguments.bundle)
    found: dict[str, dict[str, np.ndarray]] = {}
    with ScoreCache(arguments.scores, encoder.bundle) as cache:
        for name in ("none", *FEEDBACKS):
            err.print(f"filterd, {name}")
            told = replay(entries, encoder, 2, parse_feedback(name), cache)
            found.setdefault("filterd", {})[name] = np.array([each.spam for each in told])
    found["BERT alone"] = dict.fromkeys(FEEDBACKS, found["filterd"].pop("none"))
    others: dict[str, Callable[[], Grams | Bogofilter]] = {"4-grams": Grams}
    if not arguments.without_bogofilter:
        others["bogofilter"] = Bogofilter
    for system, make in others.items():
        for name in FEEDBACKS:
            err.print(f"{system}, {name}")
            found.setdefault(system, {})[name] = filter_stream(make, entries, parse_feedback(name))
    areas = {
        system: {
            name: spam_figures(scores, is_spam, 0.5)["one_minus_roca_percent"]
            for name, scores in by_name.items()
        }
        for system, by_name in found.items()
    }
    if arguments.json:
        sys.stdout.write(json.dumps(areas) + "\n")
    else:
        table = Table("1-ROCA%", *FEEDBACKS, title=str(arguments.index))
        for system, by_name in areas.items():
            table.add_row(system, *(f"{by_name[name]:.4f}" for name in FEEDBACKS))
        Console().print(table)
    if arguments.plot is not None:
        curves = {
            system: learning_curve(by_name["immediate"], is_spam)
            for system, by_name in found.items()
        }
        draw_learning(curves, "Immediate feedback: error so far", arguments.plot)


if __name__ == "__main__":
    main()
