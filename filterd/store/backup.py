"""A copy of an SQLite database, made while others go on writing to it."""

from __future__ import annotations

import contextlib
import os
import sqlite3
from typing import TYPE_CHECKING

from filterd.errors import StoreError
from filterd.store.engine import prepare_file, sqlite_driver
from filterd.store.faults import in_one_line

if TYPE_CHECKING:
    from pathlib import Path

    from filterd.store.database import Database


def backup(database: Database, target: Path) -> None:
    """Copy the database as it is at one moment.

    The copy appears under `target` only when it is complete, checked and on disk; a file of that
    name is replaced. Raises StoreError, for PostgreSQL too: it has pg_dump.
    """
    if database.path is None:
        raise StoreError(f"{database.name}: to back up PostgreSQL use pg_dump")
    if target.is_dir() or (target.exists() and target.samefile(database.path)):
        raise StoreError(f"{target}: a backup needs a file of its own")
    partial = target.with_name(f".{target.name}.{os.getpid()}.partial")
    prepare_file(partial)
    try:
        with in_one_line(str(target)):
            _copy(database, partial)
        _sync(partial)
        partial.replace(target)
        _sync(target.parent)
    except OSError as error:
        raise StoreError(f"{target}: cannot be written: {error.strerror}") from None
    finally:
        partial.unlink(missing_ok=True)


def _copy(database: Database, partial: Path) -> None:
    with (
        sqlite_driver(database.engine) as source,
        contextlib.closing(sqlite3.connect(partial)) as copy,
    ):
        # All pages in one step: in WAL mode that holds nobody up, while in many steps each commit
        # of another process would make it begin again.
        source.backup(copy, pages=-1)
        if copy.execute("PRAGMA integrity_check").fetchone() != ("ok",):
            raise StoreError(f"{database.name}: damaged, and so is its copy")
        # So that the copy is one file; opening it as a database switches back.
        copy.execute("PRAGMA journal_mode = DELETE")


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
