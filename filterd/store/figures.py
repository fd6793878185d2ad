"""The site's figures, day by day: how much mail, how much spam, and what people put right.

Mails are counted by the database; only those that someone labelled are fetched, without content.
"""

from __future__ import annotations

from bisect import bisect
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from itertools import groupby
from statistics import median
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import and_, exists, func, select
from sqlalchemy.orm import aliased

from filterd.store.labels import Label, decide, select_labels, still_standing
from filterd.store.tables import Labels, Messages

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from zoneinfo import ZoneInfo

    from sqlalchemy import Connection, Row

    from filterd.store.database import Database

TASK: Final = "spam"
# Nobody labels a mail before it came; the clocks of two machines may differ by this.
CLOCKS_DIFFER: Final = timedelta(days=1)
ROWS_AT_ONCE: Final = 2000
# What stands behind a label's own columns.
OF_MAIL: Final = (Messages.received_at, Messages.verdict)
MOST_LABELLERS: Final = 10


@dataclass(frozen=True, slots=True)
class Day:
    """One calendar day of the site's zone; all but `date` belong to the mails received on it.

    `labelled`: mails whose verdict someone confirmed or put right. `corrected`: those of them
    whose label differs from the verdict they got; `false_spam`: those of these that were called
    spam and are ham. `seconds_to_correct`: median, from a mail's receipt to the first label that
    says so. `sentiments`: label -> mails.
    """

    date: date
    mails: int = 0
    spam: int = 0
    unjudged: int = 0
    corrected: int = 0
    labelled: int = 0
    seconds_to_correct: float | None = None
    false_spam: int = 0
    sentiments: Mapping[str, int] = field(default_factory=dict)

    @property
    def ham(self) -> int:
        """Mails that were judged ham."""
        return self.mails - self.spam - self.unjudged

    @property
    def spam_share(self) -> float | None:
        """Of the judged mails; None if there were none."""
        return _share(self.spam, self.mails - self.unjudged)

    @property
    def corrected_share(self) -> float | None:
        """Of the judged mails; None if there were none."""
        return _share(self.corrected, self.mails - self.unjudged)


@dataclass(frozen=True, slots=True)
class Figures:
    """Days in a row, oldest first; `time_to_correct` is the median of all their corrections, s."""

    days: tuple[Day, ...]
    time_to_correct: float | None = None

    @property
    def mails(self) -> int:
        """All mails."""
        return sum(day.mails for day in self.days)

    @property
    def spam(self) -> int:
        """Mails that were judged spam."""
        return sum(day.spam for day in self.days)

    @property
    def unjudged(self) -> int:
        """Mails that went on without a verdict."""
        return sum(day.unjudged for day in self.days)

    @property
    def labelled(self) -> int:
        """Mails whose verdict someone confirmed or put right."""
        return sum(day.labelled for day in self.days)

    @property
    def corrected(self) -> int:
        """Mails whose verdict people put right."""
        return sum(day.corrected for day in self.days)

    @property
    def false_spam(self) -> int:
        """Of the corrected: those called spam that are ham."""
        return sum(day.false_spam for day in self.days)

    @property
    def spam_share(self) -> float | None:
        """Of the judged mails; None if there were none."""
        return _share(self.spam, self.mails - self.unjudged)

    @property
    def corrected_share(self) -> float | None:
        """What staff had to put right of all judged mails: the trend a support lead watches.

        The true error is no lower, since nobody looks at every mail. None without judged mail.
        """
        return _share(self.corrected, self.mails - self.unjudged)

    @property
    def errors(self) -> float | None:
        """Of the labelled mails, those that were wrong. Higher than the true error.

        The mails asked about are chosen for being doubtful. None if none is labelled.
        """
        return _share(self.corrected, self.labelled)


@dataclass(frozen=True, slots=True)
class _LabelledMail:
    received_at: datetime
    verdict: str | None
    # When the first label came that differs from the verdict; None if the verdict is right.
    put_right_at: datetime | None

    @property
    def seconds(self) -> float | None:
        if self.put_right_at is None:
            return None
        return max((self.put_right_at - self.received_at).total_seconds(), 0.0)


def days(database: Database, first: date, last: date, zone: ZoneInfo) -> list[Day]:
    """Each day from `first` to `last`, oldest first, those without mail too. Raises StoreError.

    A day is one of `zone`: 23 or 25 hours where its clocks change.
    """
    return [day for day, _ in _days(database, first, last, zone)]


def figures(database: Database, days: int, today: date, zone: ZoneInfo) -> Figures:
    """The last so many days up to today, with today. Raises StoreError."""
    found = _days(database, today - timedelta(days=days - 1), today, zone)
    waits = [wait for _, of_day in found for wait in of_day]
    return Figures(tuple(day for day, _ in found), median(waits) if waits else None)


