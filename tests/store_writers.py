"""What other processes do in the store's tests. Imports little, so that they start quickly."""

import os
import signal
import time
from itertools import count
from multiprocessing import get_context
from pathlib import Path

from sqlalchemy import event
from store_records import make_record

from filterd.store.backup import backup
from filterd.store.damage import check
from filterd.store.database import open_database
from filterd.store.labels import add_label, undo_label
from filterd.store.messages import write_batch
from filterd.store.recorder import Recorder
from filterd.store.schema import upgrade

# A clean process is forked for each; this one has threads.
PROCESSES = get_context("forkserver")
PROCESSES.set_forkserver_preload(["store_writers", "alembic.command"])
SECONDS_BETWEEN_MAILS = 0.002
# Of labels that are given, one in so many is taken back.
UNDONE = 3


def start(target, url, *arguments):
    """A process at work and the pipe on which it tells what it has done."""
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


def open_upgrade_and_check(url):
    """The problems found after opening and upgrading."""
    database = open_database(url)
    upgrade(database)
    try:
        return check(database)
    finally:
        database.close()


def write_50_batches(url, first, size, told):
    """As `write_batches`, but it ends."""
    write_batches(url, first, size, told, range(50))


def write_batches(url, first, size, told, batches=None):
    """Write batches of `size` records from number `first` on; tell each that is committed."""
    database = open_database(url)
    for batch in batches or count():
        start = first + batch * size
        records = [make_record(start + number, helo=f"batch {batch}") for number in range(size)]
        write_batch(database, records)
        told.send(batch)
    database.close()


class WatchedRecorder(Recorder):
    """Knows how long the database took at most to write a batch, the one in hand too."""

    _longest = 0.0
    _since = None

    def _write(self, batch):
        self._since = time.monotonic()
        super()._write(batch)
        self._longest, self._since = self.longest_write, None

    @property
    def longest_write(self):
        since = self._since
        return max(self._longest, 0.0 if since is None else time.monotonic() - since)


def record_mails(url, first, told):
    """Hand records over from number `first` on, as a worker does.

    Tell the number of each, when that was, and how long a write has taken at most until then.
    """
    recorder = WatchedRecorder(open_database(url))
    for number in count(first):
        recorder.record(make_record(number, helo="recorder"))
        told.send((number, time.monotonic(), recorder.longest_write))
        time.sleep(SECONDS_BETWEEN_MAILS)  # mail does not come faster


def label_each(url, message_ids, by, told):
    """Label messages one after the other; tell the ids of the rows."""
    database = open_database(url)
    for message_id in message_ids:
        told.send(add_label(database, message_id, "spam", "spam", by, "cli").id)
    told.send(None)
    database.close()


def label_and_undo(url, message_ids, by, told):
    """Label messages again and again, and take some back; tell each row that is committed."""
    database = open_database(url)
    for number in count():
        message_id = message_ids[number % len(message_ids)]
        said = ("spam", "ham")[number // len(message_ids) % 2]
        label = add_label(database, message_id, "spam", said, by, "cli")
        told.send(label)
        if number % UNDONE == 0:
            told.send(undo_label(database, label.id, by, "cli"))
        time.sleep(SECONDS_BETWEEN_MAILS)  # nor are people faster


def back_up_again_and_again(url, target, told):
    """Copy the database; tell each time that a copy has begun."""
    database = open_database(url)
    while True:
        told.send(None)
        backup(database, Path(target))


def upgrade_and_die(url, statement, told):
    """Upgrade, but die by kill -9 before the so-manieth statement; else tell how many it took."""
    database = open_database(url)
    done = count()

    def die_in_time(*_arguments):
        if next(done) == statement:
            os.kill(os.getpid(), signal.SIGKILL)

    event.listen(database.engine, "before_cursor_execute", die_in_time)
    event.listen(database.engine, "commit", die_in_time)
    upgrade(database)
    told.send(next(done))
    database.close()
