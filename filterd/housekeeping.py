"""What the supervisor sees to beside its workers: that nothing is kept longer than it should be."""

from __future__ import annotations

import asyncio
import contextlib
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import structlog

from filterd.clock import ClockWatch
from filterd.errors import FilterdError
from filterd.store.database import open_database
from filterd.store.retention import purge

if TYPE_CHECKING:
    from collections.abc import Callable

    from filterd.settings import Settings
    from filterd.store.retention import Purged

PURGE_SECONDS = 3600.0

log = structlog.get_logger()


async def keep_house(settings: Callable[[], Settings]) -> None:
    """Retention, once an hour, unless the clock was put forward; by the settings of that hour."""
    clock = ClockWatch()
    while True:
        try:
            if doubt := clock.seconds_of_doubt():
                log.error("clock put forward, nothing is removed yet", seconds=round(doubt))
            else:
                removed = await asyncio.to_thread(_purge, settings())
                log.info("retention", messages=removed.messages, texts=removed.texts)
                if not removed.wiped:
                    log.warning("what was removed is in the database's log yet, it is read")
        except FilterdError as error:
            log.error("retention failed, next try in an hour", error=str(error))  # noqa: TRY400  # one line says it
        except Exception:
            # A bug in here must not be the end of all retention.
            log.exception("retention failed, next try in an hour")
        await asyncio.sleep(PURGE_SECONDS)


def _purge(settings: Settings) -> Purged:
    """Remove what retention does not keep; blocks. Raises StoreError."""
    with contextlib.closing(open_database(settings.database)) as database:
        return purge(
            database,
            now=datetime.now(UTC),
            retention_days=settings.retention_days,
            store_text=settings.store_text,
        )
