"""Waiting for what another process does, always with an end."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")
LOOK_AGAIN_SECONDS = 0.02


def wait_until(condition: Callable[[], T], what: Callable[[], str] | str, seconds: float = 30) -> T:
    """The first true value of `condition`; AssertionError with `what` after `seconds`."""
    end = time.monotonic() + seconds
    while not (value := condition()):
        if time.monotonic() > end:
            reason = what if isinstance(what, str) else what()
            raise AssertionError(f"waited {seconds:g} s in vain: {reason}")
        time.sleep(LOOK_AGAIN_SECONDS)
    return value
