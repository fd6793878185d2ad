"""Opening, migrating, checking and copying real databases."""

import os
import re
import sqlite3
import subprocess
import sys
import threading
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import inspect, text
from store_records import make_record
from store_writers import PROCESSES, open_upgrade_and_check

from filterd.errors import StoreError
from filterd.store.backup import backup
from filterd.store.damage import check
from filterd.store.database import open_database, require_current, revision
from filterd.store.labels import add_label
from filterd.store.messages import get, recent, write_batch
from filterd.store.migrations import HEAD, REVISIONS
from filterd.store.schema import MIGRATIONS, upgrade
from filterd.store.tables import Base

pytest_plugins = ("store_fixtures",)


def pragma(database, name):
    with database.read() as connection:
        return connection.exec_driver_sql(f"PRAGMA {name}").scalar()


def test_opening_makes_the_folder_and_a_file_that_only_its_owner_can_read(tmp_path):
    path = tmp_path / "var" / "lib" / "filterd.db"
    open_database(f"sqlite:///{path}").close()
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700


def test_sqlite_runs_in_wal_mode_with_foreign_keys_and_patience(sqlite_database):
    assert pragma(sqlite_database, "journal_mode") == "wal"
    assert pragma(sqlite_database, "synchronous") == 1  # NORMAL
    assert pragma(sqlite_database, "foreign_keys") == 1
    assert pragma(sqlite_database, "busy_timeout") == 5000
    assert pragma(sqlite_database, "secure_delete") == 1
    assert pragma(sqlite_database, "auto_vacuum") == 2  # INCREMENTAL


def test_a_relative_path_is_taken_from_the_working_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    open_database("sqlite:///var/filterd.db").close()
    assert (tmp_path / "var" / "filterd.db").is_file()


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("nonsense", "cannot be understood as a URL"),
        ("mysql://root:secret@host/db", "mysql is not supported"),
        ("sqlite://", "needs a file"),
        ("sqlite:///:memory:", "needs a file"),
        ("sqlite:///x.db?mode=ro", "takes no options"),
        ("postgresql://u:secret@127.0.0.1:1/db", "127.0.0.1"),
        ("postgresql://u:secret@127.0.0.1:port/db", "cannot be understood as a URL"),
        ("sqlite:////proc/filterd/filterd.db", "/proc/filterd/filterd.db: cannot be opened"),
        ("sqlite:////proc", "/proc: cannot be opened for writing: Is a directory"),
    ],
)
def test_what_cannot_be_opened_is_said_in_one_line_without_the_password(url, says):
    with pytest.raises(StoreError) as raised:
        open_database(url)
    assert says in str(raised.value)
    assert "secret" not in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_file_that_is_no_database_is_refused_and_left_alone(tmp_path):
    path = tmp_path / "letter.txt"
    path.write_bytes(b"Dear all, " * 1000)
    with pytest.raises(StoreError, match=r"letter\.txt: not an SQLite database"):
        open_database(f"sqlite:///{path}")
    assert path.read_bytes() == b"Dear all, " * 1000


def test_a_database_that_someone_holds_locked_is_named(sqlite_database, sqlite_url, monkeypatch):
    monkeypatch.setattr("filterd.store.engine.BUSY_TIMEOUT", 0.05)
    write_batch(sqlite_database, [make_record(1)])
    other = open_database(sqlite_url)
    with sqlite_database.write(), pytest.raises(StoreError, match="locked by another process"):
        write_batch(other, [make_record(2)])
    other.close()


def test_without_its_schema_a_database_asks_for_the_upgrade(url):
    database = open_database(url)
    assert revision(database) is None
    with pytest.raises(StoreError, match="run `filterd db upgrade`"):
        require_current(database)
    with pytest.raises(StoreError, match="run `filterd db upgrade`"):
        recent(database, 1)
    database.close()


def test_a_newer_schema_is_refused(database, url):
    with database.write() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(StoreError, match="schema 9999 was made by a newer filterd"):
        open_database(url)


def test_upgrade_from_nothing_ends_at_the_newest_revision(url):
    database = open_database(url)
    assert upgrade(database) is None
    assert revision(database) == HEAD
    assert upgrade(database) == HEAD
    require_current(database)
    database.close()


def test_migrations_lead_to_exactly_the_tables_of_the_code(database):
    with database.read() as connection:
        assert compare_metadata(MigrationContext.configure(connection), Base.metadata) == []


def test_the_revisions_named_are_those_in_the_folder():
    scripts = ScriptDirectory(str(MIGRATIONS)).walk_revisions()
    assert tuple(script.revision for script in scripts)[::-1] == REVISIONS


def test_a_migration_that_fails_leaves_nothing_behind(url, monkeypatch):
    database = open_database(url)

    def fail(*_arguments, **_options):
        raise StoreError("half way")

    monkeypatch.setattr("alembic.op.batch_alter_table", fail)
    with pytest.raises(StoreError, match="half way"):
        upgrade(database)
    with database.read() as connection:
        assert inspect(connection).get_table_names() == []
    monkeypatch.undo()
    upgrade(database)
    assert check(database) == []
    database.close()


