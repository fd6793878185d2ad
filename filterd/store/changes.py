"""Has anything changed that serving processes must follow? Cheap enough to ask each second."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import func, select

from filterd.store.tables import Champions, Labels

if TYPE_CHECKING:
    from filterd.store.database import Database


@dataclass(frozen=True, slots=True)
class ChangeMark:
    """The newest label row (undos are rows too) and champion row; 0 if there is none.

    Ids grow in the order of commits, so what comes after a mark is all that is new since.
    """

    labels: int
    champions: int


def change_mark(database: Database) -> ChangeMark:
    """Where labels and champion stand now; two index look-ups. Raises StoreError."""
    newest_label = select(func.coalesce(func.max(Labels.id), 0)).scalar_subquery()
    newest_champion = select(func.coalesce(func.max(Champions.id), 0)).scalar_subquery()
    with database.read() as connection:
        row = connection.execute(select(newest_label, newest_champion)).one()
    return ChangeMark(labels=row[0], champions=row[1])
