"""The temperature at which a candidate's threshold means what the champion's does.

A night makes a network less sure of itself where it was surer than right, and everything comes
nearer to even odds: at the champion's temperature and threshold it would let more spam through. So
the temperature of spam is set anew, on mail that no night is trained on (the golden set, and recent
mail that was held out): as many reach the threshold as with the champion, so that whatever is told
apart better both saves good mail and catches spam. But of recent mail no more than the site takes
for spam, and of the golden set no more good mail than before.
"""

from __future__ import annotations

import math
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
EVEN = 0.5
# Where the site takes fewer recent mails for spam than the champion, that may be chance in one
# night of 20.
BEYOND_CHANCE = 1.645


@dataclass(frozen=True, slots=True)
class Aim:
    """What the temperature is set by.

    `recent` texts that were held out, with what the site believes of each; the `golden` set; and
    the `threshold` for spam, 0..1.
    """

    recent: Sequence[Example] = ()
    golden: Sequence[Example] = ()
    threshold: float = 0.5

    @property
    def texts(self) -> list[Example]:
        """All of them, the recent ones first."""
        return [*self.recent, *self.golden]


NO_AIM = Aim()


def temperature_for(
    aim: Aim, champion: NDArray[np.float64], candidate: NDArray[np.float64], before: float
) -> float:
    """The candidate's temperature.

    `champion` [texts] are its probabilities of spam of the texts of `aim`; `candidate` are logits
    [texts, labels], spam the last; `before` is the champion's temperature, from which none departs
    without need.
    """
    wanted = log_odds(aim.threshold)
    if wanted <= 0:  # no temperature changes a verdict
        return before
    odds = candidate[:, -1] - candidate[:, 0]
    flagged = champion >= aim.threshold
    count = len(aim.recent)
    reached = _spam_among(aim.recent, flagged[:count]) + int(flagged[count:].sum())
    temperature = before
    if FEWEST <= reached < len(odds):
        last, next_one = np.sort(odds)[::-1][reached - 1 : reached + 1] / wanted
        temperature = float(np.clip(before, min(ROOM * next_one, last), last / ROOM))
    is_ham = np.array([each.labels.get(SPAM) == "ham" for each in aim.golden], dtype=bool)
    ham, flagged_ham = np.sort(odds[count:][is_ham])[::-1], int(flagged[count:][is_ham].sum())
    if flagged_ham < len(ham):
        temperature = max(temperature, ROOM * float(ham[flagged_ham]) / wanted)
    return min(max(temperature, before / MOST_CHANGE), before * MOST_CHANGE)


def _spam_among(recent: Sequence[Example], flagged: NDArray[np.bool_]) -> int:
    """How many recent mails are to reach the threshold: what the champion flags, or the site's
    fewer. With the smaller of both each time, nights would let more through by chance alone.
    """
    believed = np.array(
        [
            mark if each.belief is None else each.belief >= EVEN
            for each, mark in zip(recent, flagged, strict=True)
        ],
        dtype=bool,
    )
    more = int(flagged.sum()) - int(believed.sum())
    by_chance = BEYOND_CHANCE * math.sqrt((flagged != believed).sum())
    return int(believed.sum() if more > by_chance else flagged.sum())
