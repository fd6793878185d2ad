"""Whether the wall clock can be believed, for what is removed by its age."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

DAY: Final = 86_400.0  # seconds


def since_boot() -> float:
    """Seconds that nobody can put forward; they go on while the machine sleeps."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class ClockWatch:
    """Notices that the wall clock was put forward by more than a day since the last look.

    Then all that is kept looks old at once. Whoever set it gets a day to see the mistake; a clock
    that is put back, or was right after all, costs no more than that day.
    """

    def __init__(
        self, wall: Callable[[], float] = time.time, steady: Callable[[], float] = since_boot
    ) -> None:
        self._wall = wall
        self._steady = steady
        self._offset = wall() - steady()
        self._doubted_until = float("-inf")

    def seconds_of_doubt(self) -> float:
        """For how long the wall clock is not to be believed from now on; 0 if it is."""
        steady = self._steady()
        offset = self._wall() - steady
        if offset - self._offset > DAY:
            self._doubted_until = steady + DAY
        self._offset = offset
        return max(self._doubted_until - steady, 0.0)
