"""What a worker says of its troubles reaches the database; the worker itself never waits for it."""

import asyncio
import time
from contextlib import contextmanager
from queue import Queue

import pytest
from smtp_peers import FakeNextHop
from structlog.testing import capture_logs

from filterd import incidents as incidents_module
from filterd.errors import NextHopError, StoreError
from filterd.incidents import Incidents, probe_while_down
from filterd.smtp import NextHopOptions, open_next_hop
from filterd.store.database import open_database, utc_now
from filterd.store.incidents import going_on, since
from filterd.store.schema import upgrade

pytest_plugins = ("store_fixtures",)

PATIENCE = 30  # seconds until a test that waits for something gives up
REFUSED = "smtp://hop.example:25: Connection refused"


class Written:
    """Each begin, keep and end once it is done, and each failure; `next` waits for one."""

    def __init__(self, monkeypatch):
        self._queue = Queue()
        for name in ("begin", "keep", "end"):
            monkeypatch.setattr(incidents_module, name, self._noting(name))

    def _noting(self, name):
        write = getattr(incidents_module, name)

        def noting(*arguments):
            try:
                done = write(*arguments)
            except StoreError:
                self._queue.put("failure")
                raise
            self._queue.put(name)
            return done

        return noting

    def next(self):
        return self._queue.get(timeout=PATIENCE)

    def wait_for(self, name):
        while self.next() != name:
            pass


@pytest.fixture
def written(monkeypatch):
    return Written(monkeypatch)


@contextmanager
def telling(database, **changes):
    incidents = Incidents(database, "mx1 worker 0", **{"write_every": 0.01, **changes})
    yield incidents
    incidents.close()


def rows(database):
    return since(database, utc_now().replace(year=2000))


def test_what_starts_is_written_and_what_is_over_ends(database, written):
    with telling(database) as incidents:
        incidents.started("next_hop", REFUSED)
        assert written.next() == "begin"
        (row,) = going_on(database, utc_now())
        assert (row.kind, row.source, row.text) == ("next_hop", "mx1 worker 0", REFUSED)
        incidents.over("next_hop")
        assert written.next() == "end"
        assert going_on(database, utc_now()) == []


def test_saying_it_again_adds_no_row(database, written):
    with telling(database) as incidents:
        incidents.started("next_hop", REFUSED)
        written.wait_for("begin")
        for _ in range(100):
            incidents.started("next_hop", "smtp://hop.example:25: no greeting within 10 s")
    (row,) = rows(database)
    assert row.text == REFUSED
    assert row.ended_at is None


def test_each_kind_has_a_row_of_its_own(database, written):
    with telling(database) as incidents:
        incidents.tell("next_hop", NextHopError(REFUSED))
        incidents.tell("bundle", "new.1: damaged")
        for _ in range(2):
            written.wait_for("begin")
        incidents.tell("bundle", None)
        written.wait_for("end")
        assert [row.kind for row in going_on(database, utc_now())] == ["next_hop"]


def test_what_is_over_and_starts_again_is_another(database, written):
    with telling(database) as incidents:
        for _ in range(2):
            incidents.started("next_hop", REFUSED)
            written.wait_for("begin")
            incidents.over("next_hop")
            written.wait_for("end")
    assert len(rows(database)) == 2


def test_what_flickers_between_two_writes_is_one(sqlite_database, written):
    with telling(sqlite_database, write_every=3600) as incidents:
        for _ in range(50):
            incidents.started("next_hop", REFUSED)
            incidents.over("next_hop")
        incidents.started("next_hop", REFUSED)
    (row,) = rows(sqlite_database)
    assert row.ended_at is None


def test_to_be_well_all_the_time_writes_nothing(sqlite_database):
    with telling(sqlite_database) as incidents:
        incidents.over("next_hop")
        assert not incidents.is_going_on("next_hop")
    assert rows(sqlite_database) == []


def test_while_it_goes_on_it_is_said_again_and_again(database, written):
    with telling(database, keep_every=0.01) as incidents:
        incidents.started("next_hop", REFUSED)
        written.wait_for("begin")
        for _ in range(3):
            written.wait_for("keep")
    (row,) = rows(database)
    assert row.seen_at > row.began_at


def test_closing_leaves_what_goes_on_as_it_is(sqlite_database):
    with telling(sqlite_database, write_every=3600) as incidents:
        incidents.started("next_hop", REFUSED)
        incidents.started("bundle", "new.1: damaged")
        incidents.over("bundle")
    ended = {row.kind: row.ended_at is not None for row in rows(sqlite_database)}
    assert ended == {"next_hop": False, "bundle": True}


