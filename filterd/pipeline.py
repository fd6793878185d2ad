"""Bytes to judgement: the one path that serve, check, scan and replay take.

`read` is all that happens before the model, `conclude` all that happens after it; between them
stands an encoder, called directly (check, scan) or through the batcher (serve).
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from filterd.learner.features import Evidence, head_of
from filterd.learner.site import Opinion, SiteLearner, clues_of
from filterd.mail.parse import Message, parse
from filterd.mail.render import render

if TYPE_CHECKING:
    from collections.abc import Sequence

    from filterd.learner.site import Clues
    from filterd.model.bundle import Bundle
    from filterd.model.encoder import Encoder, Scores
    from filterd.policy import Policy, Verdict

SPAM_TASK = "spam"
SENTIMENT_TASK = "sentiment"
# Enough for 512 tokens, the most a BERT takes; the encoder cuts further to its own max_tokens.
# Also what a record keeps of a mail at most.
RENDERED_CHARACTERS = 4096


@dataclass(frozen=True, slots=True)
class Reading:
    """A message as far as it can be known without the model.

    `text` is what the model gets, `head` what the learner does; `seconds` what reading cost.
    """

    message: Message
    text: str
    head: bytes
    seconds: float


@dataclass(frozen=True, slots=True)
class Origin:
    """From where a message came, as far as it is known; `at` is now, seconds since the epoch."""

    helo: str = ""
    client_address: str = ""
    at: float = 0.0


UNKNOWN = Origin()
NO_EMBEDDING = np.zeros(0, dtype=np.float32)


@dataclass(frozen=True, slots=True)
class Judgement:
    """What filterd holds of a message. Probabilities are calibrated, 0..1; `ms` is wall time.

    `spam` is joined from the BERT and what staff taught (`opinion`); `scores` are the BERT's own.
    Where the BERT was spared there is no sentiment, and scores and embedding are empty.
    """

    verdict: Verdict
    spam: float
    opinion: Opinion
    threshold: float
    sentiment: str | None
    sentiment_score: float
    scores: dict[str, dict[str, float]]
    model: str
    reading: Reading
    embedding: np.ndarray
    ms: float


def read(raw: bytes) -> Reading:
    """Parse and render one message; never raises, linear in its size."""
    started = time.perf_counter()
    message = parse(raw)
    text = render(message, max_characters=RENDERED_CHARACTERS)
    return Reading(message, text, head_of(raw), time.perf_counter() - started)


def conclude(
    reading: Reading,
    scores: Scores,
    policy: Policy,
    seconds: float,
    *,
    learner: SiteLearner | None = None,
    origin: Origin = UNKNOWN,
) -> Judgement:
    """Turn the encoder's scores into a judgement; `seconds` is the time it took until here."""
    started = time.perf_counter()
    bundle = scores.bundle
    named = {
        task.name: dict(zip(task.labels, scores.tasks[task.name], strict=True))
        for task in bundle.tasks
    }
    shipped = bundle.threshold(SPAM_TASK)
    threshold = policy.threshold(shipped)
    opinion = _opinion(reading, named[SPAM_TASK]["spam"], threshold, learner, origin)
    spam = opinion.spam
    sentiment, sentiment_score = max(named[SENTIMENT_TASK].items(), key=lambda item: item[1])
    return Judgement(
        verdict=policy.verdict(spam, shipped),
        spam=spam,
        opinion=opinion,
        threshold=threshold,
        sentiment=sentiment,
        sentiment_score=sentiment_score,
        scores=named,
        model=bundle.version,
        reading=reading,
        embedding=scores.embedding,
        ms=(seconds + time.perf_counter() - started) * 1000,
    )


def conclude_early(
    reading: Reading,
    bundle: Bundle,
    policy: Policy,
    seconds: float,
    *,
    learner: SiteLearner,
    origin: Origin,
) -> Judgement | None:
    """The judgement of a mail that is spam beyond doubt by what staff taught; None for others.

    `bundle` is the one that is spared: its threshold counts.
    """
    started = time.perf_counter()
    opinion = learner.without_bert(_clues(reading, origin), origin.at)
    shipped = bundle.threshold(SPAM_TASK)
    if opinion is None or opinion.spam < policy.threshold(shipped):
        return None
    return Judgement(
        verdict=policy.verdict(opinion.spam, shipped),
        spam=opinion.spam,
        opinion=opinion,
        threshold=policy.threshold(shipped),
        sentiment=None,
        sentiment_score=0.0,
        scores={},
        model=bundle.version,
        reading=reading,
        embedding=NO_EMBEDDING,
        ms=(seconds + time.perf_counter() - started) * 1000,
    )


def _opinion(
    reading: Reading, bert: float, threshold: float, learner: SiteLearner | None, origin: Origin
) -> Opinion:
    if learner is None or not learner.labels:
        return Opinion(bert, bert)
    return learner.judge(bert, _clues(reading, origin), origin.at, threshold)


def _clues(reading: Reading, origin: Origin) -> Clues:
    return clues_of(Evidence(reading.head, reading.text, origin.helo, origin.client_address))


def judge(
    raws: Sequence[bytes],
    encoder: Encoder,
    policy: Policy,
    *,
    learner: SiteLearner | None = None,
    origin: Origin = UNKNOWN,
) -> list[Judgement]:
    """Judge messages one after the other on this thread, for check, scan, why and replay.

    `ms` of each is its own reading plus an even share of the encoder's time.
    """
    readings = [read(raw) for raw in raws]
    started = time.perf_counter()
    scores = encoder.encode([reading.text for reading in readings])
    share = (time.perf_counter() - started) / max(len(raws), 1)
    return [
        conclude(reading, score, policy, reading.seconds + share, learner=learner, origin=origin)
        for reading, score in zip(readings, scores, strict=True)
    ]
