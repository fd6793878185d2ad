"""Has anything changed that serving processes must follow? Cheap enough to ask twice a second.

PostgreSQL says so by itself (LISTEN and NOTIFY); SQLite is asked.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import structlog
from sqlalchemy import func, select, text

from filterd.store.tables import Champions, Labels

if TYPE_CHECKING:
    import threading

    from psycopg import Connection as Driver
    from sqlalchemy import Connection

    from filterd.store.database import Database

CHANNEL = "filterd_labels"
SECONDS_BETWEEN_LOOKS = 0.4
# Of waiting for PostgreSQL; what was missed while the connection was down is found after it.
LONGEST_WAIT = 5.0
WAIT_STEP = 0.5  # between looks whether the process is to end

log = structlog.get_logger(__name__)


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


def announce(connection: Connection) -> None:
    """Tell everyone who waits that labels have changed, once this transaction is committed."""
    if connection.dialect.name == "postgresql":
        connection.execute(text(f"NOTIFY {CHANNEL}"))


class LabelWait:
    """Waits for labels to change, on a thread of its own; `close` ends a connection it may hold."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._driver: Driver[tuple[object, ...]] | None = None

    def wait(self, ended: threading.Event) -> None:
        """Return when labels may have changed, or `ended` is set. Never raises.

        After half a second at most for SQLite; for PostgreSQL when it says so, or after 5 s.
        """
        if self._database.path is not None:
            ended.wait(SECONDS_BETWEEN_LOOKS)
            return
        try:
            self._listen(ended)
        except Exception as error:  # noqa: BLE001  # whatever the driver raises, asking still helps
            log.debug("cannot listen for labels, asking instead", error=str(error))
            self.close()
            ended.wait(SECONDS_BETWEEN_LOOKS)

    def close(self) -> None:
        """Close what is open."""
        driver, self._driver = self._driver, None
        if driver is not None:
            driver.close()

    def _listen(self, ended: threading.Event) -> None:
        if self._driver is None:
            self._driver = _listening(self._database)
            return  # what came before it listened is found now
        waited = 0.0
        while waited < LONGEST_WAIT and not ended.is_set():
            if any(True for _ in self._driver.notifies(timeout=WAIT_STEP, stop_after=1)):
                return
            waited += WAIT_STEP


def _listening(database: Database) -> Driver[tuple[object, ...]]:
    """A connection of its own, out of the pool: one that listens must not be given to others."""
    import psycopg  # noqa: PLC0415  # an extra that SQLite does without

    pooled = database.engine.raw_connection()
    driver = pooled.driver_connection
    pooled.detach()
    if not isinstance(driver, psycopg.Connection):
        raise TypeError(f"not psycopg: {type(driver).__name__}")
    driver.rollback()
    driver.autocommit = True
    driver.execute(f"LISTEN {CHANNEL}")
    return driver
