"""Many sessions, one encoder: what waits is encoded together on a thread beside the event loop.

Nothing waits for a batch to fill, and nothing waits without bound: a full queue is an error at
once, so that mail goes on under `on_failure` instead of piling up here.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Protocol

from filterd.errors import FilterdError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from filterd.model.bundle import Bundle
    from filterd.model.encoder import Scores

# A batch saves hops between threads, no more, and holds the first text back for the last: at 60%
# load the p99 was 149 ms with 1, 183 with 4 and 344 with 16; 16 clients in a closed loop got 39.9,
# 41.3 and 41.3 texts a second (tests/bench/bench_encoder.py).
TEXTS_PER_BATCH = 4
TEXTS_WAITING = 512


class Overloaded(FilterdError):  # noqa: N818  # named for the state, as the caller meets it
    """More texts wait than could be encoded in time, or the batcher is closed."""


class TextEncoder(Protocol):
    """What the batcher needs of an `Encoder`; called from its thread only."""

    bundle: Bundle

    def encode(self, texts: Sequence[str]) -> list[Scores]:
        """One result per text, in order."""


class Batcher:
    """Serves `encode` calls of one event loop with one encoder, first come, first served.

    At most `batch` texts go to the encoder at a time, at most `waiting` wait for it. All methods
    belong to the event loop; only the encoder runs elsewhere.
    """

    def __init__(
        self, encoder: TextEncoder, *, batch: int = TEXTS_PER_BATCH, waiting: int = TEXTS_WAITING
    ) -> None:
        self._encoder = encoder
        self._batch = batch
        self._limit = waiting
        self._waiting: OrderedDict[asyncio.Future[Scores], str] = OrderedDict()
        self._running: asyncio.Task[None] | None = None
        self._closed = False
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="encoder")

    @property
    def waiting(self) -> int:
        """Texts that wait now, those at the encoder not counted."""
        return len(self._waiting)

    @property
    def bundle(self) -> Bundle:
        """The bundle that would judge the next text."""
        return self._encoder.bundle

    async def encode(self, text: str) -> Scores:
        """Scores of one text.

        Raises Overloaded at once when too many wait, and whatever the encoder raised for the
        batch the text was in. A caller that is cancelled (its deadline passed) leaves the queue.
        """
        if self._closed:
            raise Overloaded("the encoder is shutting down")
        if len(self._waiting) >= self._limit:
            raise Overloaded(f"{self._limit} messages wait for the encoder already")
        future: asyncio.Future[Scores] = asyncio.get_running_loop().create_future()
        self._waiting[future] = text
        if self._running is None:
            self._running = asyncio.create_task(self._run(), name="batcher")
        try:
            return await future
        finally:
            self._waiting.pop(future, None)

    def replace(self, encoder: TextEncoder) -> None:
        """Let another encoder take the next batch; one that runs finishes with the old one."""
        self._encoder = encoder

    async def close(self) -> None:
        """Take nothing more, finish what waits, end the thread."""
        self._closed = True
        if self._running is not None:
            await self._running
        self._thread.shutdown()

    async def _run(self) -> None:
        """Encode batch after batch until nothing waits; never raises."""
        try:
            while self._waiting:
                size = min(self._batch, len(self._waiting))
                taken = [self._waiting.popitem(last=False) for _ in range(size)]
                batch = [(future, text) for future, text in taken if not future.done()]
                if batch:
                    await self._encode(batch)
        finally:
            self._running = None

    async def _encode(self, batch: Sequence[tuple[asyncio.Future[Scores], str]]) -> None:
        """Encode one batch in the thread; its callers get their scores, or the exception."""
        texts = [text for _, text in batch]
        run = asyncio.get_running_loop().run_in_executor
        try:
            scores = await run(self._thread, self._encoder.encode, texts)
            answers = list(zip(batch, scores, strict=True))
        except Exception as error:  # noqa: BLE001  # each caller gets it
            for future, _ in batch:
                if not future.done():
                    future.set_exception(error)
            return
        for (future, _), score in answers:
            if not future.done():
                future.set_result(score)
