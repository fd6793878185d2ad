"""Database errors as one clear line that never holds a parameter: parameters are mail."""

from __future__ import annotations

import contextlib
import json
import sqlite3
from typing import TYPE_CHECKING, Final

from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, StatementError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from filterd.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Iterator

# Primary result codes, https://www.sqlite.org/rescode.html; extended ones begin with these names.
SQLITE_MEANINGS: Final = {
    "SQLITE_BUSY": "locked by another process; try again, or see who holds it open",
    "SQLITE_LOCKED": "locked by another connection; try again",
    "SQLITE_FULL": "the disk is full",
    "SQLITE_IOERR": "the disk reports an input/output error",
    "SQLITE_READONLY": "not writable; filterd's user must own the file and its folder",
    "SQLITE_CANTOPEN": "cannot be opened; filterd's user must be able to write its folder",
    "SQLITE_NOTADB": "not an SQLite database",
    "SQLITE_CORRUPT": "damaged; `filterd db check` says where and what to do",
}
DAMAGED: Final = ("SQLITE_NOTADB", "SQLITE_CORRUPT")
BROKEN_ROW: Final = "a row cannot be read; `filterd db check` says which"
# What the sqlite3 module says of text that is no UTF-8; it goes on to quote it.
NO_UTF_8: Final = "Could not decode to UTF-8"
SCHEMA_MISSING: Final = "has no schema of this version; run `filterd db upgrade`"
# https://www.postgresql.org/docs/current/errcodes-appendix.html
POSTGRES_PROGRAM_LIMIT: Final = "54"
POSTGRES_UNDEFINED: Final = ("42P01", "42703")  # table, column


class RowError(StoreError):
    """The database is well, but will not take this very row; trying again cannot help."""


class DamagedError(StoreError):
    """The file is not what a database wrote."""


@contextlib.contextmanager
def in_one_line(name: str) -> Iterator[None]:
    """Turn what SQLAlchemy and drivers raise inside into StoreError or RowError.

    `name` names the database. Without the cause, whose text may quote a row.
    """
    try:
        yield
    except DBAPIError as error:
        raise _of_driver(error, error.orig or error, name) from None
    except StatementError as error:
        # A value could not be turned into what the driver takes: the driver was never asked.
        kind = type(error.orig).__name__
        raise RowError(f"{name}: a value cannot be stored: {kind}") from None
    except PoolTimeoutError:
        raise StoreError(f"{name}: all connections of this process are in use") from None
    except sqlite3.Error as error:
        raise _trouble(error, name) from None
    except json.JSONDecodeError:
        raise DamagedError(f"{name}: {BROKEN_ROW}") from None


def is_damage(error: BaseException) -> bool:
    """Whether SQLite says by this that its file is not what it wrote."""
    return str(getattr(error, "sqlite_errorname", "")).startswith(DAMAGED)


def _of_driver(error: DBAPIError, original: BaseException, name: str) -> StoreError:
    # PostgreSQL counts an index entry that is too large as operational trouble.
    state = str(getattr(original, "sqlstate", ""))
    if isinstance(error, IntegrityError | DataError) or state.startswith(POSTGRES_PROGRAM_LIMIT):
        return RowError(f"{name}: a row was refused: {_first_line(original)}")
    return _trouble(original, name)


def _trouble(error: BaseException, name: str) -> StoreError:
    kind = DamagedError if is_damage(error) else StoreError
    return kind(f"{name}: {_meaning(error)}")


def _meaning(error: BaseException) -> str:
    code = str(getattr(error, "sqlite_errorname", ""))
    for prefix, meaning in SQLITE_MEANINGS.items():
        if code.startswith(prefix):
            return meaning
    text = _first_line(error)
    if text.startswith(NO_UTF_8):
        return BROKEN_ROW
    undefined = getattr(error, "sqlstate", "") in POSTGRES_UNDEFINED
    if undefined or text.startswith(("no such table", "no such column")):
        return SCHEMA_MISSING
    return text


def _first_line(error: BaseException) -> str:
    # PostgreSQL quotes the failing row in later lines ("DETAIL: …").
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