def test_while_the_database_is_away_it_waits_and_is_written_with_its_own_times(sqlite_url, written):
    database = open_database(sqlite_url)  # its tables are not there yet
    times = iter(utc_now().replace(microsecond=number) for number in (1, 2))
    with capture_logs() as logs, telling(database, now=lambda: next(times)) as incidents:
        incidents.started("next_hop", REFUSED)
        incidents.over("next_hop")
        for _ in range(3):
            written.wait_for("failure")
        upgrade(database)
        written.wait_for("end")
    (row,) = rows(database)
    assert (row.began_at.microsecond, row.ended_at.microsecond) == (1, 2)
    assert [entry["event"] for entry in logs] == ["incidents_wait"]
    database.close()


def test_telling_takes_no_time_while_the_database_is_locked(sqlite_database):
    slowest = 0.0
    with telling(sqlite_database, write_every=0.001) as incidents, sqlite_database.write():
        for _ in range(1000):
            started = time.perf_counter()
            incidents.started("next_hop", REFUSED)
            incidents.over("next_hop")
            slowest = max(slowest, time.perf_counter() - started)
        incidents.started("next_hop", REFUSED)
    assert slowest < 0.1  # the database's own patience is 5 s
    assert len(rows(sqlite_database)) == 1


@pytest.mark.parametrize("fault", [StoreError("no route"), RuntimeError("a driver's bug")])
def test_nothing_that_goes_wrong_in_writing_ends_it(sqlite_database, written, monkeypatch, fault):
    faults = [fault, fault]
    write = incidents_module.begin

    def begin(*arguments):
        if faults:
            raise faults.pop()
        return write(*arguments)

    monkeypatch.setattr(incidents_module, "begin", begin)
    with telling(sqlite_database) as incidents:
        incidents.started("next_hop", REFUSED)
        written.wait_for("begin")
    assert len(rows(sqlite_database)) == 1


def test_a_text_is_a_line_of_bounded_length(sqlite_database):
    with telling(sqlite_database) as incidents:
        incidents.started("next_hop", "refused us:\n554 " + "x" * 100_000)
    (row,) = rows(sqlite_database)
    assert row.text.startswith("refused us: 554 xxx")
    assert len(row.text) == 500


# The next hop, asked until it is back


class Told:
    """Stands for `Incidents`: what the hop was last said to be, and a wait for the next word."""

    def __init__(self):
        self._down = False
        self._asked = asyncio.Queue()
        self._queue = asyncio.Queue()

    def reached(self, failure):
        self._down = failure is not None
        self._queue.put_nowait(None if failure is None else str(failure))

    def is_going_on(self, kind):
        self._asked.put_nowait(self._down)
        return self._down

    async def asked(self, times):
        async with asyncio.timeout(PATIENCE):
            for _ in range(times):
                while await self._asked.get():
                    pass

    async def next(self):
        async with asyncio.timeout(PATIENCE):
            return await self._queue.get()


@pytest.fixture
def quick(monkeypatch):
    monkeypatch.setattr(incidents_module, "FIRST_PROBE", 0.001)
    monkeypatch.setattr(incidents_module, "PROBE_EVERY", 0.01)


async def test_a_next_hop_that_is_down_is_asked_until_it_is_back_and_then_left_alone(quick):
    told = Told()
    async with FakeNextHop() as peer:
        options = NextHopOptions(hostname="filter.example")
        hop = open_next_hop(peer.url, options, told.reached)
        await peer.stop()
        probing = asyncio.create_task(probe_while_down(hop, told))
        for _ in range(3):
            assert await told.next() == f"{peer.url}: Connection refused"
        peer._server = await asyncio.start_server(peer._serve, "127.0.0.1", peer.port)
        while await told.next() is not None:
            pass
        await told.asked(5)
        assert peer.connections == 1
        probing.cancel()
        await hop.close()


async def test_the_connection_of_a_probe_serves_the_next_mail():
    async with FakeNextHop() as peer:
        hop = open_next_hop(peer.url, NextHopOptions(hostname="filter.example"))
        await hop.probe()
        transaction = await hop.begin()
        assert (await transaction.mail("a@sender.example", "")).is_success
        assert peer.connections == 1
        await transaction.abort()
        await hop.close()


async def test_what_mail_meets_is_told_too():
    told = Told()
    async with FakeNextHop({"connect": [b"554 5.3.2 Go away\r\n"]}) as peer:
        hop = open_next_hop(peer.url, NextHopOptions(hostname="filter.example"), told.reached)
        with pytest.raises(NextHopError):
            await hop.begin()
        assert await told.next() == f"{peer.url}: refused us: 554 5.3.2 Go away"
        await (await hop.begin()).abort()
        assert await told.next() is None
        await hop.close()


async def test_a_bug_in_a_probe_does_not_end_the_probing(quick):
    class Broken:
        probes = 0

        async def probe(self):
            self.probes += 1
            if self.probes == 5:
                probing.cancel()
            raise RuntimeError("a bug")

    told, hop = Told(), Broken()
    told.reached("down")
    probing = asyncio.create_task(probe_while_down(hop, told))
    with pytest.raises(asyncio.CancelledError):
        await probing
    assert hop.probes == 5
