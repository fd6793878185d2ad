"""Takes training runs and sees each through in a process of its own; bounds, retries, reasons.

It trains nothing itself and loads none of what does. Where it cannot know how a run ended, because
it was stopped or the lease was lost, it leaves it at work: the next trainer goes on with it.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

import structlog

from filterd.store.leases import current_lease
from filterd.store.runs import finish_run, get_run, take_run
from trainer.child import Child, bounds_of_threads
from trainer.lease import Term, hold_lease
from trainer.stages import EXIT_LEASE_LOST, LEASE, OUT_OF_MEMORY, SHADOW

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import datetime
    from pathlib import Path
    from typing import Any

    from filterd.store.database import Database
    from filterd.store.runs import TrainingRun
    from trainer.child import Ended
    from trainer.lease import HeldLease
    from trainer.settings import TrainerSettings

COMMAND = (sys.executable, "-m", "trainer.night")
# How often a run that ran out of memory is tried again, each time with half the batch.
MOST_HALVINGS = 2
GRACE_SECONDS = 20.0
TOGETHER_SECONDS = 1.0
TERM = Term()

Cut = Literal["stopped", "lease lost", "out of time"]

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Ways:
    """How runs are done: settings, the child's command and options, its variables, waits."""

    own: TrainerSettings
    config: Path | None = None
    batch: int | None = None
    command: Sequence[str] = COMMAND
    environment: Mapping[str, str] = field(default_factory=dict)
    term: Term = TERM
    grace: float = GRACE_SECONDS


