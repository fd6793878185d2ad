"""From every schema that was ever released to today's: nothing lost, nothing half, no way back."""

import os
import sqlite3
import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor
from datetime import timedelta

import pytest
from alembic.script import ScriptDirectory
from daemon_process import environment
from released_schemas import (
    BARE,
    FULL,
    LABELLED,
    LONG_AGO,
    NOON,
    ODD,
    ROWS,
    description,
    everything,
    kept_schema,
    make_released,
    statements_of,
)
from store_records import make_record
from store_writers import PROCESSES, listen, open_upgrade_and_check, start, upgrade_and_die

from filterd.store import incidents, models
from filterd.store.damage import check
from filterd.store.database import open_database, revision
from filterd.store.labels import add_label, history, newest_standing
from filterd.store.leases import current_lease, take_lease
from filterd.store.lessons import decided_labels
from filterd.store.messages import arrived, find, get, recent, unlabelled, write_batch
from filterd.store.migrations import HEAD, REVISIONS
from filterd.store.pauses import pauses
from filterd.store.posts import get_post, posts_of
from filterd.store.runs import due_run, latest_runs, take_run
from filterd.store.schema import MIGRATIONS, upgrade
from filterd.store.scores import scores_of, write_scores
from filterd.store.tables import Base

pytest_plugins = ("store_fixtures",)

LONG = bool(os.environ.get("STORE_LONG"))
# Of the statements of an upgrade, each so-manieth is one before which it is killed.
STEP = 1 if LONG else 7
OLD = REVISIONS[:-1]


@pytest.fixture
def empty(url):
    database = open_database(url)
    yield database
    database.close()


@pytest.mark.parametrize("number", REVISIONS)
def test_each_revision_makes_what_it_made_when_it_was_released(empty, number):
    # A new revision: STORE_KEEP=1 writes its file; a released one is never written again.
    path, said = kept_schema(number, empty.engine.name), statements_of(empty, number)
    if os.environ.get("STORE_KEEP") and not path.exists():
        path.write_text(said)
    assert path.read_text() == said


@pytest.mark.scenario(
    "S20",
    "upgrade from every released schema, with rows in all tables: empty, odd, long",
    "the schema is that of a new database, every row is as it was, and today's functions read it",
)
@pytest.mark.parametrize("number", REVISIONS)
def test_from_every_released_schema_all_rows_come_along(empty, number):
    make_released(empty, number)
    before = everything(empty)
    assert upgrade(empty) == number
    assert revision(empty) == HEAD
    assert check(empty) == []
    after = everything(empty)
    del before["alembic_version"]
    for table, columns in before.items():
        assert {name: after[table][name] for name in columns} == columns
    read_and_write(empty, rows_of=set(before))
    assert_is_as_new(empty)


def read_and_write(database, rows_of):
    """What today's functions say of the rows, and that they can add to them."""
    full = get(database, FULL)
    assert (full.subject, full.recipients) == (ODD * 5, (ODD, "b@example.com"))
    assert (full.text, full.embedding.shape) == (ODD * 5000, (192,))
    assert full.scores[ODD] == {ODD: 0.5}
    assert [record.id for record in recent(database, 9)] == [BARE, FULL, LABELLED]
    assert [record.id for record in find(database, "Grüße 你好")] == [FULL]
    assert get(database, BARE).received_at == NOON
    assert [record.id for record in arrived(database, LONG_AGO, 9)] == [LABELLED, FULL]
    assert unlabelled(database, "spam", LONG_AGO, 9) == []
    assert [row.label for row in history(database, LABELLED)] == ["spam", "ham"]
    assert {label.id for label in newest_standing(database, 9)} == {2, 3}
    assert [one.label for one in decided_labels(database, "spam", 5)] == ["ham", "spam"]
    assert models.champion(database).version == "2026-01-01.1"
    assert models.champions(database)[-1].takes_back == 2
    assert {row.version for row in models.bundles(database)} == {"2026-01-01.1", "2026-01-02.1"}
    assert {run.state for run in latest_runs(database, 9)} == {"waiting", "promoted"}
    assert due_run(database, NOON).figures == {"gate": [1, 2.5, None, ODD]}
    assert current_lease(database, ODD, NOON).token == 1
    if "slack_posts" in rows_of:
        assert get_post(database, f"card:{FULL}").message_id == FULL
        assert len(posts_of(database, "card", LONG_AGO)) == 2
        assert len(incidents.since(database, LONG_AGO)) == 2
        assert pauses(database)["cards"].by == ODD
    if "bundle_scores" in rows_of:
        assert scores_of(database, "2026-01-01.1", [FULL]) == {FULL: 1 / 3}
    write_batch(database, [make_record(1)])
    assert add_label(database, BARE, "spam", "ham", "ann", "cli").id == 6
    lease = take_lease(database, "trainer", "me", now=NOON, lasts=timedelta(hours=1))
    assert lease.token == 2**40 + 1
    write_scores(database, "2026-01-02.1", {FULL: 0.5})
    assert take_run(database, "me", lease.token, NOON).created_at == NOON


