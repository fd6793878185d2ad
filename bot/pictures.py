"""Charts that Slack has: drawn on a thread, uploaded once, used by id until they are old.

Without files a site still has all figures in words, so a failed upload is only logged.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import structlog

from bot.faults import FAULTS, reason_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from slack_sdk.web.async_client import AsyncWebClient

FRESH_SECONDS = 900.0
REMEMBERED = 50
# Slack takes a moment to look at a picture; a message that shows it before that is refused.
LOOKS, LOOK_SECONDS = 10, 0.3

log = structlog.get_logger(__name__)


class Pictures:
    """Uploads charts. `clock` gives seconds that only grow."""

    def __init__(self, client: AsyncWebClient, clock: Callable[[], float]) -> None:
        self._client = client
        self._clock = clock
        self._known: dict[str, tuple[float, str]] = {}
        self._uploading: dict[str, asyncio.Lock] = {}

    async def file(
        self, key: str, draw: Callable[[], bytes], title: str, *, fresh: float = FRESH_SECONDS
    ) -> str | None:
        """The id of the picture that `draw` makes, the same for some minutes; None without one."""
        async with self._uploading.setdefault(key, asyncio.Lock()):
            known = self._known.get(key)
            if known is not None and self._clock() - known[0] < fresh:
                return known[1]
            png = await asyncio.to_thread(draw)
            try:
                file_id = await self._upload(png, title)
            except FAULTS as error:
                log.warning("no chart", key=key, error=reason_of(error))
                return None
            if file_id is None:
                log.warning("no chart", key=key, error="Slack is not done with it")
                return None
            self._known[key] = self._clock(), file_id
            while len(self._known) > REMEMBERED:
                oldest = next(iter(self._known))
                del self._known[oldest]
                self._uploading.pop(oldest, None)
            return file_id

    async def _upload(self, png: bytes, title: str) -> str | None:
        answer: Any = await self._client.files_upload_v2(
            content=png, filename="chart.png", title=title
        )
        file_id = str(answer["files"][0]["id"])
        for _ in range(LOOKS):
            info: Any = await self._client.files_info(file=file_id)
            if info["file"].get("mimetype"):
                return file_id
            await asyncio.sleep(LOOK_SECONDS)
        return None
