"""A labelled stream through the pipeline, message by message, as a mail server would have seen it.

Every mail takes the path that serving takes (`filterd.pipeline.judge`); a broken one is judged
like any other. With feedback the site's learner (`filterd.learner`) stands on top of it.
"""

from __future__ import annotations

from array import array
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from filterd.learner.features import Evidence, head_of
from filterd.learner.site import clues_of
from filterd.model.manifest import SPAM_TASK
from filterd.pipeline import judge, read
from filterd.policy import Policy
from trainer.corpora import SPAM
from trainer.curves import calibration_error, reliability
from trainer.evaluate import logistic_average, spam_figures
from trainer.feedback import Feedback
from trainer.lessons import Lessons
from trainer.stream import in_order

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from filterd.model.bundle import Bundle
    from filterd.model.encoder import Encoder
    from trainer.score_cache import ScoreCache
    from trainer.stream import Entry

NONE = Feedback()
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

    `taught` says whether the label is told to the learner afterwards.
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


def replay(
    entries: Sequence[Entry],
    encoder: Encoder,
    threads: int,
    feedback: Feedback = NONE,
    cache: ScoreCache | None = None,
) -> Iterator[Replayed]:
    """Judge the stream in its order, and teach what the feedback lets the learner know.

    Several threads work ahead with the encoder, which learns nothing; the learner is taught on the
    caller's. What the encoder said is taken from the `cache` where that has it, and put there.
    Raises CorporaError for a file that has gone meanwhile.
    """
    policy = Policy()

    def judge_entry(entry: Entry) -> tuple[Entry, float, Evidence | None]:
        raw = entry.read()
        cached = None if cache is None else cache.get(raw)
        if cached is not None:
            spam, text = cached.spam, "" if feedback == NONE else read(raw).text
        else:
            (judged,) = judge([raw], encoder, policy)
            spam, text = judged.spam, judged.reading.text
            if cache is not None:
                cache.put(raw, spam, judged.embedding)
        return entry, spam, None if feedback == NONE else Evidence(head_of(raw), text)

    lessons = Lessons(feedback, len(entries), encoder.bundle.threshold(SPAM_TASK))
    for entry, by_bert, evidence in in_order(judge_entry, entries, threads):
        spam, taught = by_bert, False
        if evidence is not None:
            spam, taught = lessons.take(by_bert, clues_of(evidence), entry.label)
        yield Replayed(entry.path, entry.label, spam, taught)


def summarize(score: Score, bundle: Bundle, seconds: float) -> dict[str, Any]:
    """The stream as a whole, at the bundle's threshold; a measure of both classes is None for one.

    `seconds` is the wall time from the first message to the last.
    """
    threshold = bundle.threshold(SPAM)
    is_spam = np.frombuffer(score.is_spam, dtype=np.bool_)
    scores = np.array(score.spam)
    found = spam_figures(scores, is_spam, threshold)
    ham, spam = found["ham"], found["spam"]
    calibration = calibration_error(reliability(scores, is_spam))
    average = logistic_average(found["false_positives"], ham, found["false_negatives"], spam)
    return {
        "messages": ham + spam,
        "ham": ham,
        "spam": spam,
        "model": bundle.version,
        "threshold": threshold,
        **{name: found[key] for name, key in SUMMARY.items()},
        "lam_percent": None if average is None else round(average, 4),
        "calibration_error": None if calibration is None else round(calibration, 4),
        "seconds": round(seconds, 3),
        "messages_per_second": round((ham + spam) / seconds, 1),
    }
