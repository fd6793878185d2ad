"""Whether mail looks different from what it was: today's spam scores against those of two weeks.

A model is right about mail like that which it was trained on. This says when the mail changes; it
cannot say whether the model is wrong about it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from sqlalchemy import case, func, select

from filterd.store.tables import Messages

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from filterd.store.database import Database

BINS: Final = 10
# A day has both office hours and night; of two weeks each weekday is in twice.
RECENT: Final = timedelta(days=1)
BEFORE: Final = timedelta(days=14)
# Chance alone makes about 9 (1/n + 1/m) of the index (Yurdakul): 0.04 with 500 mails each.
FEWEST: Final = 500
# The rule of thumb, see `stability_index`: below 0.1 is nothing, above 0.25 another population.
MOST_INDEX: Final = 0.25


@dataclass(frozen=True, slots=True)
class Drift:
    """That scores have moved: the index, and the share of mail held to be spam, 0..1."""

    index: float
    share_before: float
    share_now: float


@dataclass(frozen=True, slots=True)
class _Scores:
    """How many mails there are in each bin, and how many of all were held to be spam."""

    bins: tuple[int, ...]
    spam: int

    @property
    def mails(self) -> int:
        return sum(self.bins)


def look_for_drift(database: Database, now: datetime) -> Drift | None:
    """Whether the scores of the last day differ from those of the 14 days before.

    Reads all mail of that time: once an hour is often enough. Raises StoreError.
    """
    recent = _count(database, now - RECENT, now)
    if recent.mails < FEWEST:
        return None
    before = _count(database, now - RECENT - BEFORE, now - RECENT)
    if before.mails < FEWEST:
        return None
    index = stability_index(before.bins, recent.bins)
    if index <= MOST_INDEX:
        return None
    return Drift(index, before.spam / before.mails, recent.spam / recent.mails)


def stability_index(expected: Sequence[int], found: Sequence[int]) -> float:
    """The population stability index of two histograms over the same bins: 0 if they are alike.

    The sum over the bins of (f - e) ln(f / e), e and f being their shares. With half a mail more
    in each bin, so that an empty one is not infinitely far away. As used for credit scores:
    N. Siddiqi, Credit Risk Scorecards, Wiley 2006, with the limits 0.1 and 0.25; what these are
    worth: B. Yurdakul, Statistical Properties of Population Stability Index, Western Michigan
    University 2018.
    """
    shares = zip(_shares(expected), _shares(found), strict=True)
    return sum((f - e) * math.log(f / e) for e, f in shares)


def _shares(counts: Sequence[int]) -> list[float]:
    total = sum(counts) + len(counts) / 2
    return [(count + 0.5) / total for count in counts]


def _count(database: Database, since: datetime, until: datetime) -> _Scores:
    # By comparison: the two databases do not round a cast to integer alike.
    place = case(
        *((Messages.spam < (number + 1) / BINS, number) for number in range(BINS - 1)),
        else_=BINS - 1,
    )
    spam = func.sum(case((Messages.verdict == "spam", 1), else_=0))
    statement = (
        select(place.label("place"), func.count(), spam)
        .where(Messages.received_at >= since, Messages.received_at < until)
        .where(Messages.spam.is_not(None))
        .group_by("place")
    )
    counts = [0] * BINS
    held_to_be_spam = 0
    with database.read() as connection:
        for number, mails, of_them_spam in connection.execute(statement):
            counts[number] = mails
            held_to_be_spam += of_them_spam
    return _Scores(tuple(counts), held_to_be_spam)
