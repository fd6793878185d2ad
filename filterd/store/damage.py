"""What is wrong with a database and what a person can do about it: its pages, tables and rows."""

from __future__ import annotations

import contextlib
import re
import shlex
import sqlite3
from datetime import datetime
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import JSON, inspect
from sqlalchemy.schema import CreateIndex

from filterd.errors import StoreError
from filterd.store.database import require_current, revision
from filterd.store.faults import in_one_line, is_damage
from filterd.store.tables import Base

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from sqlalchemy import Column, Connection, Dialect, Table

    from filterd.store.database import Database

# What SQLite keeps in place of these; dict is what SQLAlchemy says of JSON.
STORED: Final[dict[type, Any]] = {datetime: str, dict: str, bool: int, float: float | int}
# Of one table; who has more than that will not mend them one by one.
MOST_ROWS: Final = 10
RESTORE: Final = "restore a backup"
# A dump that met damage ends in taking everything back. (`.recover` is not in every sqlite3.)
DAMAGE_TAKEN: Final = "sed 's/^ROLLBACK.*/COMMIT;/'"
# What PRAGMA integrity_check says of an index whose own pages are well.
OF_AN_INDEX: Final = re.compile(
    r"row \d+ missing from index (?P<missing>\S+)"
    r"|wrong # of entries in index (?P<count>\S+)"
    r"|non-unique entry in index (?P<twice>\S+)"
)


def check(database: Database) -> list[str]:
    """What is wrong with the database and what to do, a line each; nothing if it is well.

    Reads the whole file of an SQLite database; of PostgreSQL, which watches over its pages and
    rows itself, only what tables, columns and indexes there are. Raises StoreError if it cannot
    be read at all.
    """
    if database.path is not None and (found := _of_pages(database, database.path)):
        return found
    with database.read() as connection:
        tables = set(inspect(connection).get_table_names())
    try:
        if revision(database) is None and tables & Base.metadata.tables.keys():
            return [f"{database.name}: does not say any more which schema it has: {RESTORE}"]
        require_current(database)
    except StoreError as error:
        return [str(error)]
    with database.read() as connection:
        found = [*_of_tables(connection)]
        if database.path is not None:
            found += lost_parents(connection)
    if database.path is not None:
        present = [table for table in Base.metadata.sorted_tables if table.name in tables]
        found += _of_rows(database, database.path, present)
    return found


def lost_parents(connection: Connection) -> list[str]:
    """Rows of an SQLite database that refer to what is not there, a line each."""
    return [
        f"{table}: row {row} refers to a row of {parent} that is not there: "
        f"remove it by hand (rowid {row}), or {RESTORE}"
        for table, row, parent, _ in connection.exec_driver_sql("PRAGMA foreign_key_check")
    ]


def _of_pages(database: Database, path: Path) -> list[str]:
    """What SQLite itself finds. What stands in a damaged file is not looked at any more."""
    with contextlib.closing(sqlite3.connect(path)) as driver, in_one_line(database.name):
        found = _integrity(driver)
        tables = [] if found == ["ok"] else _tables_that_break(driver)
    if found == ["ok"]:
        return []
    file = shlex.quote(str(path))
    indexes = [OF_AN_INDEX.fullmatch(line) for line in found]
    if found and all(indexes):
        names = sorted({name for match in indexes if match for name in match.groups() if name})
        return [
            f"{path}: index {name} does not fit its table: "
            f"stop filterd, then run `sqlite3 {file} 'REINDEX {name}'`"
            for name in names
        ]
    where = f" in {', '.join(tables)}" if tables else ""
    rescue = f"save what can be read: `sqlite3 {file} .dump | {DAMAGE_TAKEN} | sqlite3 NEW`"
    return [f"{path}: the file is damaged{where}: stop filterd, then {RESTORE}, or {rescue}"]