def labellers(database: Database, since: datetime) -> list[tuple[str, int]]:
    """Who gave how many of the labels since then that stand, of any task; the ten busiest.

    Raises StoreError.
    """
    undo = aliased(Labels)
    # Who has changed his mind has one label that stands, not two.
    standing = (
        select(Labels.by, Labels.message_id, Labels.task)
        .where(
            Labels.at >= since,
            Labels.undoes.is_(None),
            ~exists().where(undo.undoes == Labels.id),
        )
        .distinct()
        .subquery()
    )
    given = func.count()
    statement = (
        select(standing.c.by, given)
        .group_by(standing.c.by)
        .order_by(given.desc(), standing.c.by)
        .limit(MOST_LABELLERS)
    )
    with database.read() as connection:
        return [(by, count) for by, count in connection.execute(statement)]


def _days(
    database: Database, first: date, last: date, zone: ZoneInfo
) -> list[tuple[Day, list[float]]]:
    """Each day, and how many seconds each of its corrections took."""
    dates = [first + timedelta(days=number) for number in range((last - first).days + 1)]
    if not dates:
        return []
    bounds = [_begin(each, zone) for each in [*dates, last + timedelta(days=1)]]
    labelled: list[list[_LabelledMail]] = [[] for _ in dates]
    with database.read() as connection:
        for mail in _labelled(connection, bounds[0], bounds[-1]):
            labelled[bisect(bounds, mail.received_at) - 1].append(mail)
        return [
            _day(connection, *of_day)
            for of_day in zip(dates, bounds[:-1], bounds[1:], labelled, strict=True)
        ]


def _begin(day: date, zone: ZoneInfo) -> datetime:
    """Its first moment; where the clocks skip midnight, that at which they do."""
    return datetime.combine(day, time(), zone).astimezone(UTC)


def _day(
    connection: Connection, day: date, start: datetime, end: datetime, labelled: list[_LabelledMail]
) -> tuple[Day, list[float]]:
    statement = (
        select(Messages.verdict, Messages.sentiment, func.count())
        .where(Messages.received_at >= start, Messages.received_at < end)
        .group_by(Messages.verdict, Messages.sentiment)
    )
    verdicts: dict[str | None, int] = {}
    sentiments: dict[str, int] = {}
    for verdict, sentiment, count in connection.execute(statement):
        verdicts[verdict] = verdicts.get(verdict, 0) + count
        if sentiment is not None:
            sentiments[sentiment] = sentiments.get(sentiment, 0) + count
    corrected = [mail for mail in labelled if mail.put_right_at is not None]
    waits = [mail.seconds for mail in corrected if mail.seconds is not None]
    found = Day(
        date=day,
        mails=sum(verdicts.values()),
        spam=verdicts.get("spam", 0),
        unjudged=verdicts.get(None, 0),
        corrected=len(corrected),
        labelled=len(labelled),
        seconds_to_correct=median(waits) if waits else None,
        false_spam=sum(mail.verdict == "spam" for mail in corrected),
        sentiments=dict(sorted(sentiments.items())),
    )
    return found, waits


def _labelled(connection: Connection, start: datetime, end: datetime) -> Iterator[_LabelledMail]:
    """The mails received in between on which a label of the task stands."""
    of_time = and_(
        Messages.id == Labels.message_id, Messages.received_at >= start, Messages.received_at < end
    )
    # An outer join, so that SQLite begins with the labels, which are few, and not with all mail
    # of that time; what is of another time comes without a receipt.
    statement = (
        select_labels()
        .add_columns(*OF_MAIL)
        .outerjoin_from(Labels, Messages, of_time)
        .where(Labels.task == TASK, Labels.at >= start - CLOCKS_DIFFER)
        .order_by(Labels.message_id, Labels.id)
        .execution_options(yield_per=ROWS_AT_ONCE)
    )
    rows = (row for row in connection.execute(statement) if row.received_at is not None)
    for _, group in groupby(rows, key=lambda row: row.message_id):
        mail = _decided(list(group))
        if mail is not None:
            yield mail


def _decided(rows: list[Row[Any]]) -> _LabelledMail | None:
    """What counts by all label rows of one mail, each with that mail's receipt and verdict."""
    standing = still_standing(Label(*row[: -len(OF_MAIL)]) for row in rows)
    if not standing:
        return None
    received_at, verdict = rows[0].received_at, rows[0].verdict
    # A mail without a verdict has none that could be wrong.
    wrong = verdict is not None and decide(standing)[TASK].label != verdict
    first = min(one.at for one in standing if one.label != verdict) if wrong else None
    return _LabelledMail(received_at, verdict, first)


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None
