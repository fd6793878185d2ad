"""Backups while others write, and what is left of one that fails: a whole copy or none."""

import fcntl
import os
import random
import subprocess
import sys
import threading
from multiprocessing.connection import wait

import pytest
from daemon_process import environment
from sqlalchemy import make_url
from store_records import make_record
from store_writers import (
    back_up_again_and_again,
    label_and_undo,
    record_mails,
    start,
)

from filterd.errors import StoreError
from filterd.store.backup import backup
from filterd.store.damage import check
from filterd.store.database import open_database, open_to_check
from filterd.store.labels import Label, add_label, select_labels
from filterd.store.messages import recent, write_batch
from filterd.store.schema import upgrade

pytest_plugins = ("daemon_fixtures", "store_fixtures")

LONG = bool(os.environ.get("STORE_LONG"))
KILLS = 200 if LONG else 6
PATIENCE = 60
WORKERS = 2
ENOUGH = 20
LETTER = (
    "From: {name}@{name}.example\r\nSubject: Your parcel\r\n\r\n"
    "Dear {name}, your parcel {number} could not be delivered since the shipping fee is unpaid."
    " Please confirm your address at https://{name}.example/{number} and pay the fee within two"
    " days, or it will be sent back. Kind regards, your parcel service\r\n"
)


def parcel(number):
    """The number-th mail of a campaign: names, links and figures of its own."""
    name = f"{'abcdefghijklmnop'[number % 16]}ubert"
    return LETTER.format(name=name, number=7000 + number).encode()


def header(message, name):
    lines = message.partition(b"\n\n")[0].decode().splitlines()
    return next(line.partition(": ")[2] for line in lines if line.startswith(f"{name}: "))


def command(folder, *arguments, **limits):
    """`filterd …` in a folder; with limits of the system on it, if named."""
    code = "".join(
        f"import resource; resource.setrlimit(resource.{name}, ({value}, {value})); "
        for name, value in limits.items()
    )
    code += "from filterd.cli import main; main()"
    done = [sys.executable, "-c", code, *arguments]
    return subprocess.run(
        done, check=False, cwd=folder, env=environment(), capture_output=True, text=True
    )


class FourWriters:
    """Two that record mails and two that label, heard all the time: none has to wait to tell."""

    def __init__(self, url, message_ids):
        self._writers = [start(record_mails, url, first * 10**6) for first in (1, 2)]
        self._writers += [start(label_and_undo, url, message_ids, by) for by in ("bob", "carol")]
        self._told = {pipe: [] for _, pipe in self._writers}
        self._news = threading.Condition()
        self._listener = threading.Thread(target=self._listen)

    def __enter__(self):
        self._listener.start()
        return self

    def __exit__(self, *_):
        for process, _ in self._writers:
            process.kill()
        self._listener.join(PATIENCE)
        for process, pipe in self._writers:
            process.join(PATIENCE)
            pipe.close()

    def acknowledged(self):
        """The labels that were promised by now, some new ones of each."""
        with self._news:
            before = {pipe: len(told) for pipe, told in self._told.items()}
            assert self._news.wait_for(
                lambda: all(len(self._told[pipe]) >= before[pipe] + ENOUGH for pipe in before),
                PATIENCE,
            )
            return [one for told in self._told.values() for one in told if isinstance(one, Label)]

    def _listen(self):
        left = list(self._told)
        while left:
            for pipe in wait(left):
                try:
                    one = pipe.recv()
                except EOFError:
                    left.remove(pipe)
                    continue
                with self._news:
                    self._told[pipe].append(one)
                    self._news.notify_all()


def label_rows(database):
    with database.read() as connection:
        return [Label(*row) for row in connection.execute(select_labels())]


