"""The temperature at which a candidate calls as much of recent mail spam as the site does.

A night makes a network less sure of itself where it was surer than right, and everything comes
nearer to even odds; at the champion's temperature and threshold it would let most spam through.
What the threshold means is to stay: so the temperature is set anew on recent mail that was held
out, without asking anybody's labels.
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
    """Recent texts that were held out; how many of them the site takes for spam, at its
    threshold 0..1.
    """

    recent: Sequence[Example] = ()
    spam: int = 0
    threshold: float = 0.5


NO_AIM = Aim()


def temperature_for(logits: NDArray[np.float64], aim: Aim, before: float) -> float:
    """The temperature at which `aim.spam` of the texts reach the threshold; `before` if too few.

    `logits` [texts, labels], spam the last, of `aim.recent`.
    """
    wanted = log_odds(aim.threshold)
    if wanted <= 0 or not FEWEST <= aim.spam < len(logits):
        return before
    odds = np.sort(logits[:, -1] - logits[:, 0])[::-1]
    # Where there is room between the last that counts and the next, half-way.
    reached = float(odds[aim.spam - 1 : aim.spam + 1].mean())
    return float(np.clip(reached / wanted, before / MOST_CHANGE, before * MOST_CHANGE))
