"""From a URL to an SQLAlchemy engine: files, pragmas, how a transaction begins."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError

from filterd.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

FORMS: Final = "sqlite:///PATH or postgresql://USER:PASSWORD@HOST/NAME"
POSTGRES_NAMES: Final = ("postgres", "postgresql", "postgresql+psycopg")
SECRET_OPTIONS: Final = frozenset({"password", "sslpassword"})
BUSY_TIMEOUT: Final = 5.0  # seconds
CONNECT_TIMEOUT: Final = 5  # seconds
# Execution option of a connection that will write: see _begin_as_asked.
WRITES: Final = "filterd_writes"
SQLITE_PRAGMAS: Final = (
    "PRAGMA foreign_keys = ON",
    # In WAL mode a commit is safe from a crash of ours; a power cut may take the last ones.
    "PRAGMA synchronous = NORMAL",
    # What retention removes must not be readable in the file's free pages.
    "PRAGMA secure_delete = ON",
)


def parse_url(text: str) -> URL:
    """The URL, its PostgreSQL driver filled in. Raises StoreError, never quoting a password."""
    try:
        url = make_url(text)
    except (ArgumentError, ValueError):
        raise StoreError(f"database: cannot be understood as a URL; write {FORMS}") from None
    if not SECRET_OPTIONS.isdisjoint(url.query):
        # Behind the question mark it would be shown wherever the URL is.
        raise StoreError(
            "database: a password stands before the host, USER:PASSWORD@HOST, or in the file that "
            "database_password_file names"
        )
    if url.drivername in POSTGRES_NAMES:
        return url.set(drivername="postgresql+psycopg")
    if url.drivername not in ("sqlite", "sqlite+pysqlite"):
        raise StoreError(f"database: {url.drivername} is not supported; write {FORMS}")
    if url.database in (None, "", ":memory:") or url.query:
        raise StoreError(
            "database: SQLite needs a file that the processes can share, and takes no options; "
            "write sqlite:///PATH"
        )
    return url.set(drivername="sqlite+pysqlite")


def with_password(text: str, password: str) -> str:
    """The URL with this password. Raises StoreError if it has one or can have none."""
    url = parse_url(text)
    if sqlite_path(url) is not None or url.password is not None:
        raise StoreError("database: with database_password_file it must be a URL without password")
    return url.set(password=password).render_as_string(hide_password=False)


def sqlite_path(url: URL) -> Path | None:
    """The file of an SQLite URL; None for PostgreSQL."""
    return Path(str(url.database)) if url.get_backend_name() == "sqlite" else None


def make_engine(url: URL) -> Engine:
    """An engine that is connected to nothing yet. Raises StoreError if the driver is missing."""
    if url.get_backend_name() == "sqlite":
        return _sqlite_engine(url)
    defaults = {"connect_timeout": CONNECT_TIMEOUT, "application_name": "filterd"}
    arguments = {key: value for key, value in defaults.items() if key not in url.query}
    try:
        return create_engine(url, connect_args=arguments, hide_parameters=True, pool_pre_ping=True)
    except ModuleNotFoundError:
        raise StoreError(
            "database: PostgreSQL needs the extra `postgres`: pip install 'filterd[postgres]'"
        ) from None


def prepare_file(path: Path) -> None:
    """Make the file, and its folder, readable by its owner only, or raise StoreError."""
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    except OSError as error:
        raise StoreError(f"{path}: cannot be opened for writing: {error.strerror}") from None


def switch_to_wal(
    engine: Engine, clock: Callable[[], float] = time.monotonic, pause: float = 0.02
) -> None:
    """Readers and one writer at the same time. The mode is the file's own, so once is enough.

    Several processes may find a new file at once; SQLite answers all but one of them "locked",
    without the patience of busy_timeout.
    """
    deadline = clock() + BUSY_TIMEOUT
    with sqlite_driver(engine) as connection:
        while connection.execute("PRAGMA journal_mode").fetchone() != ("wal",):
            try:
                # Only takes effect in an empty file; gives room back without a long VACUUM.
                connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
                connection.execute("PRAGMA journal_mode = WAL")
            except sqlite3.OperationalError as error:
                if error.sqlite_errorname != "SQLITE_BUSY" or clock() > deadline:
                    raise
                time.sleep(pause)


@contextlib.contextmanager
def sqlite_driver(engine: Engine) -> Iterator[sqlite3.Connection]:
    """SQLite's own connection, in no transaction, for what SQLAlchemy has no words for."""
    pooled = engine.raw_connection()
    try:
        if not isinstance(pooled.driver_connection, sqlite3.Connection):
            raise TypeError(f"not SQLite: {engine.dialect.name}")
        yield pooled.driver_connection
    finally:
        pooled.close()


def _sqlite_engine(url: URL) -> Engine:
    # isolation_level None: the driver begins nothing by itself, so that _begin_as_asked can, and
    # schema changes are part of the transaction.
    arguments = {"timeout": BUSY_TIMEOUT, "isolation_level": None}
    engine = create_engine(url, connect_args=arguments, hide_parameters=True)
    event.listen(engine, "connect", _set_pragmas)
    event.listen(engine, "begin", _begin_as_asked)
    return engine


def _set_pragmas(connection: sqlite3.Connection, _record: Any) -> None:
    for pragma in SQLITE_PRAGMAS:
        connection.execute(pragma)


def _begin_as_asked(connection: Connection) -> None:
    """Take the write lock at once where writing is meant.

    A transaction that has read and then writes is refused without any waiting if someone else
    wrote in between (SQLITE_BUSY_SNAPSHOT).
    """
    writes = connection.get_execution_options().get(WRITES, False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")