def _integrity(driver: sqlite3.Connection, table: str = "") -> list[str]:
    """The lines of PRAGMA integrity_check, of one table if it is named; none if that fails."""
    pragma = f"PRAGMA integrity_check({_quoted(table)})" if table else "PRAGMA integrity_check"
    try:
        rows = driver.execute(pragma).fetchall()
    except sqlite3.DatabaseError as error:
        if not is_damage(error):
            raise
        return []
    return [line for (text,) in rows for line in str(text).splitlines()]


def _tables_that_break(driver: sqlite3.Connection) -> list[str]:
    """Those in which damage can be found; none if not even their names can be read."""
    try:
        rows = driver.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
    except sqlite3.DatabaseError as error:
        if not is_damage(error):
            raise
        return []
    return sorted(name for (name,) in rows if _integrity(driver, name) != ["ok"])


def _of_tables(connection: Connection) -> Iterator[str]:
    """What of the schema is not there. What somebody added is nobody's damage."""
    from alembic.autogenerate import compare_metadata  # noqa: PLC0415  # 0.1 s
    from alembic.migration import MigrationContext  # noqa: PLC0415  # as above

    changes = compare_metadata(MigrationContext.configure(connection), Base.metadata)
    missing = {change[1].name for change in changes if change[0] == "add_table"}
    for change in changes:
        if isinstance(change, list):
            _, _, table, column = change[0][:4]
            yield f"{table}: column {column} is not as filterd made it: {RESTORE}"
            continue
        match change:
            case "add_table", table:
                yield f"table {table.name} is missing: {RESTORE}"
            case "add_column", _, table, column:
                yield f"{table}: column {column.name} is missing: {RESTORE}"
            case "add_index", index if index.table.name not in missing:
                statement = CreateIndex(index).compile(dialect=connection.dialect)
                again = " ".join(str(statement).split())
                yield f"{index.table.name}: index {index.name} is missing: run `{again}`"
            case "add_constraint" | "add_fk", rule if rule.table.name not in missing:
                yield f"{rule.table.name}: constraint {rule.name} is missing: {RESTORE}"


def _of_rows(database: Database, path: Path, tables: Iterable[Table]) -> list[str]:
    found: list[str] = []
    with in_one_line(database.name), contextlib.closing(sqlite3.connect(path)) as driver:
        # What is no UTF-8 is to be found, not to end the search.
        driver.text_factory = lambda raw: raw.decode(errors="surrogateescape")
        for table in tables:
            broken = _unreadable(driver, table, database.engine.dialect)
            found += islice(broken, MOST_ROWS)
            if more := sum(1 for _ in broken):
                found.append(f"{table.name}: {more} more values cannot be read")
    return found


def _unreadable(driver: sqlite3.Connection, table: Table, dialect: Dialect) -> Iterator[str]:
    known = {name for _, name, *_ in driver.execute(f"PRAGMA table_info({_quoted(table.name)})")}
    columns = [column for column in table.columns if column.name in known]
    readers = [_reader(column, dialect) for column in columns]
    names = ", ".join(_quoted(column.name) for column in columns)
    statement = f"SELECT rowid, {names} FROM {_quoted(table.name)}"  # noqa: S608  # our own names
    for row, *values in driver.execute(statement):
        for column, read, value in zip(columns, readers, values, strict=True):
            if value is not None and not read(value):
                yield (
                    f"{table.name}: row {row}: {column.name} cannot be read: "
                    f"set it right by hand (rowid {row}), or {RESTORE}"
                )


def _reader(column: Column[Any], dialect: Dialect) -> Callable[[Any], bool]:
    """Whether a value as SQLite has it is one that this column's readers take."""
    kind = column.type.dialect_impl(dialect)
    convert = kind.result_processor(dialect, None)
    plain = getattr(kind, "impl_instance", kind)
    stored = STORED.get(plain.python_type, plain.python_type)

    def can_be_read(value: Any) -> bool:
        if not isinstance(value, stored):
            return False
        try:
            if isinstance(value, str):
                value.encode()
            read = value if convert is None else convert(value)
        except (ValueError, TypeError):
            return False
        return not isinstance(plain, JSON) or isinstance(read, dict | list)

    return can_be_read


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
