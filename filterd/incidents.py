"""What goes wrong in a worker, on its way to the database, where the bot reads it.

The mail path says so and goes on: a database that is slow or away costs it nothing.
"""

from __future__ import annotations

import asyncio
import contextvars
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

import structlog

from filterd.errors import NextHopError, StoreError
from filterd.store.database import utc_now
from filterd.store.incidents import begin, end, keep

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from filterd.smtp.transaction import NextHop
    from filterd.store.database import Database

Kind = Literal["next_hop", "bundle", "worker"]

WRITE_EVERY: Final = 1.0  # seconds
KEEP_EVERY: Final = 30.0  # seconds; filterd.store.incidents.STALE is six of them
CLOSE_SECONDS: Final = 6.0  # the database's own patience is 5 s
LONGEST_TEXT: Final = 500  # characters; a next hop may say anything in its replies
FIRST_PROBE: Final = 1.0  # seconds after the trouble began; doubled each time
PROBE_EVERY: Final = 10.0  # seconds, at the longest

log = structlog.get_logger(__name__)


@dataclass
class _Incident:
    """What is wrong, and what the database has of it: `id` is None until it is written."""

    text: str
    began: datetime
    ended: datetime | None = None
    id: int | None = None
    kept: float = 0.0  # monotonic


class Incidents:
    """Writes what begins and what is over on a thread of its own; at most one row open per kind.

    What ends and begins again before its end was written is one incident, so that what flickers
    is a row a second at most. `source` is the host and worker that sees it.
    """

    def __init__(
        self,
        database: Database,
        source: str,
        *,
        now: Callable[[], datetime] = utc_now,
        write_every: float = WRITE_EVERY,
        keep_every: float = KEEP_EVERY,
    ) -> None:
        self._database = database
        self._source = source
        self._now = now
        self._write_every = write_every
        self._keep_every = keep_every
        # Held for the blink of a look-up, never while the database is at work.
        self._lock = threading.Lock()
        self._incidents: dict[Kind, _Incident] = {}
        self._blind = False
        self._closing = threading.Event()
        # Its log lines name the worker, which is in the context of whoever makes it.
        run = contextvars.copy_context().run
        self._thread = threading.Thread(target=run, args=[self._run], name="incidents", daemon=True)
        self._thread.start()

    def started(self, kind: Kind, text: str) -> None:
        """Something is wrong; saying it again changes nothing. Returns at once, from any thread."""
        with self._lock:
            known = self._incidents.get(kind)
            if known is None:
                line = " ".join(text.split())[:LONGEST_TEXT]
                self._incidents[kind] = _Incident(line, self._now())
            else:
                known.ended = None

    def over(self, kind: Kind) -> None:
        """It is well, again or still. Returns at once, from any thread."""
        with self._lock:
            known = self._incidents.get(kind)
            if known is not None and known.ended is None:
                known.ended = self._now()

    def tell(self, kind: Kind, trouble: object | None) -> None:
        """Started, with the text of `trouble`, or over if there is none."""
        if trouble is None:
            self.over(kind)
        else:
            self.started(kind, str(trouble))

    def is_going_on(self, kind: Kind) -> bool:
        """Whether it was said to have started and not to be over."""
        known = self._incidents.get(kind)
        return known is not None and known.ended is None

    def close(self) -> None:
        """Write what there is, once; blocks for some seconds at most.

        What goes on then is left as it is: the next worker may meet it too, and if none does it
        goes stale.
        """
        self._closing.set()
        self._thread.join(CLOSE_SECONDS)

    def _run(self) -> None:
        closing = False
        while not closing:
            closing = self._closing.wait(self._write_every)
            try:
                self._write()
                self._blind = False
            except Exception as error:  # noqa: BLE001
                # A bug of ours, or of a driver, must not end the thread.
                self._failed(error)

    def _failed(self, error: Exception) -> None:
        """Say it once for each outage: every record that waits says so, too."""
        if not self._blind:
            if isinstance(error, StoreError):
                log.warning("incidents_wait", error=str(error))
            else:
                log.error("incidents_wait", exc_info=error)
        self._blind = True

    def _write(self) -> None:
        for kind in list(self._incidents):
            incident = self._incidents[kind]
            if incident.id is None:
                incident.id = begin(
                    self._database, kind, self._source, incident.text, incident.began
                )
                incident.kept = time.monotonic()
            ended = incident.ended
            if ended is not None:
                end(self._database, incident.id, ended)
                self._forget(kind, incident)
            elif time.monotonic() - incident.kept >= self._keep_every:
                keep(self._database, [incident.id], self._now())
                incident.kept = time.monotonic()

    def _forget(self, kind: Kind, incident: _Incident) -> None:
        with self._lock:
            if incident.ended is not None:
                del self._incidents[kind]
            else:
                # It began again while its end was being written: another one.
                self._incidents[kind] = _Incident(incident.text, self._now())


async def probe_while_down(hop: NextHop, incidents: Incidents) -> None:
    """Knock at a next hop at first and while it is known to be down, until cancelled.

    Without mail nobody else would notice that it is back. What comes of it the hop tells by the
    `reached` that it was opened with, as it does of every connection.
    """
    pause = FIRST_PROBE
    await _probe(hop)
    while True:
        await asyncio.sleep(pause)
        if incidents.is_going_on("next_hop"):
            await _probe(hop)
            pause = min(2 * pause, PROBE_EVERY)
        else:
            pause = FIRST_PROBE


async def _probe(hop: NextHop) -> None:
    try:
        await hop.probe()
    except NextHopError:
        pass  # told already, and the log has it where mail met it
    except Exception:
        # The probing must outlive a bug in it.
        log.exception("probe_failed")
