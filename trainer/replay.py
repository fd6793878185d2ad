"""A labelled stream through the pipeline, message by message, as a mail server would have seen it.

Every mail takes the path that serving takes (`filterd.pipeline.judge`); a broken one is judged
like any other. Nothing is taught yet: the learner that feedback is for does not exist.
"""

from __future__ import annotations

from array import array
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from filterd.pipeline import judge
from filterd.policy import Policy
from trainer.corpora import SPAM
from trainer.evaluate import logistic_average, spam_figures
from trainer.stream import in_order

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from filterd.model.bundle import Bundle
    from filterd.model.encoder import Encoder
    from trainer.stream import Entry

# Our names for them -> those of the figures.
SUMMARY = {
    "accuracy": "accuracy",
    "precision": "precision",
    "recall": "recall",
    "f1": "f1",
    "false_positives": "false_positives",
    "false_negatives": "false_negatives",
    "one_minus_roca_percent": "one_minus_roca_percent",
    "recall_at_0.1_percent_fpr": "recall_at_0.1_percent",
}


@dataclass(frozen=True, slots=True)
class Replayed:
    """One message of the stream: the label it has, the spam probability it was given before.

    `taught` says whether the label was told to the learner afterwards.
    """

    path: str
    label: str
    spam: float
    taught: bool

    def fields(self) -> dict[str, Any]:
        """As the command prints it."""
        return asdict(self)


@dataclass(slots=True)
class Score:
    """What is kept of the messages that have passed: nine bytes of each."""

    spam: array[float] = field(default_factory=lambda: array("d"))
    is_spam: bytearray = field(default_factory=bytearray)

    def add(self, replayed: Replayed) -> None:
        """Count one message."""
        self.spam.append(replayed.spam)
        self.is_spam.append(replayed.label == SPAM)


def replay(entries: Sequence[Entry], encoder: Encoder, threads: int) -> Iterator[Replayed]:
    """Judge the stream in its order and teach nothing, so several threads may work ahead.

    Raises CorporaError for a file that has gone meanwhile.
    """
    policy = Policy()

    def judge_entry(entry: Entry) -> Replayed:
        (judged,) = judge([entry.read()], encoder, policy)
        return Replayed(entry.path, entry.label, judged.spam, taught=False)

    yield from in_order(judge_entry, entries, threads)


def summarize(score: Score, bundle: Bundle, seconds: float) -> dict[str, Any]:
    """The stream as a whole, at the bundle's threshold; a measure of both classes is None for one.

    `seconds` is the wall time from the first message to the last.
    """
    threshold = bundle.threshold(SPAM)
    is_spam = np.frombuffer(score.is_spam, dtype=np.bool_)
    found = spam_figures(np.array(score.spam), is_spam, threshold)
    ham, spam = found["ham"], found["spam"]
    average = logistic_average(found["false_positives"], ham, found["false_negatives"], spam)
    return {
        "messages": ham + spam,
        "ham": ham,
        "spam": spam,
        "model": bundle.version,
        "threshold": threshold,
        **{name: found[key] for name, key in SUMMARY.items()},
        "lam_percent": None if average is None else round(average, 4),
        "seconds": round(seconds, 3),
        "messages_per_second": round((ham + spam) / seconds, 1),
    }
