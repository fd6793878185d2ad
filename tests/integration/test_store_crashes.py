"""The database of writers that are killed, and of several that write at the same time."""

import random
import re
from multiprocessing.connection import wait

import pytest
from sqlalchemy import func, select
from store_records import make_record
from store_writers import PROCESSES, label_each, write_50_batches, write_batches

from filterd.store.database import open_database
from filterd.store.labels import history
from filterd.store.messages import get, write_batch
from filterd.store.schema import check
from filterd.store.tables import Labels, Messages

pytest_plugins = ("store_fixtures",)

BATCH = 20


def start(target, url, *arguments):
    """A process at work and the pipe on which it tells of commits."""
    ours, theirs = PROCESSES.Pipe(duplex=False)
    process = PROCESSES.Process(target=target, args=(url, *arguments, theirs))
    process.start()
    theirs.close()
    return process, ours


def listen(pipe):
    """All that was told until the process ended."""
    told = []
    try:
        while True:
            told.append(pipe.recv())
    except EOFError:
        return told


def records_of_each_batch(database):
    statement = select(Messages.helo, func.count()).group_by(Messages.helo)
    with database.read() as connection:
        rows = connection.execute(statement).all()
    return {int(re.sub(r"\D", "", name)): number for name, number in rows}


@pytest.mark.parametrize("moment", range(20))
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


def test_two_processes_write_messages_at_once_and_none_is_lost(database, url):
    writers = [start(write_50_batches, url, first * 10_000, BATCH) for first in range(2)]
    assert [listen(told) for _, told in writers] == [list(range(50))] * 2
    for process, _ in writers:
        process.join()
        assert process.exitcode == 0
    assert sum(records_of_each_batch(database).values()) == 2 * 50 * BATCH


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
