"""What only one replica may do: cards, alerts, digest, and saying them all.

Whoever holds the lease does; the others look every few seconds whether it is free. A holder that
cannot renew it in time stops before another can begin.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

import structlog

from bot import alerts
from bot.digest import digest_content, is_due
from bot.drift import look_for_drift
from bot.health import ailments
from filterd.errors import FilterdError, StoreError
from filterd.store import leases, pauses, posts, runs
from filterd.store.figures import figures

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Mapping
    from datetime import date, datetime
    from typing import Any

    from bot.drift import Drift
    from bot.parts import Parts
    from filterd.settings import Settings
    from filterd.store.database import Database

    Job = Callable[[], Coroutine[Any, Any, None]]

LEASE = "slack"
# Until a job that failed in a way nobody foresaw is begun anew.
FAILED_SECONDS = 5.0
DIGEST_SECONDS = 20.0
DRIFT_EVERY = timedelta(minutes=15)
DIGEST_DAYS = 7
NIGHT = timedelta(hours=24)
DIGEST = "digest"

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Term:
    """Seconds: for how long the duty is taken, how often that is renewed, and how often whoever has
    it looks for what ails the mail path.
    """

    lasts: float = 20.0
    renew: float = 5.0
    ailments: float = 5.0


class Duty:
    """`run` until cancelled. `holder` names this process among all that share the database.

    `clock` gives seconds that only grow.
    """

    def __init__(
        self,
        parts: Parts,
        settings: Settings,
        jobs: Mapping[str, Job],
        holder: str,
        *,
        clock: Callable[[], float],
        term: Term,
    ) -> None:
        self._parts = parts
        self._settings = settings
        self._jobs: dict[str, Job] = {
            **jobs,
            "alerts": lambda: _repeat(self.look_for_alerts, term.ailments),
            "digest": lambda: _repeat(self.make_digest, DIGEST_SECONDS),
        }
        self._holder = holder
        self._clock = clock
        self._term = term
        self._done: set[date] = set()
        self._found: tuple[datetime, Drift | None] | None = None

    async def run(self) -> None:
        """Take the lease when it is free, and do the duty while it is ours."""
        while True:
            begun = self._clock()
            try:
                lease = await self._take()
            except StoreError as error:
                log.warning("no lease, the database is away", error=str(error))
                lease = None
            if lease is not None:
                log.info("on duty", token=lease.token)
                await self._serve(lease, begun + self._term.lasts)
            await asyncio.sleep(self._term.renew)

    async def _serve(self, lease: leases.Lease, until: float) -> None:
        """All jobs, until the lease is lost, which it is at `until` unless it is renewed."""
        jobs = [
            asyncio.create_task(_kept_up(name, job), name=name) for name, job in self._jobs.items()
        ]
        why = "told to end"
        try:
            while True:
                await asyncio.sleep(self._term.renew)
                begun = self._clock()
                if await self._is_renewed(lease, until - begun):
                    until = begun + self._term.lasts
                elif self._clock() >= until - self._term.renew:
                    why = "the lease could not be renewed in time"
                    break
        except _LostError:
            why = "another replica has the lease"
        finally:
            log.info("off duty", why=why)
            for running in jobs:
                running.cancel()
            await asyncio.gather(*jobs, return_exceptions=True)
            await self._give_back(lease)

    async def _is_renewed(self, lease: leases.Lease, seconds: float) -> bool:
        """False if nobody can say, at least not within `seconds`. Raises _LostError."""
        try:
            kept = await asyncio.wait_for(self._take(), max(seconds, 0.0))
        except (StoreError, TimeoutError) as error:
            log.warning("the lease is not renewed", error=str(error))
            return False
        if kept is None or kept.token != lease.token:
            raise _LostError
        return True

    async def look_for_alerts(self) -> None:
        """Begin, change and end alerts by what ails the mail path now."""
        now, channel = self._parts.now(), self._parts.settings.alerts
        found = await self._parts.desk.read(ailments, now, self._settings, drift=self._find_drift)
        await self._parts.desk.write(alerts.look, channel, found, now)

    def _find_drift(self, database: Database, now: datetime) -> Drift | None:
        """As of the last quarter of an hour: it reads two weeks of mail."""
        if self._found is None or now - self._found[0] > DRIFT_EVERY:
            self._found = now, look_for_drift(database, now)
        return self._found[1]

    async def make_digest(self) -> None:
        """Make today's digest if it is time and nobody has."""
        settings = self._parts.settings
        if settings.digest_at is None:
            return
        now = self._parts.now()
        day = is_due(now, settings.digest_at, settings.zone, self._done)
        if day is None:
            return
        key = f"{DIGEST}:{day}"
        paused = "cards" in await self._parts.desk.read(pauses.pauses)
        if not paused and await self._parts.desk.read(posts.get_post, key) is None:
            content = await self._digest(day, now)
            await self._parts.desk.write(
                posts.add_post,
                key=key,
                kind=DIGEST,
                channel=settings.channel,
                content=content,
                now=now,
            )
            log.info("digest", day=str(day))
        if not paused:
            self._done.add(day)

    async def _digest(self, day: date, now: datetime) -> dict[str, Any]:
        yesterday = day - timedelta(days=1)
        parts = self._parts
        week = await parts.desk.read(figures, DIGEST_DAYS, yesterday, parts.settings.zone)
        nights = await parts.desk.read(runs.runs, now - NIGHT)
        asked = await asyncio.to_thread(parts.explainer.questions)
        return digest_content(week.days[-1], week, nights, asked)

    async def _take(self) -> leases.Lease | None:
        """The lease, taken or renewed; None if another has it. Raises StoreError."""
        lasts = timedelta(seconds=self._term.lasts)
        return await self._parts.desk.once(
            leases.take_lease, LEASE, self._holder, now=self._parts.now(), lasts=lasts
        )

    async def _give_back(self, lease: leases.Lease) -> None:
        try:
            await self._parts.desk.once(leases.give_back_lease, lease)
        except StoreError as error:
            log.warning("the lease ends by itself", error=str(error))


class _LostError(Exception):
    """Another has the lease."""


async def _kept_up(name: str, job: Job) -> None:
    """A job that should never end: one that fails must not end the others."""
    while True:
        try:
            await job()
        except Exception:
            log.exception("a duty failed, it begins anew", job=name)
        await asyncio.sleep(FAILED_SECONDS)


async def _repeat(work: Job, seconds: float) -> None:
    while True:
        try:
            await work()
        except FilterdError as error:
            log.warning("put off", error=str(error))
        await asyncio.sleep(seconds)
