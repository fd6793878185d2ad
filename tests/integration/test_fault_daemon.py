"""The daemon's own ground gives way: database, disk, bundle, memory, descriptors, workers.

Whatever it is, mail flows or stays with its sender, and all is well again when the cause is gone.
"""

import asyncio
import contextlib
import os
import re
import resource
import select
import shutil
import signal
import smtplib
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest
from daemon_process import BASE, HAM, PATIENCE, SPAM, environment

from filterd import daemon as daemon_module
from filterd import housekeeping, processes
from filterd.settings import Settings
from filterd.store.database import open_database
from filterd.store.incidents import since

pytest_plugins = ("daemon_fixtures",)

TICK = 0.05  # seconds between two looks at what cannot be waited for
LONG_AGO = datetime(2000, 1, 1, tzinfo=UTC)
# Far less than the 5 s that SQLite waits for a lock, and room for a busy machine.
AT_ONCE = 2.5
LARGE = b"From: a@example.org\r\nSubject: large\r\n\r\n" + b"x" * 70 + b"\r\n"
LARGE += (b"y" * 70 + b"\r\n") * 20_000


def until(condition, what):
    """Wait until it is so; its value."""
    for _ in range(int(PATIENCE / TICK)):
        if found := condition():
            return found
        select.select([], [], [], TICK)
    pytest.fail(f"not within {PATIENCE:g} s: {what}")


