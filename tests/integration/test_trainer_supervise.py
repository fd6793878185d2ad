"""Seeing runs through in processes of their own: their ends, bounds, retries, the lease."""

import asyncio
import json
import os
import sys
import time
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import update
from store_records import MORNING

from filterd.store.leases import current_lease, take_lease
from filterd.store.runs import get_run, request_run
from filterd.store.tables import Leases
from trainer.lease import Term
from trainer.settings import TrainerSettings
from trainer.stages import EXIT_LEASE_LOST, LEASE
from trainer.supervise import Supervisor, Ways

pytest_plugins = ("store_fixtures",)

STAND_IN = Path(__file__).parents[1] / "stand_in_night.py"
PATIENCE = 20.0


class Site:
    """A database with one run that waits, and supervisors for it."""

    def __init__(self, database, url, folder):
        self.database, self.url, self.folder = database, url, folder
        self.run = request_run(database, "ann", "cli", MORNING)
        self.heard = []
        self.told = asyncio.Event()
        self.late = timedelta()
        self.stop = asyncio.Event()

    def now(self):
        return datetime.now(UTC) + self.late

    def hear(self, run, said):
        self.heard.append(said)
        self.told.set()

    def supervisor(self, plan, *, holder="here:1", lasts=30.0, grace=5.0, batch=None, **settings):
        ways = Ways(
            TrainerSettings(**settings),
            batch=batch,
            command=(sys.executable, str(STAND_IN), self.url, plan),
            term=Term(timedelta(seconds=lasts)),
            grace=grace,
        )
        return Supervisor(
            self.database, ways, holder, stop=self.stop, heard=self.hear, now=self.now
        )

    async def work(self, plan, **options):
        """See the run through; it as it ended."""
        (run,) = await self.supervisor(plan, **options).work()
        assert run == get_run(self.database, run.id)
        return run

    async def until_heard(self, key):
        async with asyncio.timeout(PATIENCE):
            while not any(key in said for said in self.heard):
                self.told.clear()
                await self.told.wait()
        return next(said[key] for said in self.heard if key in said)

    def starts(self):
        return [json.loads(line) for line in (self.folder / "starts").read_text().splitlines()]


@pytest.fixture
async def site(sqlite_database, sqlite_url, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(STAND_IN.parents[1]))
    return Site(sqlite_database, sqlite_url, tmp_path)


async def has_gone(pid):
    """Whether the process ends, or is left for its new parent to bury."""
    async with asyncio.timeout(PATIENCE):
        while is_alive(pid):  # noqa: ASYNC110  # another's child: there is no event
            await asyncio.sleep(0.01)
    return True


def is_alive(pid):
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return stat.rpartition(")")[2].split()[0] != "Z"


# Ends


async def test_a_run_ends_as_its_process_says(site):
    run = await site.work("stage:data,stage:training,end:refused")
    assert (run.state, run.reason, run.stage) == ("refused", "as planned", "training")
    assert [said["stage"] for said in site.heard] == ["data", "training"]
    assert current_lease(site.database, LEASE, site.now()) is None


async def test_what_is_no_word_of_ours_is_not_heard(site):
    run = await site.work("prattle,stage:data,end:skipped")
    assert run.state == "skipped"
    assert site.heard == [{"stage": "data"}]


async def test_a_crash_fails_the_run_with_its_last_words(site):
    run = await site.work("stage:data,remark:no such colour,leave:3")
    assert (run.state, run.stage) == ("failed", "data")
    assert run.reason == "its process ended with exit code 3: no such colour"


async def test_a_signal_fails_the_run_by_its_name(site):
    run = await site.work("die:SIGSEGV")
    assert (run.state, run.reason) == ("failed", "its process was ended by SIGSEGV")


async def test_an_end_without_a_result_fails_the_run(site):
    run = await site.work("stage:data")
    assert (run.state, run.reason) == ("failed", "its process ended without a result")


async def test_what_is_wrong_and_no_lost_lease_fails_the_run(site):
    run = await site.work(f"remark:no bundle,leave:{EXIT_LEASE_LOST}")
    assert (run.state, run.reason) == (
        "failed",
        "its process ended with exit code 73: no bundle",
    )


async def test_a_crash_after_the_end_changes_nothing(site):
    assert (await site.work("end:refused,die:SIGSEGV")).state == "refused"


async def test_without_a_run_there_is_nothing_to_do(site):
    await site.work("end:refused")
    assert await site.supervisor("end:refused").work() == []


# Memory


async def test_out_of_memory_is_tried_again_with_half_the_batch_twice(site):
    run = await site.work("memory:8,end:refused", batch=32)
    assert run.state == "refused"
    assert [start["batch"] for start in site.starts()] == [32, 16, 8]
    assert run.attempts == 1


async def test_memory_that_is_never_enough_fails_the_run(site):
    run = await site.work("memory:7,end:refused")
    assert (run.state, run.reason) == ("failed", "out of memory, with batches of 8 too")
    assert [start["batch"] for start in site.starts()] == [None, 16, 8]


