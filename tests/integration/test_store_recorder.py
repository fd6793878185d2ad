"""The recorder against real databases: slow, locked, broken; mail never waits."""

import threading
import time
from queue import Queue

import pytest
from store_records import make_record

from filterd.store import recorder as recorder_module
from filterd.store.database import open_database
from filterd.store.messages import get, recent
from filterd.store.recorder import Recorder
from filterd.store.schema import upgrade

pytest_plugins = ("store_fixtures",)


PATIENCE = 30  # seconds until a test that waits for something gives up


class Written:
    """Sizes of the batches that were written, in order; `next` waits for one."""

    def __init__(self, write_batch):
        self.sizes = []
        self._write_batch = write_batch
        self._queue = Queue()

    def __call__(self, database, records):
        self._write_batch(database, records)
        self.sizes.append(len(records))
        self._queue.put(len(records))

    def next(self):
        return self._queue.get(timeout=PATIENCE)


class Log:
    """What the recorder logs; `wait_for` waits for an event by name."""

    def __init__(self):
        self._queue = Queue()

    def __getattr__(self, level):
        return lambda event, **fields: self._queue.put((event, fields))

    def wait_for(self, event):
        while (found := self._queue.get(timeout=PATIENCE))[0] != event:
            pass
        return found[1]


@pytest.fixture
def batches(monkeypatch):
    written = Written(recorder_module.write_batch)
    monkeypatch.setattr(recorder_module, "write_batch", written)
    return written


@pytest.fixture
def log(monkeypatch):
    log = Log()
    monkeypatch.setattr(recorder_module, "log", log)
    return log


@pytest.fixture
def impatient(sqlite_url, monkeypatch):
    """The database opened a second time, by one who does not wait 5 s for a lock."""
    monkeypatch.setattr("filterd.store.engine.BUSY_TIMEOUT", 0.01)
    database = open_database(sqlite_url)
    yield database
    database.close()


def test_records_are_written_without_anyone_asking(database, batches):
    recorder = Recorder(database, flush_every=0.01)
    recorder.record(make_record(1))
    assert batches.next() == 1
    assert get(database, make_record(1).id) is not None
    recorder.close()
    assert recorder.written == 1


def test_a_full_batch_is_written_before_the_time_is_up(sqlite_database, batches):
    recorder = Recorder(sqlite_database, batch=10, flush_every=3600)
    for number in range(10):
        recorder.record(make_record(number))
    assert batches.next() == 10
    recorder.close()


def test_closing_writes_what_waits_in_batches(sqlite_database, batches):
    recorder = Recorder(sqlite_database, batch=200, flush_every=3600)
    for number in range(150):
        recorder.record(make_record(number))
    recorder.close()
    assert batches.sizes == [150]
    assert len(recent(sqlite_database, 1000)) == 150
    assert (recorder.written, recorder.dropped, recorder.failed) == (150, 0, 0)


def test_no_batch_is_larger_than_asked_for(sqlite_database, batches):
    with sqlite_database.write():  # holds the recorder up while records gather
        recorder = Recorder(sqlite_database, batch=20, flush_every=0.01)
        for number in range(70):
            recorder.record(make_record(number))
    recorder.close()
    assert max(batches.sizes) <= 20
    assert sum(batches.sizes) == 70


def test_records_from_many_threads_all_arrive(sqlite_database):
    recorder = Recorder(sqlite_database, batch=50)
    threads = [
        threading.Thread(
            target=lambda first=first: [
                recorder.record(make_record(first + number)) for number in range(500)
            ]
        )
        for first in (0, 1000, 2000)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    recorder.close()
    assert recorder.written == len(recent(sqlite_database, 10_000)) == 1500


def test_while_the_database_is_locked_records_wait_and_then_arrive(sqlite_database, impatient, log):
    with sqlite_database.write():
        recorder = Recorder(impatient, flush_every=0.01)
        recorder.record(make_record(1))
        assert "locked by another process" in log.wait_for("records_wait")["error"]
        assert recorder.written == 0
        assert recorder.waiting == 1
    log.wait_for("records_flow_again")
    recorder.close()
    assert (recorder.written, recorder.dropped) == (1, 0)
    assert get(sqlite_database, make_record(1).id) is not None


def test_handing_over_takes_no_time_while_the_database_is_locked(sqlite_database):
    recorder = Recorder(sqlite_database, flush_every=0.01, batch=10)
    slowest = 0.0
    with sqlite_database.write():
        for number in range(1000):
            record = make_record(number)
            started = time.perf_counter()
            recorder.record(record)
            slowest = max(slowest, time.perf_counter() - started)
    recorder.close()
    assert slowest < 0.1  # the database's own patience is 5 s
    assert recorder.written == 1000


def test_more_than_may_wait_are_dropped_and_counted(sqlite_database):
    with sqlite_database.write():
        recorder = Recorder(sqlite_database, most_waiting=100, flush_every=3600)
        for number in range(130):
            recorder.record(make_record(number))
    recorder.close()
    assert (recorder.written, recorder.dropped) == (100, 30)
    # The oldest are kept: they are the ones a person may be looking at already.
    assert {int(record.id) for record in recent(sqlite_database, 1000)} == set(range(100))


def test_closing_does_not_wait_for_ever_for_a_locked_database(sqlite_database, impatient):
    with sqlite_database.write():
        recorder = Recorder(impatient, flush_every=3600)
        for number in range(3):
            recorder.record(make_record(number))
        recorder.close(timeout=0.2)
    assert (recorder.written, recorder.dropped, recorder.waiting) == (0, 3, 0)


def test_after_closing_records_are_dropped_and_counted(sqlite_database):
    recorder = Recorder(sqlite_database)
    recorder.close()
    recorder.record(make_record(1))
    assert recorder.dropped == 1
    assert recent(sqlite_database, 1) == []


def test_a_record_that_cannot_be_stored_does_not_take_others_with_it(database):
    recorder = Recorder(database, flush_every=3600)
    for number in range(20):
        digest = None if number == 13 else "ab" * 32
        recorder.record(make_record(number, digest=digest))
    recorder.close()
    assert (recorder.written, recorder.failed) == (19, 1)
    assert len(recent(database, 100)) == 19


def test_a_bug_costs_its_record_but_not_the_recorder(sqlite_database):
    recorder = Recorder(sqlite_database, flush_every=3600, batch=1)
    recorder.record("not a record")
    recorder.record(make_record(1))
    recorder.close()
    assert (recorder.written, recorder.failed) == (1, 1)


def test_a_database_without_its_schema_is_written_once_it_has_it(sqlite_url, log):
    database = open_database(sqlite_url)
    recorder = Recorder(database, flush_every=0.01)
    recorder.record(make_record(1))
    assert "filterd db upgrade" in log.wait_for("records_wait")["error"]
    upgrade(database)
    log.wait_for("records_flow_again")
    recorder.close()
    assert recorder.written == 1
    database.close()


def test_no_log_line_holds_what_a_mail_says(database, log):
    recorder = Recorder(database, flush_every=3600)
    recorder.record(make_record(1, subject="Confidential", text="Confidential", digest=None))
    recorder.close()
    fields = log.wait_for("record_refused")
    assert fields["id"] == make_record(1).id
    assert "Confidential" not in str(fields)
