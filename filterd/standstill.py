"""A worker that cannot go on makes room for another; its mail is with the senders still.

Two ways to stand still are known. Threads that read mail may be stuck, all that may be: then mail
goes unjudged. Or C code (a regular expression) keeps Python's one lock: then nothing goes at all,
and only a clock outside of Python can end it.
"""

from __future__ import annotations

import asyncio
import faulthandler
from typing import TYPE_CHECKING, Final

import structlog

if TYPE_CHECKING:
    from collections.abc import Callable

log = structlog.get_logger(__name__)

STUCK_SECONDS: Final = 30.0
STALLED_SECONDS: Final = 60.0
LOOK_EVERY: Final = 5.0
STANDARD_ERROR: Final = 2  # by number: there is no object where a service manager gave none


async def watch(stuck_for: Callable[[], float], make_room: Callable[[], None]) -> None:
    """Look every few seconds, until cancelled; `stuck_for` gives the seconds reading is stuck.

    Calls `make_room` when that is too long. If the event loop stands still, the process says on
    standard error where its threads are, and ends with exit code 1.
    """
    try:
        while True:
            faulthandler.dump_traceback_later(STALLED_SECONDS, exit=True, file=STANDARD_ERROR)
            if (seconds := stuck_for()) > STUCK_SECONDS:
                log.error("reading is stuck, another worker takes over", seconds=round(seconds))
                make_room()
            await asyncio.sleep(LOOK_EVERY)
    finally:
        faulthandler.cancel_dump_traceback_later()
