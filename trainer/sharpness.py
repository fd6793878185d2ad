"""The temperature at which a candidate calls as much of recent mail spam as the site does.

A night makes a network less sure of itself where it was surer than right, and everything comes
nearer to even odds; at the champion's temperature and threshold it would let most spam through.
What the threshold means is to stay: so the temperature is set anew on recent mail, without asking
anybody's labels; but never so low that more good mail of the golden set would
be taken for spam than before.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from filterd.learner.local import log_odds

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from trainer.dataset import Example

# Of fewer spams a single one would decide.
FEWEST = 20
# A night's network is not that different from the one it began as.
MOST_CHANGE = 2.0


@dataclass(frozen=True, slots=True)
class Aim:
    """What the temperature is set by.

    `recent` texts, of which the site takes `spam` for spam, at its `threshold`
    0..1; texts that are `ham`.
    """

    recent: Sequence[Example] = ()
    spam: int = 0
    threshold: float = 0.5
    ham: Sequence[Example] = ()


NO_AIM = Aim()
# A score that lies on the threshold comes out on either side.
ROOM = 1.01


def temperature_for(
    aim: Aim,
    recent: NDArray[np.float64],
    ham: NDArray[np.float64],
    flagged: int,
    before: float,
) -> float:
    """The temperature at which `aim.spam` recent texts reach the threshold, and of the ham no more
    than `flagged`; with too few recent spams, `before` or what the ham asks for.

    `recent` and `ham` are logits [texts, labels] of the texts of `aim`, spam the last; `before` is
    the champion's temperature.
    """
    wanted = log_odds(aim.threshold)
    if wanted <= 0:  # no temperature changes a verdict
        return before
    temperature = before
    if FEWEST <= aim.spam < len(recent):
        # Where there is room between the last that counts and the next, half-way.
        odds = _falling(recent)[aim.spam - 1 : aim.spam + 1]
        temperature = float(odds.mean()) / wanted
    if flagged < len(ham):
        temperature = max(temperature, ROOM * float(_falling(ham)[flagged]) / wanted)
    return min(max(temperature, before / MOST_CHANGE), before * MOST_CHANGE)


def _falling(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    """Log odds of spam, the highest first."""
    found: NDArray[np.float64] = np.sort(logits[:, -1] - logits[:, 0])[::-1]
    return found
