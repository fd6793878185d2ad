"""The schema of a database, brought up to date by Alembic. There is no way back but a backup."""

from __future__ import annotations

import contextlib
import sqlite3
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Final

from filterd.errors import StoreError
from filterd.store.damage import lost_parents
from filterd.store.database import lock, revision
from filterd.store.engine import WRITES
from filterd.store.faults import in_one_line
from filterd.store.migrations import HEAD

if TYPE_CHECKING:
    from collections.abc import Iterator

    from alembic.config import Config
    from sqlalchemy import Connection

    from filterd.store.database import Database

MIGRATIONS: Final = Path(__file__).parent / "migrations"
SCHEMA_LOCK: Final = 0x66696C74_0002
MIGRATION_TIMEOUT_MS: Final = 60_000
# Alembic keeps what it works on in module globals.
_ALEMBIC = threading.Lock()


def upgrade(database: Database) -> str | None:
    """Bring the schema to `HEAD`: all steps or none. The revision it was at before.

    Several processes may call it at once; the first does it, the others wait. Raises StoreError.
    """
    before = revision(database)
    if before != HEAD:
        from alembic import command  # noqa: PLC0415  # 0.1 s that only an upgrade needs

        with _ALEMBIC, _migration(database) as connection:
            command.upgrade(alembic_config(connection), "head")
    return before


def alembic_config(connection: Connection) -> Config:
    """What Alembic's commands need to work on `connection`; there is no alembic.ini."""
    from alembic.config import Config  # noqa: PLC0415  # as above

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    return config


@contextlib.contextmanager
def _migration(database: Database) -> Iterator[Connection]:
    """A transaction that holds the schema's lock and leaves no foreign key broken."""
    if database.path is None:
        with database.write() as connection:
            lock(connection, SCHEMA_LOCK)
            yield connection
        return
    with in_one_line(database.name), database.engine.connect() as connection:
        # To change a table SQLite needs it copied, which foreign keys would forbid. The pragma is
        # only heard outside a transaction, hence the driver's connection.
        driver = connection.connection.driver_connection
        if not isinstance(driver, sqlite3.Connection):
            raise TypeError(f"not SQLite: {database.name}")
        driver.execute("PRAGMA foreign_keys = OFF")
        driver.execute(f"PRAGMA busy_timeout = {MIGRATION_TIMEOUT_MS}")
        connection.detach()  # closed after this, not given back to the pool with these pragmas
        connection.execution_options(**{WRITES: True})
        with connection.begin():
            yield connection
            if lost_parents(connection):
                raise StoreError(f"{database.name}: upgrade given up, a row would lose its parent")
