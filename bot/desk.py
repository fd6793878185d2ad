"""What staff do to the database, off the event loop: labels, undo, look-ups.

A database that is away is tried again for half a minute; then the person is told. Writes stand in
one line and keep their order, so that who says spam and then ham is not taken at his first word.
"""

from __future__ import annotations

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Concatenate, ParamSpec, TypeVar

import structlog

from filterd.errors import BundleError, ImpossibleError, StoreError
from filterd.model.bundle import SHIPPED, load
from filterd.model.champion import champion_path
from filterd.store import deliveries, labels, messages, models, posts
from filterd.store.faults import RowError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime
    from pathlib import Path

    from filterd.store.database import Database
    from filterd.store.labels import Label
    from filterd.store.messages import MessageRecord

P = ParamSpec("P")
T = TypeVar("T")

SOURCE = "slack"
# How long an effort may take that a person waits for; the last attempt may wait 5 s for a lock
# besides.
PATIENCE = 30.0
FIRST_PAUSE, LONGEST_PAUSE = 0.1, 2.0  # seconds between attempts, doubled each time
READERS = 4
# Of the answer to a click, which shows the card at once: the poster is for where that fails.
HEAD_START = timedelta(seconds=1)

log = structlog.get_logger(__name__)


class Desk:
    """The bot's one way to the database. `close` when all is over.

    `clock` gives seconds that only grow; `patience` is in seconds.
    """

    def __init__(
        self,
        database: Database,
        models_folder: Path,
        *,
        now: Callable[[], datetime],
        clock: Callable[[], float] = time.monotonic,
        patience: float = PATIENCE,
    ) -> None:
        self._database = database
        self._models = models_folder
        self._now = now
        self._clock = clock
        self._patience = patience
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="desk-writer")
        self._readers = ThreadPoolExecutor(READERS, thread_name_prefix="desk-reader")
        self._line = asyncio.Lock()
        # When and why the last write came to nothing; None if it succeeded.
        self._failed: tuple[float, StoreError] | None = None
        self._loading = asyncio.Lock()
        self._tasks: tuple[str, dict[str, tuple[str, ...]]] | None = None

    async def close(self) -> None:
        """Let what is being written be written."""
        await asyncio.to_thread(self._writer.shutdown)
        await asyncio.to_thread(self._readers.shutdown)

    async def read(
        self, work: Callable[Concatenate[Database, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """`work(database, …)` on a thread; tried again while the database is away. StoreError."""
        deadline = self._clock() + self._patience
        bound = partial(work, self._database, *args, **kwargs)
        return await self._persist(self._readers, bound, deadline)

    async def write(
        self, work: Callable[Concatenate[Database, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """As `read`, one at a time and in the order of the calls."""
        return await self._write(partial(work, self._database, *args, **kwargs), self._patience)

    async def once(
        self, work: Callable[Concatenate[Database, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Out of line and once only, for who looks again by himself. Raises StoreError."""
        bound = partial(work, self._database, *args, **kwargs)
        return await asyncio.get_running_loop().run_in_executor(self._readers, bound)

    async def take_up(self, key: str) -> bool:
        """Whether a delivery of Slack is new; see `filterd.store.deliveries`."""
        return await self.write(deliveries.take_up, key, self._now())

    async def record(self, mail_id: str) -> MessageRecord | None:
        """The record of a mail, or None."""
        return await self.read(messages.get, mail_id)

    async def label(self, mail_id: str, task: str, label: str, by: str) -> Label:
        """Record what a person holds of a mail. Raises ImpossibleError, StoreError."""
        known = await self.tasks()
        given = await self.write(labels.add_label, mail_id, task, label, by, SOURCE, known=known)
        log.info("labelled", id=mail_id, task=task, label=label, by=by)
        await self._show_again(mail_id)
        return given

    async def undo(self, label_id: int, by: str) -> Label:
        """Take a label back. Raises ImpossibleError, StoreError."""
        undone = await self.write(labels.undo_label, label_id, by, SOURCE)
        log.info("undone", id=undone.message_id, label=label_id, by=by)
        await self._show_again(undone.message_id)
        return undone

    async def tasks(self) -> Mapping[str, tuple[str, ...]]:
        """Task -> its labels, of the bundle that serves."""
        async with self._loading:
            champion = await self.read(models.champion)
            version = "" if champion is None else champion.version
            if self._tasks is None or self._tasks[0] != version:
                path = champion_path(champion, self._models)
                try:
                    bundle = await asyncio.to_thread(load, path)
                except BundleError:
                    bundle = await asyncio.to_thread(load, SHIPPED)
                self._tasks = version, {task.name: tuple(task.labels) for task in bundle.tasks}
            return self._tasks[1]

    async def _show_again(self, mail_id: str) -> None:
        """Have the card shown anew; whoever is on duty sees that it must be, in any case."""
        due = self._now() + HEAD_START
        refresh = partial(posts.refresh_cards, self._database, [mail_id], due=due)
        try:
            await self._write(refresh, 0.0)
        except StoreError as error:
            log.warning("the card is shown later", id=mail_id, error=str(error))

    async def _write(self, work: Callable[[], T], patience: float) -> T:
        deadline = self._clock() + patience
        async with self._line:
            if self._failed is not None and self._failed[0] >= deadline:
                # The one before waited in vain until now, on behalf of all behind it.
                raise StoreError(str(self._failed[1]))
            try:
                done = await self._persist(self._writer, work, deadline)
            except (ImpossibleError, RowError):
                raise
            except StoreError as error:
                self._failed = self._clock(), error
                raise
            self._failed = None
            return done

    async def _persist(self, pool: ThreadPoolExecutor, work: Callable[[], T], deadline: float) -> T:
        loop = asyncio.get_running_loop()
        pause = FIRST_PAUSE
        while True:
            try:
                return await loop.run_in_executor(pool, work)
            except (ImpossibleError, RowError):
                raise
            except StoreError as error:
                if self._clock() + pause > deadline:
                    raise
                log.warning("the database is away, trying again", error=str(error))
            await asyncio.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE)
