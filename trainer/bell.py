"""The bell: rings when a night is due, and every minute besides.

Each ring only looks; that a night is due, and whether it was answered, is for the database to say.
So a ring too many does no harm, and one that was missed is made up by the next.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import structlog
from apscheduler.schedulers.asyncio import AsyncIOScheduler
from apscheduler.triggers.cron import CronTrigger
from apscheduler.triggers.interval import IntervalTrigger

from filterd.errors import FilterdError, StoreError
from filterd.store.pauses import pauses
from filterd.store.runs import OPEN, TRAINED, add_due_run, due_run, labels_since, last_run
from trainer.schedule import is_worth_it, last_due

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from filterd.store.database import Database
    from filterd.store.runs import TrainingRun
    from trainer.settings import TrainerSettings
    from trainer.supervise import Supervisor

HEARTBEAT_SECONDS = 60.0

log = structlog.get_logger(__name__)


def look(database: Database, own: TrainerSettings, now: datetime) -> TrainingRun | None:
    """Note the night that is due, to be done or skipped; None if there is none, or it was noted.

    Raises StoreError.
    """
    due = last_due(own.schedule, own.zone, now)
    if due is None or due_run(database, due) is not None:
        return None
    skip = on_hold(database) or too_little(database, own, now)
    return add_due_run(database, due, now, skip=skip)


def on_hold(database: Database) -> str | None:
    """That nights are on hold, and since when and by whom; None if they are not."""
    pause = pauses(database).get("nights")
    return None if pause is None else f"nights are on hold since {pause.at:%Y-%m-%d}, by {pause.by}"


def too_little(database: Database, own: TrainerSettings, now: datetime) -> str | None:
    """Why a training now would not be worth it; None if it would."""
    before = last_run(database, TRAINED)
    trained_at = None if before is None else before.started_at
    return is_worth_it(labels_since(database, trained_at), trained_at, now, own)


async def keep_nights(
    database: Database,
    own: TrainerSettings,
    supervisor: Supervisor,
    *,
    stop: asyncio.Event,
    now: Callable[[], datetime],
    care: Callable[[datetime], None] = lambda _: None,
    heartbeat: float = HEARTBEAT_SECONDS,
) -> None:
    """Do what is due and what is asked for, until told to stop. `care`, on a thread, looks after
    what serves at each ring.
    """
    rung = asyncio.Event()
    scheduler = _make_bell(own, rung, heartbeat)
    scheduler.start()
    stopping = asyncio.create_task(stop.wait())
    rung.set()  # what was missed while nobody was here
    try:
        while not stop.is_set():
            ringing = asyncio.create_task(rung.wait())
            await asyncio.wait({ringing, stopping}, return_when=asyncio.FIRST_COMPLETED)
            ringing.cancel()
            rung.clear()
            if not stop.is_set():
                await _answer(database, own, supervisor, now())
                await _take_care(care, now())
    finally:
        stopping.cancel()
        scheduler.shutdown(wait=False)


async def _answer(
    database: Database, own: TrainerSettings, supervisor: Supervisor, now: datetime
) -> None:
    try:
        noted = await asyncio.to_thread(look, database, own, now)
        if noted is not None:
            log.info("night", run=noted.id, state=noted.state, reason=noted.reason)
        if await asyncio.to_thread(last_run, database, OPEN) is not None:
            await supervisor.work()
    except StoreError as error:
        log.warning("the database is away, trying again", error=str(error))


async def _take_care(care: Callable[[datetime], None], now: datetime) -> None:
    try:
        await asyncio.to_thread(care, now)
    except FilterdError as error:
        log.warning("not looked after", error=str(error))


def _make_bell(own: TrainerSettings, rung: asyncio.Event, heartbeat: float) -> AsyncIOScheduler:
    async def ring() -> None:
        rung.set()

    scheduler = AsyncIOScheduler(timezone=own.zone)
    # However late a ring comes: one is as good as many.
    options = {"misfire_grace_time": None, "coalesce": True}
    scheduler.add_job(ring, IntervalTrigger(seconds=heartbeat), **options)
    if own.schedule:
        scheduler.add_job(ring, CronTrigger.from_crontab(own.schedule, own.zone), **options)
    return scheduler
