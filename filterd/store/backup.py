"""A copy of an SQLite database, made while others go on writing to it."""

from __future__ import annotations

import contextlib
import fcntl
import os
import sqlite3
from typing import TYPE_CHECKING, Final

from filterd.errors import StoreError
from filterd.store.engine import prepare_file, sqlite_driver
from filterd.store.faults import in_one_line

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from filterd.store.database import Database

# https://www.sqlite.org/tempfiles.html
LOG_ENDINGS: Final = ("-wal", "-shm", "-journal")


def backup(database: Database, target: Path) -> None:
    """Copy the database as it is at one moment.

    The copy appears under `target` only when it is complete, checked and on disk; a file of that
    name is replaced then. What a backup that was killed has left lies beside it, and goes with the
    next one. Raises StoreError, for PostgreSQL too: it has pg_dump.
    """
    if database.path is None:
        raise StoreError(f"{database.name}: to back up PostgreSQL use pg_dump")
    if target.is_dir() or (target.exists() and target.samefile(database.path)):
        raise StoreError(f"{target}: a backup needs a file of its own")
    log = target.with_name(f"{target.name}-wal")
    if log.exists():
        # SQLite would play it into the new file.
        raise StoreError(f"{target}: is a database in use; if it is not, remove {log.name}")
    partial = target.with_name(f".{target.name}.partial")
    prepare_file(partial)
    try:
        with _alone(partial, target):
            try:
                with in_one_line(str(target)):
                    _copy(database, partial)
                _sync(partial)
                partial.replace(target)
                _sync(target.parent)
            except BaseException:
                _remove(partial)
                raise
    except OSError as error:
        raise StoreError(f"{target}: cannot be written: {error.strerror}") from None


@contextlib.contextmanager
def _alone(partial: Path, target: Path) -> Iterator[None]:
    """Empty `partial` and hold it against others who copy to `target`, or raise StoreError."""
    with partial.open("r+b") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # Or it has become the target since it was opened.
            is_ours = os.path.samestat(os.fstat(file.fileno()), partial.stat())
        except (BlockingIOError, FileNotFoundError):
            is_ours = False
        if not is_ours:
            raise StoreError(f"{target}: another backup to it is being made")
        file.truncate(0)
        _remove_logs(partial)
        yield


def _copy(database: Database, partial: Path) -> None:
    with (
        sqlite_driver(database.engine) as source,
        contextlib.closing(sqlite3.connect(partial)) as copy,
    ):
        # Nobody takes up a half copy, so it needs no journal; it is synced as a whole.
        copy.execute("PRAGMA journal_mode = OFF")
        copy.execute("PRAGMA synchronous = OFF")
        # All pages in one step: in WAL mode that holds nobody up, while in many steps each commit
        # of another process would make it begin again.
        source.backup(copy, pages=-1)
        # So that the copy is one file; opening it as a database switches back.
        copy.execute("PRAGMA journal_mode = DELETE")
        if copy.execute("PRAGMA integrity_check").fetchone() != ("ok",):
            raise StoreError(f"{database.name}: damaged, and so is its copy")


def _remove(partial: Path) -> None:
    partial.unlink(missing_ok=True)
    _remove_logs(partial)


def _remove_logs(path: Path) -> None:
    """SQLite would play what a killed backup left into the next copy."""
    for ending in LOG_ENDINGS:
        path.with_name(path.name + ending).unlink(missing_ok=True)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
