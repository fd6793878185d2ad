"""`filterd db check` finds what is damaged, says what to do, and that helps."""

import contextlib
import random
import re
import sqlite3
import subprocess
import sys

import pytest
from daemon_process import environment
from sqlalchemy import text
from store_records import make_record

from filterd.errors import StoreError
from filterd.store.damage import check
from filterd.store.database import open_database, open_to_check
from filterd.store.labels import add_label
from filterd.store.messages import get, recent, write_batch
from filterd.store.tables import Base

pytest_plugins = ("store_fixtures",)

PAGE = 4096
INDEXES = sorted(index.name for table in Base.metadata.sorted_tables for index in table.indexes)


@pytest.fixture
def filled(database):
    """A database with some mails and labels."""
    write_batch(database, [make_record(number, text="Confidential") for number in range(60)])
    for number in range(30):
        add_label(database, make_record(number).id, "spam", "spam", "ann", "cli")
    return database


@pytest.fixture
def file(sqlite_database):
    """The file of one, which nobody has open."""
    write_batch(sqlite_database, [make_record(number, text="Confidential") for number in range(60)])
    add_label(sqlite_database, make_record(1).id, "spam", "spam", "ann", "cli")
    sqlite_database.close()
    return sqlite_database.path


def change(file, *statements):
    with contextlib.closing(sqlite3.connect(file)) as driver, driver:
        for statement in statements:
            driver.execute(*statement if isinstance(statement, tuple) else (statement,))


def overwrite(file, column, raw, kind):
    """Of the seventh mail."""
    statement = f"UPDATE messages SET {column} = CAST(? AS {kind}) WHERE rowid = 7"  # noqa: S608  # our own names
    change(file, (statement, (raw,)))


def checked(file):
    database = open_to_check(f"sqlite:///{file}")
    try:
        return check(database)
    finally:
        database.close()


def command(file, *arguments):
    return subprocess.run(
        [sys.executable, "-m", "filterd", *arguments],
        check=False,
        cwd=file.parent,
        env=environment(FILTERD_DATABASE=f"sqlite:///{file}"),
        capture_output=True,
        text=True,
    )


@pytest.mark.scenario(
    "S30",
    "each page of a database overwritten in turn; the file cut off",
    "`filterd db check` finds it, names the table if it can, and says what to do",
)
def test_a_damaged_page_is_found_wherever_it_is(file, tmp_path, record_property):
    whole, noise = file.read_bytes(), random.Random(1).randbytes(PAGE)
    copy, named = tmp_path / "damaged.db", set()
    pages = len(whole) // PAGE
    for page in range(pages):
        copy.write_bytes(whole[: page * PAGE] + noise + whole[(page + 1) * PAGE :])
        (problem,) = checked(copy)
        found = re.match(
            rf"{copy}: the file is damaged(?: in (.+))?: stop filterd, then restore a backup, or"
            rf" save what can be read: `sqlite3 {copy} ",
            problem,
        )
        assert found, problem
        named |= set((found[1] or "").split(", "))
    assert {"messages", "labels", "alembic_version"} <= named
    copy.write_bytes(whole[: len(whole) // 2])
    assert "the file is damaged" in checked(copy)[0]
    record_property("figure", f"{pages} of {pages} pages")


@pytest.mark.scenario(
    "S31",
    "an index is missing, or does not fit its table",
    "`filterd db check` names it; what it says to run mends it",
)
def test_indexes_that_are_missing_can_be_made_anew_as_told(filled):
    with filled.write() as connection:
        for index in INDEXES:
            connection.execute(text(f"DROP INDEX {index}"))
    found = [
        re.fullmatch(r"\w+: index (\w+) is missing: run `(CREATE INDEX .+)`", problem)
        for problem in check(filled)
    ]
    assert sorted(one[1] for one in found) == INDEXES
    with filled.write() as connection:
        for one in found:
            connection.exec_driver_sql(one[2])
    assert check(filled) == []


@pytest.mark.scenario(
    "S31",
    "an index is missing, or does not fit its table",
    "`filterd db check` names it; what it says to run mends it",
)
def test_an_index_that_does_not_fit_its_table_can_be_mended_as_told(file):
    with contextlib.closing(sqlite3.connect(file, isolation_level=None)) as driver:
        driver.execute("PRAGMA writable_schema = ON")
        row = driver.execute(
            "DELETE FROM sqlite_master WHERE name = 'ix_messages_digest' RETURNING *"
        ).fetchone()
    write_anew(file)
    with contextlib.closing(sqlite3.connect(file, isolation_level=None)) as driver:
        driver.execute("PRAGMA writable_schema = ON")
        driver.execute("INSERT INTO sqlite_master VALUES (?, ?, ?, ?, ?)", row)
    (problem,) = checked(file)
    told = f"stop filterd, then run `sqlite3 {file} 'REINDEX ix_messages_digest'`"
    assert problem == f"{file}: index ix_messages_digest does not fit its table: {told}"
    change(file, "REINDEX ix_messages_digest")
    assert checked(file) == []


def write_anew(file):
    """Rows that an index which is not there cannot know."""
    database = open_database(f"sqlite:///{file}")
    write_batch(database, [make_record(number) for number in range(1000, 1010)])
    database.close()


@pytest.mark.scenario(
    "S32",
    "a value that cannot be read: no JSON, no time, no UTF-8, half a vector, of another kind",
    "`filterd db check` names table, row and column, and quotes nothing of it",
)
@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("scores", '{"spam": {"Confidential'),
        ("scores", '"Confidential"'),
        ("recipients", b"Confidential"),
        ("received_at", "Confidential"),
        ("subject", b"Confidential"),
        ("text", "\udcff Confidential"),
        ("embedding", b"\x00\x00\x00"),
        ("spam", "Confidential"),
        ("size", "Confidential"),
    ],
)
def test_a_value_that_cannot_be_read_is_found_and_not_quoted(file, column, value):
    raw = value.encode(errors="surrogateescape") if isinstance(value, str) else value
    overwrite(file, column, raw, "TEXT" if isinstance(value, str) else "BLOB")
    (problem,) = checked(file)
    assert problem.startswith(f"messages: row 7: {column} cannot be read: ")
    assert "Confidential" not in problem


