"""The temperature at which a candidate's threshold means what the champion's does.

A night makes a network less sure of itself where it was surer than right, and everything comes
nearer to even odds: at the champion's temperature and threshold it would let more spam through. So
the temperature of spam is set anew, on mail that no night is trained on: as many are to reach the
threshold as do with the champion (of the golden set) and as the site takes for spam (of recent mail
that was held out), but no more good mail of the golden set than before.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from filterd.learner.local import log_odds
from trainer.corpora import SPAM

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from trainer.dataset import Example

# Of fewer spams a single one would decide.
FEWEST = 20
# A night's network is not that different from the one it began as.
MOST_CHANGE = 2.0
# A score that lies on the threshold comes out on either side.
ROOM = 1.01


@dataclass(frozen=True, slots=True)
class Aim:
    """What the temperature is set by.

    `recent` texts that were held out, of which the site takes `spam` for spam at its `threshold`,
    0..1; and the `golden` set.
    """

    recent: Sequence[Example] = ()
    spam: int = 0
    threshold: float = 0.5
    golden: Sequence[Example] = ()


NO_AIM = Aim()


def temperature_for(
    aim: Aim,
    recent: NDArray[np.float64],
    golden: NDArray[np.float64],
    flagged: NDArray[np.bool_],
    before: float,
) -> float:
    """The temperature at which `aim.spam` and as many more reach the threshold as are `flagged`.

    `recent` and `golden` are the candidate's logits [texts, labels] of the texts of `aim`, spam the
    last; `flagged` is the champion's word on each of the golden set, and `before` its temperature,
    from which none departs without need.
    """
    wanted = log_odds(aim.threshold)
    if wanted <= 0:  # no temperature changes a verdict
        return before
    temperature = before
    odds = np.concatenate([_odds(recent), _odds(golden)])
    reached = aim.spam + int(flagged.sum())
    if FEWEST <= reached < len(odds):
        last, next_one = np.sort(odds)[::-1][reached - 1 : reached + 1] / wanted
        temperature = float(np.clip(before, min(ROOM * next_one, last), last / ROOM))
    is_ham = np.array([each.labels.get(SPAM) == "ham" for each in aim.golden], dtype=bool)
    ham, flagged_ham = np.sort(_odds(golden)[is_ham])[::-1], int(flagged[is_ham].sum())
    if flagged_ham < len(ham):
        temperature = max(temperature, ROOM * float(ham[flagged_ham]) / wanted)
    return min(max(temperature, before / MOST_CHANGE), before * MOST_CHANGE)


def _odds(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    """Log odds of spam."""
    found: NDArray[np.float64] = logits[:, -1] - logits[:, 0]
    return found
