"""Which mails a person should be asked about: where a label teaches most.

Four reasons, each with its share of a day's questions: a score near the threshold, BERT and learner
at odds, mail unlike all that was labelled, and a random few of either verdict, from which the true
error can be told, since nobody chose them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from filterd.learner.local import log_odds

if TYPE_CHECKING:
    import random
    from collections.abc import Iterable, Mapping, Sequence

Reason = Literal["doubtful", "disputed", "new", "random"]

# Log odds of spam within which a mail of a stream is worth a question.
DOUBT = 3.5
# How far labels of one class alone move that band towards mail of the other one: in a stream of
# spam, what looks like ham is worth more.
LEAN = 2.5
LEAN_AFTER = 3.0
# Of a day's questions.
SHARES: dict[Reason, float] = {"doubtful": 0.4, "disputed": 0.3, "new": 0.1, "random": 0.2}


@dataclass(frozen=True, slots=True)
class Candidate:
    """An unlabelled mail and what it got. Probabilities 0..1.

    `similarity` is that to the nearest labelled mail, 0 if there is none near.
    """

    id: str
    spam: float
    bert: float
    threshold: float
    similarity: float


@dataclass(frozen=True, slots=True)
class Question:
    """A mail to ask about, and why."""

    id: str
    reason: Reason


def is_worth_asking(spam: float, labels: Mapping[str, int]) -> bool:
    """Whether a mail of a stream is worth a question when nothing but its score is known.

    `labels` are those there are, "ham" and "spam".
    """
    lean = math.log((labels["spam"] + LEAN_AFTER) / (labels["ham"] + LEAN_AFTER))
    return abs(log_odds(spam) + LEAN * lean) < DOUBT


def choose(candidates: Sequence[Candidate], budget: int, chance: random.Random) -> list[Question]:
    """At most `budget` questions, the most telling ones first, none twice.

    The random ones are half of either verdict, as far as there are such.
    """
    ways: dict[Reason, Iterable[Candidate]] = {
        "random": _of_either_verdict(candidates, chance),
        "doubtful": sorted(candidates, key=_doubt),
        "disputed": sorted((one for one in candidates if _dispute(one) > 0), key=_dispute)[::-1],
        "new": sorted(candidates, key=lambda one: (one.similarity, _doubt(one))),
    }
    chosen: dict[str, Question] = {}
    for reason, ranked in ways.items():
        most = len(chosen) + max(1, round(SHARES[reason] * budget))
        _take(chosen, ranked, reason, min(most, budget))
    # What one way had too few mails for, doubt takes.
    _take(chosen, ways["doubtful"], "doubtful", budget)
    order: Sequence[Reason] = ("disputed", "doubtful", "new", "random")
    return sorted(chosen.values(), key=lambda question: order.index(question.reason))


def _take(
    chosen: dict[str, Question], ranked: Iterable[Candidate], reason: Reason, most: int
) -> None:
    for one in ranked:
        if len(chosen) >= most:
            return
        chosen.setdefault(one.id, Question(one.id, reason))


def _doubt(one: Candidate) -> float:
    return abs(log_odds(one.spam) - log_odds(one.threshold))


def _dispute(one: Candidate) -> float:
    """How far BERT and learner are apart, in log odds, if they would decide differently."""
    differ = (one.spam >= one.threshold) != (one.bert >= one.threshold)
    return abs(log_odds(one.spam) - log_odds(one.bert)) if differ else 0.0


def _of_either_verdict(candidates: Sequence[Candidate], chance: random.Random) -> list[Candidate]:
    sides: list[list[Candidate]] = [[], []]
    for one in candidates:
        sides[one.spam >= one.threshold].append(one)
    for side in sides:
        chance.shuffle(side)
    paired = [one for pair in zip(*sides, strict=False) for one in pair]
    rest = max(sides, key=len)[min(map(len, sides)) :]
    return paired + rest
