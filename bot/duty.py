"""What only one replica may do: cards, alerts, digest, and saying them all.

Whoever holds the lease does; the others look every few seconds whether it is free. A holder that
cannot renew it in time stops before another can begin.
"""

from __future__ import annotations

import asyncio
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
    from collections.abc import Callable, Coroutine
    from datetime import date, datetime
    from typing import Any

    from bot.drift import Drift
    from bot.parts import Parts
    from bot.poster import Poster
    from bot.watch import Watch
    from filterd.settings import Settings
    from filterd.store.database import Database

LEASE = "slack"
LASTS = timedelta(seconds=20)
RENEW_SECONDS = 5.0
ALERT_SECONDS = 5.0
DIGEST_SECONDS = 20.0
DRIFT_EVERY = timedelta(minutes=15)
DIGEST_DAYS = 7
NIGHT = timedelta(hours=24)
DIGEST = "digest"

log = structlog.get_logger(__name__)


class Duty:
    """`run` until cancelled. `holder` names this process among all that share the database."""

    def __init__(
        self, parts: Parts, settings: Settings, watch: Watch, poster: Poster, holder: str
    ) -> None:
        self._parts = parts
        self._settings = settings
        self._watch = watch
        self._poster = poster
        self._holder = holder
        self._done: set[date] = set()
        self._found: tuple[datetime, Drift | None] | None = None

    async def run(self) -> None:
        """Take the lease when it is free, and do the duty while it is ours."""
        while True:
            lease = await self._take()
            if lease is not None:
                log.info("on duty", token=lease.token)
                await self._serve(lease)
            await asyncio.sleep(RENEW_SECONDS)

    async def _serve(self, lease: leases.Lease) -> None:
        """All jobs, until the lease is lost or a job ends, which none should."""
        jobs = [
            asyncio.create_task(work, name=name)
            for name, work in (
                ("watch", self._watch.run()),
                ("poster", self._poster.run()),
                ("alerts", self._repeat(self.look_for_alerts, ALERT_SECONDS)),
                ("digest", self._repeat(self.make_digest, DIGEST_SECONDS)),
            )
        ]
        try:
            while (kept := await self._take()) is not None and kept.token == lease.token:
                ended, _ = await asyncio.wait(
                    jobs, timeout=RENEW_SECONDS, return_when=asyncio.FIRST_COMPLETED
                )
                for job in ended:
                    why = job.exception()
                    log.error("a duty ended, all begin anew", job=job.get_name(), exc_info=why)
                if ended:
                    break
            else:
                log.warning("another replica is on duty now")
        finally:
            for job in jobs:
                job.cancel()
            await asyncio.gather(*jobs, return_exceptions=True)
            await self._give_back(lease)

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

    async def _repeat(self, work: Callable[[], Coroutine[Any, Any, None]], seconds: float) -> None:
        while True:
            try:
                await work()
            except FilterdError as error:
                log.warning("put off", error=str(error))
            await asyncio.sleep(seconds)

    async def _take(self) -> leases.Lease | None:
        """The lease, taken or renewed; None if another has it, or nobody can say."""
        try:
            return await self._parts.desk.write(
                leases.take_lease, LEASE, self._holder, now=self._parts.now(), lasts=LASTS
            )
        except StoreError as error:
            log.warning("no lease, the database is away", error=str(error))
            return None

    async def _give_back(self, lease: leases.Lease) -> None:
        try:
            await self._parts.desk.write(leases.give_back_lease, lease)
        except StoreError as error:
            log.warning("the lease ends by itself", error=str(error))
