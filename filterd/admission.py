"""Whether there is time for one more message: how many are in hand, and how fast they are done.

What comes faster than it can be judged would wait until its deadline has passed, for nothing. It
is told at once to come again, and what was taken is judged in time.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

# So many are always taken: whatever was measured, there is something to measure anew.
ALWAYS: Final = 8
# Of the deadline. A message that begins may find that much work before it; one whose content has
# come already is given up later, since sending it again costs more. The rest of the deadline is for
# a machine that becomes slower meanwhile.
AT_MAIL: Final = 0.5
AT_DATA: Final = 0.75
# Clients that are heard at a time only to be told at MAIL to come again, which a mail server takes
# for that one mail's trouble. Where there are more, hearing them is what would take all the time:
# they are told at connect.
HEARD: Final = 16
# Weight of the newest message in the running mean: the last few dozen count.
NEWEST: Final = 1 / 32
FIRST_GUESS: Final = 0.02  # seconds


class Admission:
    """The messages of one worker between end of data and verdict, counted and timed.

    The time between two that are done, while others wait, is what one costs where it is slowest;
    what is in hand times that is how long a newcomer would wait. No need to know whether reading,
    the BERT or the machine is the narrow place.
    """

    def __init__(self, deadline: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._deadline = deadline
        self._clock = clock
        self._in_hand = 0
        self._each = FIRST_GUESS
        self._progress = clock()  # when the last one was done, or the first of those in hand came

    @property
    def wait(self) -> float:
        """Seconds until all in hand will be done, as far as it can be told."""
        return max(self._in_hand * self._each, self._standstill)

    @property
    def _standstill(self) -> float:
        """Seconds since one was done, while others wait."""
        return self._clock() - self._progress if self._in_hand else 0.0

    def may_begin(self) -> bool:
        """Whether a message that is announced now would be judged in time."""
        return self._is_within(AT_MAIL)

    def may_connect(self, connections: int) -> bool:
        """Whether a client that connects now is heard, beside so many others."""
        return connections < self._in_hand + HEARD or self.may_begin()

    def may_enter(self) -> bool:
        """Whether a message whose content is there would be."""
        return self._is_within(AT_DATA)

    def _is_within(self, part: float) -> bool:
        """Whether those in hand take no more than that part of the deadline.

        Where none was done for a whole deadline, judging is not busy but broken: what is then to
        become of mail is not for us to say (`on_failure`), and nobody gains by waiting.
        """
        if self._in_hand < ALWAYS or self._standstill > self._deadline:
            return True
        return self.wait <= part * self._deadline

    def enter(self) -> None:
        """A message is to be judged."""
        if not self._in_hand:
            self._progress = self._clock()
        self._in_hand += 1

    def leave(self, *, done: bool) -> None:
        """It was judged, or given up: then it says nothing of how long one takes."""
        self._in_hand -= 1
        if done:
            now = self._clock()
            self._each += NEWEST * (now - self._progress - self._each)
            self._progress = now