class Supervisor:
    """Sees runs through, one at a time, until `stop` is set.

    `holder` names this process among all that share the database. `heard` gets the run and each
    thing that its process says, from the event loop.
    """

    def __init__(
        self,
        database: Database,
        ways: Ways,
        holder: str,
        *,
        stop: asyncio.Event,
        heard: Callable[[TrainingRun, Mapping[str, Any]], None],
        now: Callable[[], datetime],
    ) -> None:
        self._database = database
        self._ways = ways
        self._stop = stop
        self._heard = heard
        self._now = now
        self._holder = holder

    async def work(
        self, *, most: int | None = None, ask: Callable[[], object] | None = None
    ) -> list[TrainingRun] | None:
        """See through what wants a trainer, `most` of it; how each ended or was left.

        None if another trainer holds the lease. `ask` is called once it is ours: to ask for a
        run. Raises StoreError.
        """
        ways = self._ways
        done: list[TrainingRun] = []
        held = await asyncio.to_thread(
            hold_lease, self._database, self._holder, ways.term, self._now
        )
        if held is None:
            return None
        try:
            if ask is not None:
                await asyncio.to_thread(ask)
            while not self._stop.is_set() and not held.is_lost and len(done) != most:
                run = await asyncio.to_thread(
                    take_run, self._database, self._holder, held.token, self._now()
                )
                if run is None:
                    break
                done.append(await self._see_through(run, held))
        finally:
            await asyncio.to_thread(held.give_back)
        return done

    async def _see_through(self, run: TrainingRun, held: HeldLease) -> TrainingRun:
        log.info("run taken", run=run.id, trigger=run.trigger, attempt=run.attempts)
        batch = self._ways.batch
        halvings = 0
        left = time.monotonic() + self._ways.own.time_budget
        while True:
            ended, cut = await self._run_child(run, held, batch, left)
            found = await asyncio.to_thread(get_run, self._database, run.id) or run
            if found.state != "running" or found.token != held.token:
                break  # it said itself how it ended, or another trainer has it
            if cut in {"stopped", "lease lost"}:
                log.warning("run left for the next start", run=run.id, why=cut, stage=found.stage)
                break
            size = batch or self._ways.own.batch
            no_memory = cut is None and _is_out_of_memory(ended)
            if no_memory and halvings < MOST_HALVINGS and size > 1:
                batch, halvings = size // 2, halvings + 1
                log.warning("out of memory, trying with half the batch", run=run.id, batch=batch)
                continue
            if ended.code == EXIT_LEASE_LOST and not await self._is_ours(held):
                break
            found = await self._fail(found, held, self._reason(ended, cut, size))
            break
        log.info("run ended", run=run.id, state=found.state, reason=found.reason)
        return found

    async def _run_child(
        self, run: TrainingRun, held: HeldLease, batch: int | None, until: float
    ) -> tuple[Ended, Cut | None]:
        """Its end, and why it was cut short if it was. `until` is on the monotonic clock."""
        ways = self._ways
        in_shadow = asyncio.Event()

        def hear(said: Mapping[str, Any]) -> None:
            if said.get("stage") == SHADOW:
                in_shadow.set()
            self._heard(run, said)

        command = [*ways.command, str(run.id), "--token", str(held.token)]
        command += [] if batch is None else ["--batch", str(batch)]
        command += [] if ways.config is None else ["--config", str(ways.config)]
        environment = {
            **_without_tokens(os.environ),
            **bounds_of_threads(ways.own.cores),
            **ways.environment,
        }
        child = await Child.start(command, environment, ways.own.nice, hear)
        ending = asyncio.create_task(child.wait())
        watches: dict[asyncio.Task[Any], Cut] = {
            asyncio.create_task(self._stop.wait()): "stopped",
            asyncio.create_task(held.lost()): "lease lost",
            asyncio.create_task(_out_of_time(until, in_shadow)): "out of time",
        }
        try:
            await asyncio.wait({ending, *watches}, return_when=asyncio.FIRST_COMPLETED)
            if ending.done():
                return ending.result(), await self._who_ended(ending.result())
            cut = next(why for watch, why in watches.items() if watch.done())
            # Another may begin with the same run at any moment: no time for a farewell.
            await child.stop(0.0 if cut == "lease lost" else ways.grace)
            return await ending, cut
        finally:
            if not ending.done():
                child.kill()
            for task in (ending, *watches):
                task.cancel()

    async def _who_ended(self, ended: Ended) -> Cut | None:
        """A service manager may ask all processes to end at once, and the child was quicker."""
        if ended.code == -signal.SIGTERM:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stop.wait(), TOGETHER_SECONDS)
                return "stopped"
        return None

    async def _is_ours(self, held: HeldLease) -> bool:
        lease = await asyncio.to_thread(current_lease, self._database, LEASE, self._now())
        return lease is not None and lease.token == held.token

    async def _fail(self, run: TrainingRun, held: HeldLease, reason: str) -> TrainingRun:
        return await asyncio.to_thread(
            finish_run, self._database, run.id, held.token, "failed", reason, now=self._now()
        )

    def _reason(self, ended: Ended, cut: Cut | None, batch: int) -> str:
        remark = f": {ended.remark}" if ended.remark else ""
        if cut == "out of time":
            return f"took longer than time_budget, {self._ways.own.time_budget:g} s"
        if _is_out_of_memory(ended):
            return f"out of memory, with batches of {batch} too{remark}"
        if ended.code == 0:
            return "its process ended without a result"
        if ended.code < 0:
            return f"its process was ended by {signal.Signals(-ended.code).name}{remark}"
        return f"its process ended with exit code {ended.code}{remark}"


def _without_tokens(variables: Mapping[str, str]) -> dict[str, str]:
    """A night needs the settings and nothing of Slack's, where one environment is for all."""
    return {name: value for name, value in variables.items() if not name.startswith("SLACK_")}


async def _out_of_time(until: float, in_shadow: asyncio.Event) -> None:
    """Return at that time, unless the run is in shadow: that takes as long as it was told to."""
    try:
        await asyncio.wait_for(in_shadow.wait(), until - time.monotonic())
    except TimeoutError:
        return
    await asyncio.Event().wait()


def _is_out_of_memory(ended: Ended) -> bool:
    return ended.code in OUT_OF_MEMORY