async def test_what_the_kernel_killed_counts_as_out_of_memory(site):
    run = await site.work("die:SIGKILL", batch=2)
    assert (run.state, run.reason) == ("failed", "out of memory, with batches of 1 too")
    assert [start["batch"] for start in site.starts()] == [2, 1]


# Bounds


async def test_the_process_is_nice_and_has_its_threads(site):
    await site.work("shows,end:refused", nice=12, threads=3)
    assert site.heard == [{"nice": 12, "OMP_NUM_THREADS": "3", "OMP_WAIT_POLICY": "PASSIVE"}]


async def test_a_run_that_takes_too_long_is_ended(site):
    run = await site.work("hang", time_budget=1.5)
    assert (run.state, run.reason) == ("failed", "took longer than time_budget, 1.5 s")
    assert await has_gone(site.starts()[0]["pid"])


async def test_a_process_that_does_not_end_when_asked_is_killed_with_all_it_started(site):
    run = await site.work("deaf,brood,hang", time_budget=1.5, grace=0.3)
    assert run.state == "failed"
    for key in ("hangs", "brood"):
        assert await has_gone(await site.until_heard(key))


async def test_what_a_process_leaves_behind_is_ended_with_it(site):
    run = await site.work("brood,end:refused")
    assert run.state == "refused"
    assert await has_gone(await site.until_heard("brood"))


async def test_the_time_in_shadow_does_not_count(site):
    run = await site.work("shadow,rest:2.5,end:refused", time_budget=2.0)
    assert run.state == "refused"


# Being stopped, and going on


async def test_a_run_that_is_stopped_goes_on_with_the_next_start(site):
    working = asyncio.create_task(site.work("stage:data,hang"))
    pid = await site.until_heard("hangs")
    site.stop.set()
    run = await working
    assert await has_gone(pid)
    assert (run.state, run.stage) == ("running", "data")
    site.stop.clear()
    again = await site.work("stage:training,end:refused", holder="here:2")
    assert (again.id, again.state, again.attempts) == (run.id, "refused", 2)
    assert again.token > run.token


async def test_a_service_manager_that_ends_the_process_first_fails_no_run(site):
    working = asyncio.create_task(site.work("stage:data,hang"))
    os.kill(await site.until_heard("hangs"), 15)
    await asyncio.sleep(0)
    site.stop.set()
    assert (await working).state == "running"


async def test_one_who_was_told_to_stop_takes_no_run(site):
    site.stop.set()
    assert await site.supervisor("end:refused").work() == []
    assert get_run(site.database, site.run.id).state == "waiting"


# The lease


async def test_one_trainer_works_at_a_time(site):
    working = asyncio.create_task(site.work("hang"))
    await site.until_heard("hangs")
    assert await site.supervisor("end:refused", holder="there:1").work() is None
    site.stop.set()
    await working


async def test_a_lease_is_kept_for_as_long_as_the_run_takes(site):
    started = time.monotonic()
    run = await site.work("rest:2,end:refused", lasts=0.9)
    assert (run.state, run.attempts) == ("refused", 1)
    assert time.monotonic() - started > 1.8


async def test_a_lease_that_another_has_taken_ends_the_process_and_leaves_the_run(site):
    working = asyncio.create_task(site.work("deaf,hang", lasts=0.9))
    pid = await site.until_heard("hangs")
    with site.database.write() as connection:
        connection.execute(
            update(Leases).values(
                holder="there:1",
                token=Leases.token + 1,
                expires_at=site.now() + timedelta(hours=1),
            )
        )
    run = await working
    assert await has_gone(pid)
    assert run.state == "running"
    assert current_lease(site.database, LEASE, site.now()).holder == "there:1"


async def test_a_trainer_that_slept_ends_its_process_and_leaves_the_run(site):
    working = asyncio.create_task(site.work("hang", lasts=1.2))
    pid = await site.until_heard("hangs")
    site.late = timedelta(hours=1)
    run = await working
    assert await has_gone(pid)
    assert run.state == "running"
    again = await site.work("end:refused", holder="there:1")
    assert (again.id, again.state) == (run.id, "refused")


async def test_the_lease_of_a_run_is_free_for_the_next_when_all_is_done(site):
    await site.work("end:refused")
    lease = take_lease(site.database, LEASE, "there:1", now=site.now(), lasts=timedelta(seconds=1))
    assert lease is not None


async def test_what_is_asked_for_once_the_lease_is_ours_is_done(site):
    await site.work("end:refused")
    asked = []
    done = await site.supervisor("end:skipped").work(
        most=1, ask=lambda: asked.append(request_run(site.database, "bob", "cli", MORNING))
    )
    assert [run.id for run in done] == [run.id for run in asked]
    assert done[0].state == "skipped"


async def test_a_process_whose_trainer_dies_ends_too(site):
    """As after kill -9: the other end of its standard input is closed."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        STAND_IN,
        site.url,
        "deaf,hang",
        "1",
        "--token",
        "1",
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        start_new_session=True,
    )
    await process.stdout.readline()
    process.stdin.close()
    try:
        assert await asyncio.wait_for(process.wait(), PATIENCE) == -9
    finally:
        with suppress(ProcessLookupError):
            process.kill()
