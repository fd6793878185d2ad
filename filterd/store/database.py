"""An open database: how it is opened, read and written."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from sqlalchemy import Connection, Engine, inspect, text

from filterd.errors import StoreError
from filterd.store.engine import (
    WRITES,
    make_engine,
    parse_url,
    prepare_file,
    sqlite_path,
    switch_to_wal,
)
from filterd.store.faults import in_one_line
from filterd.store.migrations import HEAD, REVISIONS
from filterd.store.sealing import Sealing

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# An advisory lock, https://www.postgresql.org/docs/current/explicit-locking.html
TURN_LOCK: Final = 0x66696C74_0001


def utc_now() -> datetime:
    """The default clock of this package."""
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True, eq=False)
class Database:
    """An open database; safe to use from several threads, not across a fork.

    `name` is fit for people and logs; `path` is the file, if it is SQLite; `sealing` seals and
    opens what mail said.
    """

    name: str
    engine: Engine
    path: Path | None
    sealing: Sealing = field(default_factory=Sealing, repr=False)

    @contextlib.contextmanager
    def read(self) -> Iterator[Connection]:
        """One transaction that only reads. Raises StoreError."""
        with in_one_line(self.name), self.engine.connect() as connection:
            yield connection

    @contextlib.contextmanager
    def write(self, *, in_turn: bool = False) -> Iterator[Connection]:
        """One transaction: all of it or, if anything is raised, nothing. Raises StoreError.

        `in_turn`: one such transaction at a time, so that ids grow in the order of commits and
        what was read stays true until the end. SQLite has only this kind.
        """
        with in_one_line(self.name), self.engine.connect() as connection:
            connection.execution_options(**{WRITES: True})
            with connection.begin():
                if in_turn and self.path is None:
                    lock(connection, TURN_LOCK)
                yield connection

    def close(self) -> None:
        """Close all connections."""
        self.engine.dispose()


def open_database(url: str, sealing: Sealing | None = None) -> Database:
    """Open, and for SQLite create, the database; tables are made by `upgrade`.

    Raises StoreError: bad URL, path not writable, server out of reach, locked for 5 s, not a
    database, or a schema newer than this code.
    """
    path = sqlite_path(parse_url(url))
    if path is not None:
        prepare_file(path)
    database = _unopened(url, sealing)
    try:
        if path is not None:
            with in_one_line(database.name):
                switch_to_wal(database.engine)
        revision(database)
    except BaseException:
        database.close()
        raise
    return database


def open_to_check(url: str) -> Database:
    """The database of this URL, though it may be damaged: made is none, and looked at nothing.

    Raises StoreError: bad URL, no such file.
    """
    path = sqlite_path(parse_url(url))
    if path is not None and not path.is_file():
        raise StoreError(f"{path}: there is no such file; see `database` in the settings")
    return _unopened(url, None)


def revision(database: Database) -> str | None:
    """The schema's revision; None for an empty database. StoreError if this code is too old."""
    with database.read() as connection:
        found = _read_revision(connection)
    if found is not None and found not in REVISIONS:
        raise StoreError(
            f"{database.name}: its schema {found} was made by a newer filterd, this one knows "
            f"up to {HEAD}; update filterd, or restore a backup made before"
        )
    return found


def require_current(database: Database) -> None:
    """Raise StoreError unless the schema is what this code expects."""
    if (found := revision(database)) != HEAD:
        raise StoreError(
            f"{database.name}: its schema is {found or 'empty'}, needed is {HEAD}; run "
            "`filterd db upgrade` (`filterd serve` does so when it starts)"
        )


def lock(connection: Connection, key: int) -> None:
    """On PostgreSQL, wait for an advisory lock and hold it until the transaction ends."""
    connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": key})


def _unopened(url: str, sealing: Sealing | None) -> Database:
    parsed = parse_url(url)
    path = sqlite_path(parsed)
    name = str(path) if path else parsed.render_as_string(hide_password=True)
    return Database(name, make_engine(parsed), path, sealing or Sealing())


def _read_revision(connection: Connection) -> str | None:
    if not inspect(connection).has_table("alembic_version"):
        return None
    found: str | None = connection.scalar(text("SELECT version_num FROM alembic_version"))
    return found