def test_processes_that_open_and_upgrade_at_once_all_succeed(url):
    with ProcessPoolExecutor(4, mp_context=PROCESSES) as processes:
        assert list(processes.map(open_upgrade_and_check, [url] * 4)) == [[]] * 4


def test_threads_that_upgrade_at_once_all_succeed(url):
    databases = [open_database(url) for _ in range(4)]
    with ThreadPoolExecutor(4) as threads:
        list(threads.map(upgrade, databases))
    assert [revision(database) for database in databases] == [HEAD] * 4
    for database in databases:
        database.close()


def test_a_sound_database_has_no_problems(database):
    write_batch(database, [make_record(1)])
    add_label(database, make_record(1).id, "spam", "spam", "ann", "cli")
    assert check(database) == []


def test_check_finds_a_label_without_its_message(sqlite_database):
    with sqlite3.connect(sqlite_database.path) as connection:
        connection.execute(
            'INSERT INTO labels (message_id, task, label, "by", source, at) '
            "VALUES ('gone', 'spam', 'ham', 'ann', 'cli', '2026-11-23 08:00:00.000000')"
        )
    connection.close()
    [problem] = check(sqlite_database)
    assert problem.startswith("labels: row 1 refers to a row of messages that is not there: ")


def test_check_finds_damage_in_the_file(sqlite_database, sqlite_url):
    write_batch(sqlite_database, [make_record(number) for number in range(500)])
    sqlite_database.close()
    size = sqlite_database.path.stat().st_size
    with sqlite_database.path.open("r+b") as file:
        file.seek(size // 2 // 4096 * 4096)
        file.write(os.urandom(4096))
    damaged = open_database(sqlite_url)
    assert check(damaged)
    damaged.close()


def test_check_says_that_the_schema_is_missing(url):
    database = open_database(url)
    [problem] = check(database)
    assert "its schema is empty" in problem
    database.close()


def test_a_backup_opens_as_a_whole_database_of_its_own(sqlite_database, tmp_path):
    write_batch(sqlite_database, [make_record(number) for number in range(10)])
    target = tmp_path / "backup.db"
    target.write_bytes(b"last night's")
    backup(sqlite_database, target)
    assert sorted(path.name for path in tmp_path.iterdir() if "backup" in path.name) == [
        "backup.db"
    ]
    assert target.stat().st_mode & 0o777 == 0o600
    copy = open_database(f"sqlite:///{target}")
    assert check(copy) == []
    assert len(recent(copy, 100)) == 10
    write_batch(copy, [make_record(11)])
    assert get(sqlite_database, make_record(11).id) is None
    copy.close()


def test_a_backup_made_while_others_write_holds_whole_batches(sqlite_database, tmp_path):
    batches, done = iter(range(1_000_000)), threading.Event()
    written = threading.Event()

    def write_on():
        for batch in batches:
            write_batch(sqlite_database, [make_record(batch * 20 + number) for number in range(20)])
            written.set()
            if done.is_set():
                return

    with ThreadPoolExecutor(1) as threads:
        writing = threads.submit(write_on)
        for number in range(5):
            written.wait()
            written.clear()
            target = tmp_path / f"backup{number}.db"
            backup(sqlite_database, target)
            copy = open_database(f"sqlite:///{target}")
            assert check(copy) == []
            found = len(recent(copy, 1_000_000))
            copy.close()
            assert found > 0
            assert found % 20 == 0
        done.set()
        writing.result()


def test_a_backup_over_the_database_itself_is_refused(sqlite_database):
    with pytest.raises(StoreError, match="needs a file of its own"):
        backup(sqlite_database, sqlite_database.path)


def test_a_backup_to_where_nothing_can_be_written_names_the_place(sqlite_database):
    with pytest.raises(StoreError, match="/proc/"):
        backup(sqlite_database, Path("/proc/backup.db"))


def test_a_backup_of_postgresql_points_to_pg_dump(postgres_url, tmp_path):
    database = open_database(postgres_url)
    with pytest.raises(StoreError, match="use pg_dump"):
        backup(database, tmp_path / "backup.db")
    database.close()


def test_opening_an_upgraded_database_needs_no_alembic(sqlite_database, sqlite_url):
    code = (
        "import sys; from filterd.store.database import open_database as o; "
        "from filterd.store.schema import upgrade; "
        f"upgrade(o({sqlite_url!r})); print('alembic' in sys.modules)"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "False"


@pytest.mark.parametrize("table", Base.metadata.sorted_tables, ids=lambda table: table.name)
def test_columns_explain_themselves(table):
    plain = re.compile(r"(_at|^at|^id|^version|^message_id|^why)$")
    silent = [column.name for column in table.columns if not column.comment]
    assert [name for name in silent if not plain.search(name)] == []