@pytest.mark.scenario(
    "S10",
    "`filterd db backup` while four processes write; the daemon is killed and the copy restored",
    "the copy is sound, has every label acknowledged before it began, and a daemon that starts on "
    "it judges as it was taught",
)
def test_a_backup_made_under_load_restores_to_a_site_that_judges_as_it_was_taught(
    serve, site, record_property
):
    daemon = serve(workers=WORKERS)
    assert daemon.send(parcel(0))[0] == 250
    (first,) = daemon.delivered()
    assert header(first, "X-Filterd-Verdict").startswith("ham")
    file = site / "var/filterd.db"
    database = open_database(f"sqlite:///{file}")
    others = [make_record(number) for number in range(200)]
    write_batch(database, others)
    taught = label_once_recorded(daemon, database, header(first, "X-Filterd-Id"))
    with FourWriters(f"sqlite:///{file}", [record.id for record in others]) as writers:
        acknowledged = [taught, *writers.acknowledged()]
        ran = command(site, "db", "backup", "copy.db")
        assert (ran.returncode, ran.stderr) == (0, "")
        writers.acknowledged()  # they are at work still
        assert daemon.send(parcel(1))[0] == 250
    database.close()
    daemon.end()

    copy = open_to_check(f"sqlite:///{site / 'copy.db'}")
    assert check(copy) == []
    kept = label_rows(copy)
    assert [label for label in acknowledged if label not in kept] == []
    copy.close()
    # As docs/operations.md says.
    for name in ("filterd.db-wal", "filterd.db-shm"):
        (site / "var" / name).unlink(missing_ok=True)
    (site / "copy.db").rename(file)
    restored = serve(workers=WORKERS)
    while restored.log.count("labels learnt anew") < WORKERS:
        restored.next_entry("labels learnt anew")
    before = set(restored.delivered())
    assert restored.send(parcel(5))[0] == 250
    (message,) = set(restored.delivered()) - before
    assert header(message, "X-Filterd-Verdict").startswith("spam")
    size = file.stat().st_size / 2**20
    record_property("figure", f"{len(acknowledged)} labels before, all there; {size:.1f} MiB")


def label_once_recorded(daemon, database, message_id):
    """A label of `ann`, as soon as the mail is on record; records are written after the reply."""
    ran = command(daemon.folder, "label", message_id, "spam", "--by", "ann")
    assert ran.returncode == 0, ran.stderr
    (label,) = label_rows(database)
    return label


@pytest.mark.scenario(
    "S11",
    "`pg_dump` while four processes write, restored into another database",
    "the copy is sound and has every label acknowledged before it began",
)
def test_a_dump_of_postgresql_made_under_load_has_all_that_was_acknowledged(
    postgres_url, tmp_path, postgres_server
):
    url, database = postgres_url, open_database(postgres_url)
    upgrade(database)
    others = [make_record(number) for number in range(200)]
    write_batch(database, others)
    from store_fixtures import BINARIES  # a plugin, so not above

    schema = make_url(url).query["options"].rpartition("=")[2]
    address = ["-h", postgres_server, "-U", "filterd"]
    with FourWriters(url, [record.id for record in others]) as writers:
        acknowledged = writers.acknowledged()
        dump = [
            BINARIES[-1] / "pg_dump",
            *address,
            "-n",
            schema,
            "-f",
            tmp_path / "dump",
            "postgres",
        ]
        subprocess.run(dump, check=True)
        writers.acknowledged()
    database.close()
    name = f"restored_{schema}"
    subprocess.run([BINARIES[-1] / "createdb", *address, name], check=True)
    restore = [BINARIES[-1] / "psql", *address, "-q", "-v", "ON_ERROR_STOP=1", "-f"]
    subprocess.run([*restore, tmp_path / "dump", name], check=True, stdout=subprocess.DEVNULL)
    copy = open_database(url.replace("/postgres?", f"/{name}?"))
    assert check(copy) == []
    kept = label_rows(copy)
    assert [label for label in acknowledged if label not in kept] == []
    add_label(copy, others[0].id, "spam", "spam", "dave", "cli")
    copy.close()


