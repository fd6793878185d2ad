"""The trainer's lease while it is held: renewed by a thread, and known to be lost in time.

In time is before another can take it, also when the database does not answer at all.
"""

from __future__ import annotations

import asyncio
import threading
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

import structlog

from filterd.errors import StoreError
from filterd.store.leases import give_back_lease, take_lease
from trainer.stages import LEASE

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from filterd.store.database import Database
    from filterd.store.leases import Lease

LASTS = timedelta(seconds=60)

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Term:
    """For how long the lease is taken; renewed every third of that."""

    lasts: timedelta = LASTS

    @property
    def renew(self) -> float:
        """Seconds between renewals."""
        return self.lasts.total_seconds() / 3

    @property
    def look(self) -> float:
        """Seconds between looks whether it is lost, and after which a failed renewal is tried."""
        return self.lasts.total_seconds() / 12

    @property
    def margin(self) -> timedelta:
        """So long before its end it counts as lost: a night must be ended by then."""
        return self.lasts / 6


class HeldLease:
    """A lease that is renewed until it is given back. `now` as for `take_lease`."""

    def __init__(
        self, database: Database, lease: Lease, term: Term, now: Callable[[], datetime]
    ) -> None:
        self.token = lease.token
        self._database = database
        self._lease = lease
        self._term = term
        self._now = now
        self._until = lease.expires_at
        self._taken = threading.Event()  # by another
        self._ended = threading.Event()
        # A database that hangs must not keep the process from ending.
        self._thread = threading.Thread(target=self._renew, name="lease", daemon=True)
        self._thread.start()

    @property
    def is_lost(self) -> bool:
        """Whether another has it, or may soon."""
        return self._taken.is_set() or self._now() >= self._until - self._term.margin

    async def lost(self) -> None:
        """Return when it is lost."""
        while not self.is_lost:  # noqa: ASYNC110  # time alone may take it, and sets no event
            await asyncio.sleep(self._term.look)

    def give_back(self) -> None:
        """Let the next one have it at once; a database that is away lets it expire."""
        self._ended.set()
        self._thread.join(self._term.renew)
        try:
            give_back_lease(self._database, self._lease)
        except StoreError as error:
            log.warning("the lease is not given back", error=str(error))

    def _renew(self) -> None:
        pause = self._term.renew
        while not self._ended.wait(pause):
            lease = self._lease
            try:
                kept = take_lease(
                    self._database,
                    lease.name,
                    lease.holder,
                    now=self._now(),
                    lasts=self._term.lasts,
                )
            except StoreError as error:
                log.warning("the lease is not renewed", error=str(error))
                pause = self._term.look
                continue
            if kept is None or kept.token != lease.token:
                if kept is not None:  # it had expired, and this took it anew
                    give_back_lease(self._database, kept)
                self._taken.set()
                return
            self._until = kept.expires_at
            pause = self._term.renew


def hold_lease(
    database: Database, holder: str, term: Term, now: Callable[[], datetime]
) -> HeldLease | None:
    """The trainer's lease, if nobody else has it. Raises StoreError."""
    lease = take_lease(database, LEASE, holder, now=now(), lasts=term.lasts)
    return None if lease is None else HeldLease(database, lease, term, now)