def assert_is_as_new(database):
    """The tables are those that the code describes, made by it in an empty database."""
    with database.read() as connection:
        upgraded = description(connection)
    with database.write() as connection:
        Base.metadata.drop_all(connection)
        Base.metadata.create_all(connection)
    with database.read() as connection:
        assert description(connection) == upgraded


def test_there_are_rows_for_every_table():
    assert ROWS.keys() == Base.metadata.tables.keys()


@pytest.mark.timeout(900 if LONG else 120)
@pytest.mark.scenario(
    "S21",
    "kill -9 between the statements of an upgrade",
    "the database is as before, and the next upgrade ends well",
)
def test_an_upgrade_that_is_killed_has_not_begun(empty, url, record_property):
    make_released(empty, REVISIONS[0])
    before, kills, told = everything(empty), 0, []
    for statement in range(0, 1000, STEP):
        process, pipe = start(upgrade_and_die, url, statement)
        told = listen(pipe)
        process.join()
        if told:
            break
        kills += 1
        assert revision(empty) == REVISIONS[0]
        assert everything(empty) == before
    assert told > [20]
    assert revision(empty) == HEAD
    assert check(empty) == []
    record_property("figure", f"{kills} kills in {told[0]} statements")


@pytest.mark.scenario(
    "S22",
    "four processes upgrade an old database at once",
    "one does it, the others wait; all find it sound",
)
@pytest.mark.parametrize("number", OLD if LONG else OLD[:1])
def test_processes_that_upgrade_an_old_database_at_once_all_succeed(empty, url, number):
    make_released(empty, number)
    with ProcessPoolExecutor(4, mp_context=PROCESSES) as processes:
        assert list(processes.map(open_upgrade_and_check, [url] * 4)) == [[]] * 4
    assert len(everything(empty)["messages"]["id"]) == 3


@pytest.mark.scenario(
    "S23",
    "a database that a newer filterd has upgraded",
    "is refused with exit code 74 and a line that says what to do, and is left as it is",
)
def test_a_newer_schema_is_refused_by_the_commands_and_left_as_it_is(sqlite_database, tmp_path):
    newer = sqlite_database.path
    sqlite_database.close()
    with sqlite3.connect(newer) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '0999'")
    connection.close()
    before = newer.read_bytes()
    for command in (["db", "upgrade"], ["serve"]):
        ran = filterd(tmp_path, newer, *command)
        assert ran.returncode == 74
        (line,) = ran.stderr.splitlines()
        assert "its schema 0999 was made by a newer filterd" in line
        assert "update filterd, or restore a backup made before" in line
    assert newer.read_bytes() == before


def filterd(folder, database, *arguments):
    return subprocess.run(
        [sys.executable, "-m", "filterd", *arguments],
        check=False,
        cwd=folder,
        env=environment(FILTERD_DATABASE=f"sqlite:///{database}", FILTERD_LISTEN="127.0.0.1:0"),
        capture_output=True,
        text=True,
    )


def test_there_is_no_way_back_to_an_older_schema():
    scripts = ScriptDirectory(str(MIGRATIONS)).walk_revisions()
    assert [script.revision for script in scripts if hasattr(script.module, "downgrade")] == []
