"""What goes wrong in the mail path for a while: written by its processes, read by the bot.

A row begins, is said to go on, and ends. One that is said no more was left by a process that died
with it, and counts as over.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import insert, or_, select, update

from filterd.store.tables import Incidents

if TYPE_CHECKING:
    from collections.abc import Collection
    from datetime import datetime

    from sqlalchemy import ColumnElement

    from filterd.store.database import Database

# Six times the half minute after which a process says that it still goes on: room for a database
# that is slow or away for a moment.
STALE: Final = timedelta(minutes=3)


@dataclass(frozen=True, slots=True)
class Incident:
    """One row; the columns of `incidents` say what each field is."""

    id: int
    kind: str
    source: str
    text: str
    began_at: datetime
    seen_at: datetime
    ended_at: datetime | None


def begin(database: Database, kind: str, source: str, text: str, now: datetime) -> int:
    """Write that something goes wrong from `now` on; the row's number. Raises StoreError."""
    values = {"kind": kind, "source": source, "text": text, "began_at": now, "seen_at": now}
    statement = insert(Incidents).values(values).returning(Incidents.id)
    with database.write() as connection:
        return connection.execute(statement).scalar_one()


def keep(database: Database, ids: Collection[int], now: datetime) -> None:
    """Say of those that have not ended that they still go on. Raises StoreError."""
    _change(database, Incidents.id.in_(ids), seen_at=now)


def end(database: Database, incident_id: int, now: datetime) -> None:
    """Say that it is over; the first end counts. Raises StoreError."""
    _change(database, Incidents.id == incident_id, ended_at=now)


def going_on(database: Database, now: datetime, stale: timedelta = STALE) -> list[Incident]:
    """What goes wrong now, oldest first: not ended, and seen within `stale`. Raises StoreError."""
    return _read(database, Incidents.ended_at.is_(None), Incidents.seen_at >= now - stale)


def since(database: Database, moment: datetime) -> list[Incident]:
    """What went wrong at `moment` or later, oldest first, over or not. Raises StoreError."""
    return _read(database, or_(Incidents.seen_at >= moment, Incidents.ended_at >= moment))


def _change(database: Database, which: ColumnElement[bool], **values: Any) -> None:
    statement = update(Incidents).where(which, Incidents.ended_at.is_(None)).values(values)
    with database.write() as connection:
        connection.execute(statement)


def _read(database: Database, *conditions: ColumnElement[bool]) -> list[Incident]:
    statement = select(*Incidents.__table__.columns).where(*conditions)
    with database.read() as connection:
        rows = connection.execute(statement.order_by(Incidents.began_at, Incidents.id))
        return [Incident(**row._mapping) for row in rows]  # noqa: SLF001  # the public way to a row's names, despite the name
