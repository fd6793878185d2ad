"""Many people at once."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")
SECONDS = 30.0


def together(*actions: Callable[[], T]) -> list[T]:
    """Do all actions, each in a thread, none before all are ready; their results in order."""
    ready = threading.Barrier(len(actions))

    def act(action: Callable[[], T]) -> T:
        ready.wait(SECONDS)
        return action()

    with ThreadPoolExecutor(len(actions)) as threads:
        return list(threads.map(act, actions))
