"""What staff do to the database, off the event loop: labels, undo, look-ups.

A database that is locked is tried again for some seconds; then the person is told. Writes stand in
one line, so that many people's clicks do not fight for the file.
"""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
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
# Between attempts; each waits the database's own 5 s for a lock besides.
PAUSES = (0.1, 0.3, 1.0, 2.0, 4.0)
READERS = 4

log = structlog.get_logger(__name__)


class Desk:
    """The bot's one way to the database. `close` when all is over."""

    def __init__(
        self, database: Database, models_folder: Path, *, now: Callable[[], datetime]
    ) -> None:
        self._database = database
        self._models = models_folder
        self._now = now
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="desk-writer")
        self._readers = ThreadPoolExecutor(READERS, thread_name_prefix="desk-reader")
        self._tasks: tuple[str, dict[str, tuple[str, ...]]] | None = None

    async def close(self) -> None:
        """Let what is being written be written."""
        await asyncio.to_thread(self._writer.shutdown)
        await asyncio.to_thread(self._readers.shutdown)

    async def read(
        self, work: Callable[Concatenate[Database, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """`work(database, …)` on a thread; tried again while the database is away. StoreError."""
        return await self._persist(self._readers, partial(work, self._database, *args, **kwargs))

    async def write(
        self, work: Callable[Concatenate[Database, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """As `read`, one at a time and in the order of the calls."""
        return await self._persist(self._writer, partial(work, self._database, *args, **kwargs))

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
        await self.write(posts.refresh_cards, [mail_id], now=self._now())

    async def _persist(self, pool: ThreadPoolExecutor, work: Callable[[], T]) -> T:
        loop = asyncio.get_running_loop()
        for pause in PAUSES:
            try:
                return await loop.run_in_executor(pool, work)
            except (ImpossibleError, RowError):
                raise
            except StoreError as error:
                log.warning("the database is away, trying again", error=str(error))
            await asyncio.sleep(pause)
        return await loop.run_in_executor(pool, work)
