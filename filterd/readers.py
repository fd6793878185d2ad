"""The threads that read mail, beside the event loop. One that is stuck is left behind.

Reading is linear and bounded, and tested to be. Should a mail hold a thread for ever all the same,
neither the mails behind it nor the end of the worker may wait for it.
"""

from __future__ import annotations

import asyncio
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from queue import SimpleQueue
from typing import TYPE_CHECKING, Final

from filterd.model.batcher import Overloaded
from filterd.pipeline import Reading, read

if TYPE_CHECKING:
    from collections.abc import Callable

# Reading is bounded pure Python; two threads keep one slow mail from holding up the rest.
THREADS: Final = 2
# Each of these has another in its place, and takes its share of the processor from all others.
LOST_AT_MOST: Final = 2
CLOSE_SECONDS: Final = 5.0


@dataclass(eq=False, slots=True)
class _Job:
    message: bytes
    loop: asyncio.AbstractEventLoop
    answer: asyncio.Future[Reading]
    thread: threading.Thread | None = None  # that reads it now
    is_given_up: bool = False


class Readers:
    """Reads mail for one event loop, `threads` at a time.

    A reading that its caller gave up while it ran has lost a thread until it ends, and another
    takes its place. With `lost_at_most` lost at once nothing is read until one of them ends.
    """

    def __init__(
        self,
        reader: Callable[[bytes], Reading] = read,
        *,
        threads: int = THREADS,
        lost_at_most: int = LOST_AT_MOST,
    ) -> None:
        self._reader = reader
        self._most = lost_at_most
        self._jobs: SimpleQueue[_Job | None] = SimpleQueue()
        # Held for the blink of a look, never while mail is read.
        self._lock = threading.Lock()
        self._lost: set[threading.Thread] = set()
        self._stuck_since: float | None = None
        self._threads: set[threading.Thread] = set()
        for _ in range(threads):
            self._add_thread()

    @property
    def stuck_for(self) -> float:
        """Seconds for which no mail could be read, since all that may be lost are; 0 if not so."""
        since = self._stuck_since
        return 0.0 if since is None else time.monotonic() - since

    async def read(self, message: bytes) -> Reading:
        """What `reader` makes of a message, or what it raises.

        Raises Overloaded at once while too many threads are lost. Cancel it to give it up.
        """
        if len(self._lost) >= self._most:
            raise Overloaded(f"{len(self._lost)} threads are stuck in mails that were given up")
        loop = asyncio.get_running_loop()
        job = _Job(message, loop, loop.create_future())
        self._jobs.put(job)
        try:
            return await job.answer
        except asyncio.CancelledError:
            self._give_up(job)
            raise

    def close(self) -> None:
        """Let the threads end; blocks for some seconds at most, and not for those that are lost."""
        with self._lock:
            threads = self._threads - self._lost
        for _ in threads:
            self._jobs.put(None)
        limit = time.monotonic() + CLOSE_SECONDS
        for thread in threads:
            thread.join(max(limit - time.monotonic(), 0))

    def _add_thread(self) -> None:
        # A daemon: the interpreter does not wait for it to end.
        thread = threading.Thread(target=self._run, name="reader", daemon=True)
        thread.start()
        self._threads.add(thread)

    def _give_up(self, job: _Job) -> None:
        with self._lock:
            job.is_given_up = True
            if job.thread is None:
                return
            self._lost.add(job.thread)
            if len(self._lost) >= self._most and self._stuck_since is None:
                self._stuck_since = time.monotonic()
            with suppress(RuntimeError):  # the system gives no more threads: one fewer reads
                self._add_thread()

    def _run(self) -> None:
        while (job := self._jobs.get()) is not None:
            if not self._begins(job):
                continue
            outcome: Reading | Exception
            try:
                outcome = self._reader(job.message)
            except Exception as error:  # noqa: BLE001  # who waits for it gets it
                outcome = error
            if self._was_lost(job):
                return
            with suppress(RuntimeError):  # the loop is closed: nobody waits any more
                job.loop.call_soon_threadsafe(_tell, job.answer, outcome)

    def _begins(self, job: _Job) -> bool:
        with self._lock:
            if job.is_given_up:
                return False
            job.thread = threading.current_thread()
            return True

    def _was_lost(self, job: _Job) -> bool:
        """Whether a thread whose reading ended has been given up, and its place taken."""
        with self._lock:
            thread, job.thread = job.thread, None
            if not job.is_given_up or thread is None:
                return False
            self._lost.discard(thread)
            self._threads.discard(thread)
            if len(self._lost) < self._most:
                self._stuck_since = None
            return True


def _tell(answer: asyncio.Future[Reading], outcome: Reading | Exception) -> None:
    if answer.done():
        return
    if isinstance(outcome, Exception):
        answer.set_exception(outcome)
    else:
        answer.set_result(outcome)