@pytest.mark.timeout(1800 if LONG else 120)
@pytest.mark.scenario(
    "S12",
    "kill -9 of a backup at random moments",
    "under its name is the backup before or a whole new one; the next backup works",
)
def test_a_backup_that_is_killed_leaves_the_one_before_or_a_whole_new_one(
    sqlite_database, sqlite_url, tmp_path, record_property
):
    chance = random.Random(20261126)
    write_batch(sqlite_database, [make_record(n, text="x" * 5000) for n in range(500)])
    target, last, halves = tmp_path / "copies" / "copy.db", 500, 0
    target.parent.mkdir()
    backup(sqlite_database, target)
    for number in range(KILLS):
        write_batch(sqlite_database, [make_record(500 + number)])
        process, told = start(back_up_again_and_again, sqlite_url, str(target))
        told.recv()
        process.join(timeout=chance.uniform(0, 0.1))
        process.kill()
        process.join()
        told.close()
        halves += (target.parent / ".copy.db.partial").exists()
        assert not list(target.parent.glob("copy.db-*"))
        copy = open_to_check(f"sqlite:///{target}")
        assert check(copy) == []
        found = len(recent(copy, 10_000))
        assert found in {last, 501 + number}
        last = found
        copy.close()
    backup(sqlite_database, target)
    assert [path.name for path in target.parent.iterdir()] == ["copy.db"]
    record_property("figure", f"{KILLS} kills, {halves} in the middle of a copy")


@pytest.mark.scenario(
    "S13",
    "a backup onto a disk that is full",
    "exit code 74 and a line; the backup before stays, nothing half is left",
)
def test_a_backup_that_the_disk_does_not_hold_leaves_the_one_before(site):
    database = open_database(f"sqlite:///{site}/var/filterd.db")
    assert command(site, "db", "backup", "copies.db").returncode == 0
    before = (site / "copies.db").read_bytes()
    write_batch(database, [make_record(n, text="x" * 5000) for n in range(200)])
    database.close()
    ran = command(site, "db", "backup", "copies.db", RLIMIT_FSIZE=len(before) + 100_000)
    assert ran.returncode == 74
    assert ran.stderr.startswith("filterd: copies.db: the disk ")
    assert len(ran.stderr.splitlines()) == 1
    assert (site / "copies.db").read_bytes() == before
    assert not list(site.glob(".copies*"))


def test_a_backup_replaces_an_earlier_one_only_when_it_is_whole(sqlite_database, tmp_path):
    target = tmp_path / "copy.db"
    backup(sqlite_database, target)
    damage(sqlite_database)
    before = target.read_bytes()
    with pytest.raises(StoreError, match="damaged"):
        backup(sqlite_database, target)
    assert target.read_bytes() == before


def damage(database):
    write_batch(database, [make_record(number) for number in range(500)])
    database.close()
    with database.path.open("r+b") as file:
        file.seek(database.path.stat().st_size // 2 // 4096 * 4096)
        file.write(random.Random(1).randbytes(4096))


def test_two_backups_to_one_place_at_once_are_refused(sqlite_database, tmp_path):
    target = tmp_path / "copy.db"
    partial = tmp_path / ".copy.db.partial"
    with partial.open("wb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with pytest.raises(StoreError, match=r"copy\.db: another backup to it is being made"):
            backup(sqlite_database, target)
    backup(sqlite_database, target)
    assert not partial.exists()


def test_a_backup_onto_a_database_that_is_in_use_is_refused(sqlite_database, tmp_path):
    other = open_database(f"sqlite:///{tmp_path / 'other.db'}")
    with other.write() as connection:
        connection.exec_driver_sql("CREATE TABLE mine (something TEXT)")
    with pytest.raises(StoreError, match=r"other\.db: is a database in use"):
        backup(sqlite_database, tmp_path / "other.db")
    other.close()
    backup(sqlite_database, tmp_path / "other.db")