@pytest.mark.parametrize(
    ("column", "value"), [("scores", '{"spam": Confidential'), ("subject", "\udcff Confidential")]
)
def test_who_reads_a_broken_row_is_told_to_check_and_nothing_is_quoted(file, column, value):
    overwrite(file, column, value.encode(errors="surrogateescape"), "TEXT")
    database = open_database(f"sqlite:///{file}")
    with pytest.raises(StoreError, match="a row cannot be read; `filterd db check` says which$"):
        recent(database, 100)
    assert get(database, make_record(1).id) is not None
    database.close()


def test_of_many_broken_rows_some_are_named_and_the_others_counted(file):
    change(file, "UPDATE messages SET scores = 'x'")
    problems = checked(file)
    assert len(problems) == 11
    assert problems[-1] == "messages: 50 more values cannot be read"


@pytest.mark.scenario(
    "S33",
    "a table or a column is missing, or the note which schema this is",
    "`filterd db check` names it and says what to do",
)
@pytest.mark.parametrize("table", ["messages", "labels", "slack_events"])
def test_a_table_that_is_missing_is_named(filled, table):
    if filled.path is not None:
        change(filled.path, f"DROP TABLE {table}")
    else:
        with filled.write() as connection:
            connection.execute(text(f"DROP TABLE {table} CASCADE"))
    assert f"table {table} is missing: restore a backup" in check(filled)


@pytest.mark.scenario(
    "S33",
    "a table or a column is missing, or the note which schema this is",
    "`filterd db check` names it and says what to do",
)
def test_a_column_that_is_missing_is_named(filled):
    with filled.write() as connection:
        connection.execute(text("ALTER TABLE messages DROP COLUMN head"))
    assert check(filled) == ["messages: column head is missing: restore a backup"]


@pytest.mark.scenario(
    "S33",
    "a table or a column is missing, or the note which schema this is",
    "`filterd db check` names it and says what to do",
)
def test_a_database_that_does_not_say_its_schema_is_not_taken_for_an_empty_one(filled):
    with filled.write() as connection:
        connection.execute(text("DROP TABLE alembic_version"))
    (problem,) = check(filled)
    assert problem.endswith("does not say any more which schema it has: restore a backup")


def test_what_somebody_added_is_no_damage(filled):
    with filled.write() as connection:
        connection.execute(text("CREATE TABLE mine (something TEXT)"))
        connection.execute(text("CREATE INDEX my_index ON messages (helo)"))
    assert check(filled) == []


def test_the_command_ends_with_1_and_a_line_for_each_problem(file):
    change(file, "DROP TABLE slack_events", "UPDATE messages SET scores = 'x' WHERE rowid < 3")
    before = file.read_bytes()
    ran = command(file, "db", "check")
    assert ran.returncode == 1
    assert [line.partition(":")[0] for line in ran.stderr.splitlines()] == [
        "table slack_events is missing",
        "messages",
        "messages",
    ]
    assert file.read_bytes() == before


def test_the_command_makes_no_database_where_there_is_none(file):
    file.unlink()
    ran = command(file, "db", "check")
    assert ran.returncode == 74
    assert ran.stderr == (
        f"filterd: {file}: there is no such file; see `database` in the settings\n"
    )
    assert not file.exists()
