"""The database of writers that are killed, and of several that write at the same time.

Some twenty kills here; two hundred of each kind with STORE_LONG=1 (`make test-store-kills`).
"""

import os
import random
import re
import threading
import time
from itertools import pairwise
from multiprocessing.connection import wait

import psycopg
import pytest
from sqlalchemy import func, make_url, select
from store_records import make_record
from store_writers import (
    label_and_undo,
    label_each,
    listen,
    record_mails,
    start,
    write_50_batches,
    write_batches,
)

from filterd.errors import StoreError
from filterd.store.damage import check
from filterd.store.database import open_database
from filterd.store.labels import Label, add_label, history, select_labels
from filterd.store.messages import get, write_batch
from filterd.store.recorder import FLUSH_EVERY, Recorder
from filterd.store.schema import upgrade
from filterd.store.tables import Labels, Messages

pytest_plugins = ("store_fixtures",)

LONG = bool(os.environ.get("STORE_LONG"))
# On SQLite and on PostgreSQL together.
KILLS = 200 if LONG else 20
BATCH = 20
SEED = 20261126
# What a killed worker may take with it: records that came in its last second.
UNFLUSHED = 1.0  # seconds
FIRST_OF_A_KILL = 100_000
PATIENCE = 60


def records_of_each_batch(database):
    statement = select(Messages.helo, func.count()).group_by(Messages.helo)
    with database.read() as connection:
        rows = connection.execute(statement).all()
    return {int(re.sub(r"\D", "", name)): number for name, number in rows}


def hear(pipes, seconds):
    """What is told on each pipe for so long; no process may have to wait to tell."""
    told, ends = [[] for _ in pipes], time.monotonic() + seconds
    while (left := ends - time.monotonic()) > 0:
        for pipe in wait(pipes, left):
            told[pipes.index(pipe)].append(pipe.recv())
    return told


def kill(processes):
    """One after the other, by kill -9; when that began."""
    began = time.monotonic()
    for process in processes:
        process.kill()
    for process in processes:
        process.join(PATIENCE)
    return began


def recorded(database, first):
    """The numbers of records from `first` on."""
    between = Messages.id.between(make_record(first).id, make_record(first + FIRST_OF_A_KILL).id)
    with database.read() as connection:
        return [int(found) for found in connection.scalars(select(Messages.id).where(between))]


