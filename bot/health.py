"""What ails the mail path, as the database and its disk show it. Says nothing to anyone."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from datetime import timedelta
from itertools import groupby
from typing import TYPE_CHECKING, Final, Protocol

from sqlalchemy import func, select

from bot.drift import MOST_INDEX, look_for_drift
from filterd.store.incidents import going_on
from filterd.store.tables import Messages

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime
    from pathlib import Path

    from bot.drift import Drift
    from filterd.settings import Settings
    from filterd.store.database import Database

# Long enough for some mail, short enough that an hour-old fault that is mended is not told.
UNJUDGED_WITHIN: Final = timedelta(minutes=10)
# Of fewer, one odd mail would be a share that alarms.
FEWEST_MAILS: Final = 20
# A few huge or odd mails overrun the deadline on any site; one in twenty is a machine too slow.
MOST_UNJUDGED: Final = 0.05
# Room for the records of some tens of thousands of mails: time to act, whatever the disk's size.
LEAST_FREE_SHARE: Final = 0.05
LEAST_FREE: Final = 500_000_000  # bytes
MEGABYTE: Final = 1_000_000
# Kind of incident -> how long it must last to be told: the next hop's restart is no ailment.
BRIEF: Final = {"next_hop": timedelta(seconds=10)}


@dataclass(frozen=True, slots=True)
class Ailment:
    """Something that is wrong now: what, in a line fit for staff, and since when."""

    kind: str
    text: str
    since: datetime


class Usage(Protocol):
    """Room on a disk, in bytes, as `shutil.disk_usage` gives it."""

    @property
    def total(self) -> int:
        """All."""

    @property
    def free(self) -> int:
        """What is left."""


def ailments(
    database: Database,
    now: datetime,
    settings: Settings,
    *,
    drift: Callable[[Database, datetime], Drift | None] = look_for_drift,
    usage: Callable[[Path], Usage] = shutil.disk_usage,
) -> list[Ailment]:
    """All that is wrong, one of each kind at most. Raises StoreError.

    `drift` reads two weeks of mail: give one that remembers its answer for an hour or so.
    """
    found = [
        _unjudged(database, now, settings),
        _drift(drift(database, now), now),
        _disk(database, now, usage),
    ]
    return _incidents(database, now) + [one for one in found if one is not None]


def _incidents(database: Database, now: datetime) -> list[Ailment]:
    """What workers say of themselves; several that say the same are one ailment."""
    incidents = sorted(going_on(database, now), key=lambda one: one.kind)
    found = []
    for kind, group in groupby(incidents, key=lambda one: one.kind):
        first, *others = group  # the oldest first, still
        if now - first.began_at < BRIEF.get(kind, timedelta(0)):
            continue
        workers = len({first.source, *(other.source for other in others)})
        text = f"{first.text} ({workers} workers say so)" if workers > 1 else first.text
        found.append(Ailment(kind, text, first.began_at))
    return found


def _unjudged(database: Database, now: datetime, settings: Settings) -> Ailment | None:
    statement = (
        select(Messages.failure, func.count(), func.min(Messages.received_at))
        .where(Messages.received_at >= now - UNJUDGED_WITHIN)
        .group_by(Messages.failure)
        .order_by(func.count().desc(), Messages.failure)
    )
    with database.read() as connection:
        rows = connection.execute(statement).all()
    mails = sum(count for _, count, _ in rows)
    failures = [row for row in rows if row[0] is not None]
    failed = sum(count for _, count, _ in failures)
    if mails < FEWEST_MAILS or failed <= MOST_UNJUDGED * mails:
        return None
    done = "delivered unjudged" if settings.on_failure == "pass" else "answered 451"
    minutes = UNJUDGED_WITHIN // timedelta(minutes=1)
    return Ailment(
        "unjudged",
        f"{failed / mails:.0%} of the last {minutes} minutes' {mails} mails were {done}; "
        f"the commonest reason is {failures[0][0]}",
        min(first for _, _, first in failures),
    )


def _drift(found: Drift | None, now: datetime) -> Ailment | None:
    if found is None:
        return None
    return Ailment(
        "drift",
        f"the share of spam was {found.share_before:.1%} in the two weeks before and is "
        f"{found.share_now:.1%} in the last 24 hours (stability index {found.index:.2f}; above "
        f"{MOST_INDEX:g} the mix of mail is another): look at the newest mails near the threshold, "
        "and whether a new bundle serves since yesterday",
        now,
    )


def _disk(database: Database, now: datetime, usage: Callable[[Path], Usage]) -> Ailment | None:
    """SQLite's alone: a server's disk is not ours to see."""
    if database.path is None:
        return None
    try:
        room = usage(database.path.parent)
    except OSError:  # then the database itself has more to say
        return None
    if room.free >= LEAST_FREE and room.free >= LEAST_FREE_SHARE * room.total:
        return None
    share = room.free / room.total if room.total else 0.0
    return Ailment(
        "disk",
        f"the disk of {database.name} has {room.free // MEGABYTE:,} MB left, {share:.1%} of it",
        now,
    )
