"""Message records on their way to the database; the mail path hands them over and goes on.

A database that is slow, locked or gone costs records at the worst, never mail and never time.
"""

from __future__ import annotations

import contextvars
import threading
import time
from collections import deque
from typing import TYPE_CHECKING, Final

import structlog

from filterd.errors import StoreError
from filterd.store.faults import RowError
from filterd.store.messages import write_batch

if TYPE_CHECKING:
    from filterd.store.database import Database
    from filterd.store.messages import MessageRecord

MOST_WAITING: Final = 10_000
BATCH: Final = 200
FLUSH_EVERY: Final = 0.5  # seconds
FIRST_PAUSE: Final = 0.1  # seconds between attempts; doubled each time
LONGEST_PAUSE: Final = 5.0

log = structlog.get_logger(__name__)


class Recorder:
    """Writes records on a thread of its own, in batches. `close` flushes.

    Counters since the start: `written`; `dropped`, because too many were waiting or the time to
    close ran out; `failed`, because the database refuses that very record.
    """

    def __init__(
        self,
        database: Database,
        *,
        most_waiting: int = MOST_WAITING,
        batch: int = BATCH,
        flush_every: float = FLUSH_EVERY,
    ) -> None:
        self.written = 0
        self.dropped = 0
        self.failed = 0
        self._database = database
        self._most_waiting = most_waiting
        self._batch = batch
        self._flush_every = flush_every
        # Held for the blink of a counter or a queue's end, never while the database is at work.
        self._lock = threading.Lock()
        self._waiting: deque[MessageRecord] = deque()
        self._in_hand = 0
        self._full_batch = threading.Event()
        self._closing = threading.Event()
        self._deadline = float("inf")
        # Its log lines name the worker, which is in the context of whoever makes it.
        run = contextvars.copy_context().run
        self._thread = threading.Thread(target=run, args=[self._run], name="recorder", daemon=True)
        self._thread.start()

    @property
    def waiting(self) -> int:
        """Records handed over that are neither written nor given up yet."""
        return len(self._waiting) + self._in_hand

    def record(self, record: MessageRecord) -> None:
        """Hand a record over; returns at once, from any thread or loop."""
        with self._lock:
            taken = len(self._waiting) < self._most_waiting and not self._closing.is_set()
            if taken:
                self._waiting.append(record)
        if not taken:
            self._drop(1)
        elif len(self._waiting) >= self._batch:
            self._full_batch.set()

    def close(self, timeout: float = 10.0) -> None:
        """Write what waits, for at most about `timeout` seconds; blocks. Later records are dropped.

        The last attempt may take the database's own 5 s of patience longer.
        """
        self._deadline = time.monotonic() + timeout
        with self._lock:
            self._closing.set()
        self._full_batch.set()
        self._thread.join()

    def _run(self) -> None:
        while True:
            self._full_batch.wait(self._flush_every)
            self._full_batch.clear()
            # Read before the last look at the queue: nothing comes in once it is set.
            closing = self._closing.is_set()
            while self._waiting:
                self._flush()
            if closing:
                return

    def _flush(self) -> None:
        batch = [self._waiting.popleft() for _ in range(min(self._batch, len(self._waiting)))]
        self._in_hand = len(batch)
        try:
            self._write(batch)
        except Exception:
            # A bug of ours must not end the thread, and with it all recording.
            self.failed += len(batch)
            log.exception("records_lost", records=len(batch))
        finally:
            self._in_hand = 0

    def _write(self, batch: list[MessageRecord]) -> None:
        pause = FIRST_PAUSE
        reported = False
        while True:
            try:
                write_batch(self._database, batch)
            except RowError as error:
                self._refused(batch, error)
                return
            except StoreError as error:
                if not reported:
                    log.warning("records_wait", error=str(error), waiting=self.waiting)
                    reported = True
                if not self._wait(pause):
                    self._drop(len(batch))
                    return
                pause = min(2 * pause, LONGEST_PAUSE)
            else:
                self.written += len(batch)
                if reported:
                    log.info("records_flow_again", waiting=self.waiting)
                return

    def _refused(self, batch: list[MessageRecord], error: RowError) -> None:
        """Find the record that spoils its batch and do without it."""
        if len(batch) == 1:
            self.failed += 1
            log.error("record_refused", id=batch[0].id, error=str(error))
            return
        middle = len(batch) // 2
        self._write(batch[:middle])
        self._write(batch[middle:])

    def _wait(self, seconds: float) -> bool:
        """Wait before the next attempt; False if there is no time left for one."""
        if not self._closing.wait(seconds):
            return True
        left = self._deadline - time.monotonic()
        if left > 0:
            time.sleep(min(seconds, left))
        return left > 0

    def _drop(self, count: int) -> None:
        with self._lock:
            first = self.dropped == 0
            self.dropped += count
        if first:
            log.error("records_dropped", error="too many wait for the database, or it is closing")