@pytest.mark.timeout(1800 if LONG else 120)
@pytest.mark.scenario(
    "S01",
    "kill -9 of a worker and of one who labels, at random moments of writing",
    "the database opens and is sound, every label that was acknowledged is there, and of records "
    "only those of the last second are missing",
)
def test_killed_at_random_moments_all_labels_and_all_but_the_last_records_are_there(
    database, url, record_property
):
    chance = random.Random(SEED)
    labelled = [make_record(number) for number in range(200)]
    write_batch(database, labelled)
    ids = [record.id for record in labelled]
    acknowledged, missing, ages, handed_over = {}, 0, [0.0], 0
    for number in range(1, KILLS // 2 + 1):
        first = number * FIRST_OF_A_KILL
        worker, records = start(record_mails, url, first)
        labeller, labels = start(label_and_undo, url, ids, f"p{number}")
        assert all(pipe.poll(PATIENCE) for pipe in (records, labels))  # they are at work
        told = hear([records, labels], chance.uniform(0, 1.5 * FLUSH_EVERY))
        moment = kill(chance.sample([worker, labeller], 2))
        handed = told[0] + listen(records)
        acknowledged |= {label.id: label for label in told[1] + listen(labels)}

        anew = open_database(url)
        assert check(anew) == []
        found = recorded(anew, first)
        # Records are written in the order of their coming: what is missing are the last of them.
        assert sorted(found) == list(range(first, first + len(found)))
        lost = handed[len(found) :]
        handed_over += len(handed)
        missing += len(lost)
        for _, when, _ in lost[:1]:
            ages.append(moment - when)
            assert ages[-1] <= UNFLUSHED + standing_still(handed, moment)
        assert rows(anew, acknowledged) == acknowledged
        write_batch(anew, [make_record(first + FIRST_OF_A_KILL - 1)])
        anew.close()
    record_property(
        "figure",
        f"{KILLS // 2} kills on {database.engine.name}: of {len(acknowledged)} labels 0 missing, "
        f"of {handed_over} records {missing}, the oldest {max(ages):.2f} s old",
    )


def standing_still(handed, moment):
    """Seconds that a busy machine adds to any other: a process that never waits stood still, or
    the database took longer to write than it takes mails to come, for this batch and the one before.
    """
    times = [*(when for _, when, _ in handed), moment]
    pause = max((later - when for when, later in pairwise(times)), default=0.0)
    return pause + 2 * handed[-1][2]


def rows(database, ids):
    """The label rows of these numbers."""
    with database.read() as connection:
        found = connection.execute(select_labels().where(Labels.id >= min(ids)))
        return {row.id: Label(*row) for row in found if row.id in ids}


@pytest.mark.scenario(
    "S02",
    "kill -9 of a process that writes batch after batch",
    "the database is sound, holds whole batches, and all that were committed",
)
@pytest.mark.parametrize("moment", range(KILLS // 2))
def test_killed_at_any_moment_the_database_holds_whole_batches_and_all_that_were_told(
    sqlite_database, sqlite_url, moment
):
    sqlite_database.close()
    chance = random.Random(moment)  # a moment to be killed at, no secret
    writer, told = start(write_batches, sqlite_url, 0, BATCH)
    first = told.recv()  # it is at work
    # Nothing to wait for: the kill is to fall anywhere, between two statements as within one.
    writer.join(timeout=chance.uniform(0, 0.1))
    writer.kill()
    writer.join()
    committed = [first, *listen(told)]

    database = open_database(sqlite_url)
    assert check(database) == []
    found = records_of_each_batch(database)
    assert set(found.values()) == {BATCH}
    assert set(committed) <= set(found)
    assert len(found) <= len(committed) + 1  # the last commit may have gone untold
    write_batch(database, [make_record(10**9)])
    database.close()


@pytest.mark.scenario(
    "S03",
    "PostgreSQL ends the connections of a worker and of one who labels, at random moments",
    "no record is missing or there twice, nor is any label that was acknowledged",
)
def test_connections_that_the_server_ends_cost_no_record_and_no_acknowledged_label(
    postgres_url, record_property
):
    chance, url = random.Random(SEED), f"{postgres_url}&application_name=doomed"
    database = open_database(url)
    upgrade(database)
    write_batch(database, [make_record(0)])
    recorder = Recorder(database, flush_every=0.01, batch=10)
    acknowledged, refused = [], 0
    server = threading.Thread(target=end_connections, args=(postgres_url, 20, chance))
    server.start()
    given = 0
    while server.is_alive() or given < 100:
        given += 1
        recorder.record(make_record(given))
        try:
            label = add_label(database, make_record(0).id, "spam", "spam", f"p{given}", "cli")
        except StoreError:
            refused += 1
        else:
            acknowledged.append(label)
    server.join()
    recorder.close()
    assert (recorder.written, recorder.dropped, recorder.failed) == (given, 0, 0)
    assert sorted(recorded(database, 0)) == list(range(given + 1))
    found = history(database, make_record(0).id)
    assert [label for label in found if label in acknowledged] == acknowledged
    assert check(database) == []
    assert refused
    record_property("figure", f"{refused} of {given} labels refused, {given} records written")
    database.close()


def end_connections(url, times, chance):
    """End all connections of `doomed`, again and again."""
    server = make_url(url)
    with psycopg.connect(
        host=server.query["host"], user="filterd", dbname="postgres", autocommit=True
    ) as connection:
        ended = 0
        while ended < times:
            time.sleep(chance.uniform(0, 0.05))  # any moment will do
            ended += len(
                connection.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                    " WHERE application_name = 'doomed'"
                ).fetchall()
            )


@pytest.mark.scenario("S04", "two processes write messages at once", "none is lost")
def test_two_processes_write_messages_at_once_and_none_is_lost(database, url):
    writers = [start(write_50_batches, url, first * 10_000, BATCH) for first in range(2)]
    assert [listen(told) for _, told in writers] == [list(range(50))] * 2
    for process, _ in writers:
        process.join()
        assert process.exitcode == 0
    assert sum(records_of_each_batch(database).values()) == 2 * 50 * BATCH


@pytest.mark.scenario(
    "S05",
    "two processes label at once",
    "no row turns up below one that was seen: the learner misses none",
)
def test_label_ids_become_visible_in_order_while_two_processes_label(database, url):
    # What the learner relies on: after a mark, nothing with a lower id turns up any more.
    records = [make_record(number) for number in range(40)]
    write_batch(database, records)
    ids = [record.id for record in records]
    labellers = [start(label_each, url, ids, by) for by in ("ann", "bob")]
    told = [pipe for _, pipe in labellers]
    finished, newest = 0, 0
    while finished < len(labellers):
        for pipe in wait(told):
            row = pipe.recv()
            if row is None:
                finished += 1
                told.remove(pipe)
                continue
            seen = sorted_label_ids(database)
            assert seen == list(range(1, len(seen) + 1))
            assert len(seen) >= newest
            newest = len(seen)
    for process, _ in labellers:
        process.join()
    assert newest == 80
    assert [label.by for label in history(database, ids[0])] in (["ann", "bob"], ["bob", "ann"])
    assert get(database, ids[0]) is not None


def sorted_label_ids(database):
    with database.read() as connection:
        return list(connection.scalars(select(Labels.id).order_by(Labels.id)))