@contextlib.contextmanager
def locked(site):
    """Nobody else may write to the database."""
    path = site / "var/filterd.db"
    with closing(sqlite3.connect(path, timeout=PATIENCE, isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        yield
        connection.execute("ROLLBACK")


@contextlib.contextmanager
def limited(pid, what, soft):
    """A process may have no more than so much of something, for a while."""
    _, hard = before = resource.prlimit(pid, what)
    resource.prlimit(pid, what, (soft, hard))
    yield
    with contextlib.suppress(ProcessLookupError):
        resource.prlimit(pid, what, before)


def records(site):
    """How many messages the database has."""
    with closing(sqlite3.connect(site / "var/filterd.db")) as connection:
        return connection.execute("SELECT count(*) FROM messages").fetchone()[0]


def timed(daemon, message=HAM):
    """The seconds it takes to be told 250."""
    began = time.monotonic()
    assert daemon.send(message)[0] == 250
    return time.monotonic() - began


def descriptors(pid):
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


def cpu_seconds(pid):
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def said_at_the_end(daemon):
    """Exit code and the one line of a daemon that would not start."""
    code = daemon.wait()
    assert "Traceback" not in daemon.log
    (line,) = daemon.log.splitlines()
    return code, line


# Database


@pytest.mark.scenario(
    "F30",
    "the database is locked by another process",
    "mail waits for none of it; its records are written when the lock is gone",
)
def test_a_locked_database_costs_mail_no_time(serve, site, record_property):
    daemon = serve()
    with locked(site):
        slowest = max(timed(daemon) for _ in range(5))
    assert slowest < AT_ONCE
    until(lambda: records(site) == 5, "the records")
    record_property("figure", f"slowest mail {slowest:.2f} s while locked")


@pytest.mark.scenario(
    "F31",
    "the database file is removed while it is in use",
    "mail flows, judged as before; the next start makes a new one",
)
def test_a_database_that_vanishes_costs_no_mail(serve, start, site):
    daemon = serve()
    for path in (site / "var").glob("filterd.db*"):
        path.unlink()
    for _ in range(3):
        assert daemon.send(SPAM)[0] == 250
    assert all(b"X-Filterd-Verdict: spam" in message for message in daemon.delivered())
    daemon.signal(signal.SIGTERM)
    assert daemon.wait() == 0
    again = serve()
    assert again.send()[0] == 250
    until(lambda: records(site) == 1, "a record in the new database")


@pytest.mark.scenario(
    "F32",
    "the database may not be written to, at start",
    "it does not start; one line names the file, exit code 74",
)
def test_a_read_only_database_is_said_at_start(start, site):
    (site / "var/filterd.db").chmod(0o444)
    code, line = said_at_the_end(start(without_root=True))
    assert code == 74
    assert line == "filterd: var/filterd.db: cannot be opened for writing: Permission denied"


def kill_all(daemon):
    """Workers too: they would take their time to write what the database does not take."""
    pids = daemon.worker_pids
    daemon.process.kill()
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
    daemon.wait()


def spoil(path):
    """All but the first page is noise."""
    content = path.read_bytes()
    path.write_bytes(content[:4096] + os.urandom(len(content) - 4096))


@pytest.mark.scenario(
    "F33",
    "the database is damaged while it is in use, and then at start",
    "mail flows, judged as before; a start is refused in a line, exit code 74",
)
def test_a_damaged_database_costs_no_mail_and_is_said_at_start(serve, start, site):
    daemon = serve()
    with closing(sqlite3.connect(site / "var/filterd.db")) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    spoil(site / "var/filterd.db")
    for _ in range(3):
        assert daemon.send(SPAM)[0] == 250
    assert all(b"X-Filterd-Verdict: spam" in message for message in daemon.delivered())
    kill_all(daemon)
    for path in (site / "var").glob("filterd.db-*"):
        path.unlink()
    spoil(site / "var/filterd.db")
    code, line = said_at_the_end(start())
    assert code == 74
    assert line.startswith("filterd: var/filterd.db: damaged; ")
    assert "filterd db check" in line


# Disk


@pytest.mark.scenario(
    "F34",
    "the disk is full for the database",
    "mail flows; the records wait and are written when there is room",
)
def test_a_full_disk_of_the_database_costs_no_mail(serve, site):
    daemon = serve()
    (worker,) = daemon.worker_pids
    with limited(worker, resource.RLIMIT_FSIZE, 2000):
        for _ in range(3):
            assert daemon.send(HAM)[0] == 250
        daemon.heard("records_wait")
    daemon.heard("records_flow_again")
    assert records(site) == 3


@pytest.mark.scenario(
    "F35",
    "the disk is full for a Maildir as next hop",
    "451 or 452, no part of the mail is found there; delivered once there is room",
)
def test_a_full_disk_of_the_maildir_is_told_to_the_sender(serve, site):
    daemon = serve()
    (worker,) = daemon.worker_pids
    with limited(worker, resource.RLIMIT_FSIZE, 500_000):
        assert daemon.send(LARGE)[0] in (451, 452)
        assert daemon.send(HAM)[0] == 250
    assert [path.name for path in (site / "var/mail/tmp").iterdir()] == []
    assert len(daemon.delivered()) == 1
    assert daemon.send(LARGE)[0] == 250


@pytest.mark.scenario(
    "F36",
    "no room on the disk for what a worker counts",
    "it serves all the same, and counts for itself",
)
def test_no_room_for_metrics_is_no_reason_to_end(tmp_path):
    program = "from filterd import metrics; metrics.SPARED.inc(); print(metrics.IS_SEEN)"
    done = subprocess.run(
        ["prlimit", "--fsize=1000", sys.executable, "-c", program],
        env=environment(PROMETHEUS_MULTIPROC_DIR=str(tmp_path)),
        capture_output=True,
        check=True,
        text=True,
    )
    assert done.stdout == "False\n"
    assert list(tmp_path.iterdir()) == []


# Bundle


@pytest.mark.scenario(
    "F37",
    "the champion's folder vanishes, or its files are cut short, while it serves",
    "mail is judged by it as before",
)
@pytest.mark.parametrize("how", ["vanishes", "is cut short"])
def test_a_bundle_that_goes_while_it_serves_is_not_missed(serve, site, how):
    daemon = serve()
    bundle = site / "var/models/tiny.1"
    if how == "vanishes":
        shutil.rmtree(bundle)
    else:
        for path in bundle.iterdir():
            os.truncate(path, 10)
    for _ in range(3):
        assert daemon.send(SPAM)[0] == 250
    assert all(b"X-Filterd-Model: tiny.1" in message for message in daemon.delivered())


@pytest.mark.scenario(
    "F38",
    "a worker is killed after the champion's folder has vanished",
    "its successor serves with the shipped bundle and says so; mail flows",
)
def test_a_successor_without_the_bundle_serves_with_the_shipped_one(serve, site):
    daemon = serve()
    shutil.rmtree(site / "var/models/tiny.1")
    os.kill(daemon.worker_pids[0], signal.SIGKILL)
    assert daemon.send(SPAM)[0] == 250
    daemon.heard("champion_unusable")
    assert b"X-Filterd-Model: tiny.1" not in daemon.delivered()[0]


# Workers


def workers_incidents(site):
    with closing(open_database(f"sqlite:///{site / 'var/filterd.db'}")) as database:
        return [one for one in since(database, LONG_AGO) if one.kind == "worker"]


@pytest.mark.scenario(
    "F43",
    "a worker crashes",
    "another takes its place on the same socket; an incident says so",
)
def test_a_worker_that_crashes_is_replaced_and_told_of(serve, site, record_property):
    daemon = serve(workers=2)
    began = time.monotonic()
    os.kill(daemon.worker_pids[0], signal.SIGSEGV)
    daemon.heard("worker died")
    daemon.heard("ready")
    record_property("figure", f"{time.monotonic() - began:.1f} s until two served again")
    assert daemon.send()[0] == 250
    (incident,) = until(lambda: workers_incidents(site), "an incident")
    assert re.fullmatch(r"worker [01] was ended by SIGSEGV", incident.text)
    assert incident.ended_at is None


@contextlib.asynccontextmanager
async def supervising(site):
    """A supervisor in this process."""
    paths = {"database": f"sqlite:///{site / 'var/filterd.db'}", "models": site / "var/models"}
    settings = Settings(**BASE | paths | {"metrics": "", "next_hop": f"maildir:{site / 'mail'}"})
    supervisor = daemon_module.Supervisor(settings, None)
    running = asyncio.create_task(supervisor.run())
    yield supervisor
    supervisor._ended.set()
    await running


async def becomes(condition):
    """Wait until it is so; its value."""
    async with asyncio.timeout(PATIENCE):
        while not (found := condition()):  # noqa: ASYNC110  # a database tells nobody
            await asyncio.sleep(TICK)
    return found


async def test_it_is_over_when_all_workers_have_served_for_a_while(site, monkeypatch):
    for module in (daemon_module, processes):
        monkeypatch.setattr(module, "HEALTHY_SECONDS", 0.2)
    async with supervising(site) as supervisor:
        first = await becomes(lambda: supervisor._slots and supervisor._slots[0].current)
        os.kill(first.child.pid, signal.SIGKILL)
        over = await becomes(lambda: [one for one in workers_incidents(site) if one.ended_at])
    assert [one.text for one in over] == ["worker 0 was ended by SIGKILL"]


async def test_nothing_is_removed_by_its_age_after_the_clock_was_put_forward(site, monkeypatch):
    told = asyncio.Event()

    class Doubtful:
        def seconds_of_doubt(self):
            told.set()
            return 86_400.0

    def purge(_settings):
        pytest.fail("removed all the same")

    monkeypatch.setattr(housekeeping, "ClockWatch", Doubtful)
    monkeypatch.setattr(housekeeping, "_purge", purge)
    async with supervising(site):
        async with asyncio.timeout(PATIENCE):
            await told.wait()


@pytest.mark.scenario(
    "F44",
    "a worker crashes again and again",
    "each time it is replaced later: 0.5 s, 1 s, 2 s … at most 30 s",
)
def test_a_worker_that_keeps_crashing_is_replaced_ever_later(serve, record_property):
    daemon = serve()
    pauses = []
    for _ in range(3):
        (worker,) = until(lambda: daemon.worker_pids, "a worker")
        os.kill(worker, signal.SIGKILL)
        daemon.heard("worker died")
        began = time.monotonic()
        until(lambda: daemon.worker_pids, "its successor")
        pauses.append(time.monotonic() - began)
        daemon.heard("ready")
    assert pauses[0] >= 0.5
    assert pauses[1] >= 1.0
    assert pauses[2] >= 2.0
    record_property("figure", ", ".join(f"{pause:.1f} s" for pause in pauses))


# Descriptors, memory


@pytest.mark.scenario(
    "F45",
    "a worker has no descriptors left",
    "newcomers are turned away, no processor is burnt; it serves again as soon as there are some",
)
def test_a_worker_without_descriptors_recovers(serve, record_property):
    daemon = serve(metrics="")
    (worker,) = daemon.worker_pids
    assert daemon.send()[0] == 250
    with limited(worker, resource.RLIMIT_NOFILE, descriptors(worker) + 6):
        with contextlib.ExitStack() as clients:
            for _ in range(40):
                address = ("127.0.0.1", daemon.port)
                clients.enter_context(socket.create_connection(address, PATIENCE))
            before, began = cpu_seconds(worker), time.monotonic()
            threading.Event().wait(1)
            share = (cpu_seconds(worker) - before) / (time.monotonic() - began)
        assert share < 0.3
        until(lambda: answers(daemon), "a reply with few descriptors")
    assert daemon.send()[0] == 250
    assert daemon.worker_pids == [worker]
    record_property("figure", f"{share:.0%} of a core meanwhile")


def answers(daemon):
    """Whether a mail is taken now."""
    try:
        return daemon.send()[0] == 250
    except (smtplib.SMTPException, OSError):
        return False


@pytest.mark.scenario(
    "F46",
    "a worker runs out of memory over a mail",
    "that mail is passed, put off or its connection ends; the worker is replaced; the others go on",
)
def test_a_worker_without_memory_is_replaced(serve, record_property):
    daemon = serve(workers=2)
    first, second = daemon.worker_pids
    size = int(Path(f"/proc/{first}/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    codes = []
    with limited(first, resource.RLIMIT_AS, size + 1_000_000):
        while first in daemon.worker_pids:
            with contextlib.suppress(smtplib.SMTPException, OSError):
                codes.append(daemon.send(LARGE * 4)[0])
    assert second in daemon.worker_pids
    daemon.heard("worker died")
    daemon.heard("ready")
    assert set(codes) <= {250, 451, 421}
    assert len(daemon.delivered()) == codes.count(250)
    assert daemon.send()[0] == 250
    record_property("figure", f"answered until it was replaced: {len(codes)}")


@pytest.mark.scenario(
    "F47",
    "the supervisor has no descriptors left when a worker dies",
    "it tries again, ever later, until there are some; then the worker is replaced",
)
def test_a_supervisor_without_descriptors_tries_again(serve):
    daemon = serve(metrics="")
    supervisor = daemon.process.pid
    with limited(supervisor, resource.RLIMIT_NOFILE, descriptors(supervisor)):
        os.kill(daemon.worker_pids[0], signal.SIGKILL)
        assert daemon.heard("worker did not start")["error"] == "worker 0: Too many open files"
    daemon.heard("ready")
    assert daemon.send()[0] == 250
