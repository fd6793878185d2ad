"""Which deliveries of Slack were taken up: it may repeat one, to another replica too."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import insert, select

from filterd.store.faults import RowError
from filterd.store.tables import SlackEvents

if TYPE_CHECKING:
    from datetime import datetime

    from filterd.store.database import Database


def take_up(database: Database, key: str, now: datetime) -> bool:
    """Whether this delivery is new; from now on it is not. Raises StoreError."""
    try:
        with database.write() as connection:
            connection.execute(insert(SlackEvents).values(key=key, at=now))
    except RowError:
        with database.read() as connection:
            if connection.scalar(select(SlackEvents.key).where(SlackEvents.key == key)) is None:
                raise
        return False
    return True
