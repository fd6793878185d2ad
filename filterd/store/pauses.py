"""What an admin has put on hold: cards in Slack, nights of training. Facts, as labels are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

from sqlalchemy import insert, select

from filterd.store.tables import Pauses

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy import Row

    from filterd.store.database import Database

What = Literal["cards", "nights"]
PAUSABLE: Final[tuple[What, ...]] = ("cards", "nights")


@dataclass(frozen=True, slots=True)
class Pause:
    """That someone put something on hold, or took it up again."""

    id: int
    what: str
    paused: bool
    by: str
    at: datetime


def set_pause(database: Database, what: What, *, paused: bool, by: str, now: datetime) -> Pause:
    """Put on hold or take up again; the row that stands. Raises StoreError."""
    columns = Pauses.__table__.columns
    with database.write(in_turn=True) as connection:
        last = connection.execute(
            select(*columns).where(Pauses.what == what).order_by(Pauses.id.desc()).limit(1)
        ).first()
        if last is not None and last.paused == paused:
            return _to_pause(last)
        statement = insert(Pauses).values(what=what, paused=paused, by=by, at=now)
        return _to_pause(connection.execute(statement.returning(*columns)).one())


def pauses(database: Database) -> dict[str, Pause]:
    """What is on hold now, and by whom. Raises StoreError."""
    statement = select(*Pauses.__table__.columns).order_by(Pauses.id)
    with database.read() as connection:
        last = {row.what: _to_pause(row) for row in connection.execute(statement)}
    return {what: pause for what, pause in last.items() if pause.paused}


def _to_pause(row: Row[Any]) -> Pause:
    return Pause(**row._mapping)  # noqa: SLF001  # the public way to a row's names, despite the name
