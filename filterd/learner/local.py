"""A linear model of one site's mail, taught a label at a time, that adds to what the BERT says.

Logistic regression by AdaGrad (Duchi, Hazan and Singer 2011): each feature has a rate of its own,
which falls with what it has been taught, so a rare one is learnt at once and a common one slowly.
The BERT's log odds are part of the sum while it learns: it is taught what the BERT gets wrong.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from filterd.learner.features import BUCKETS

if TYPE_CHECKING:
    from filterd.learner.features import Features

RATE = np.float32(0.01)
EPSILON = np.float32(1e-3)
# Features are brought to this length, so that a long mail teaches no more than a short one.
LENGTH = np.float32(45.0)
# With so many labels of the rarer class it counts for half: one class alone proves nothing.
HALF_TRUST = 10
MOST_WEIGHT = 2.0  # of a label of the rarer class
MOST_LOGIT = 30.0


class LocalModel:
    """What the labels taught so far; 32 MiB. Not for use from several threads while it is taught.

    The same labels in the same order give the same model, bit for bit.
    """

    def __init__(self) -> None:
        self._weights = np.zeros(BUCKETS, dtype=np.float32)
        self._squares = np.zeros(BUCKETS, dtype=np.float32)
        self.labels = {"ham": 0, "spam": 0}

    @property
    def trust(self) -> float:
        """What its margin counts for, 0..1: more with every label of the rarer class."""
        fewer = min(self.labels.values())
        return fewer / (fewer + HALF_TRUST)

    def margin(self, features: Features) -> float:
        """What it adds to the log odds of spam, before `trust`."""
        return float(self._weights[features.buckets] @ _scaled(features))

    def judge(self, spam: float, features: Features) -> float:
        """The probability of spam of a mail to which the BERT gives `spam` (both 0..1).

        The BERT's own, to the last bit, until both classes have been taught.
        """
        trust = self.trust
        if not trust:
            return spam
        return _probability(log_odds(spam) + trust * self.margin(features))

    def teach(self, spam: float, features: Features, label: str) -> None:
        """Take a label, "ham" or "spam", of a mail to which the BERT gives `spam`."""
        self.labels[label] += 1
        values = _scaled(features)
        believed = _probability(log_odds(spam) + self.margin(features))
        # A class that is seldom labelled counts for more, up to a bound.
        share = self.labels[label] / sum(self.labels.values())
        missed = ((label == "spam") - believed) * min(MOST_WEIGHT, 0.5 / share)
        steps = np.float32(missed) * values
        squares = self._squares[features.buckets] + steps * steps
        self._squares[features.buckets] = squares
        self._weights[features.buckets] += RATE * steps / np.sqrt(squares + EPSILON)


def _scaled(features: Features) -> np.ndarray:
    length = np.linalg.norm(features.values)
    return features.values * (LENGTH / length) if length else features.values


def log_odds(probability: float) -> float:
    """Of a probability 0..1; within ±30, which certainty gets."""
    if probability <= 0.0 or probability >= 1.0:
        return math.copysign(MOST_LOGIT, probability - 0.5)
    return math.log(probability / (1.0 - probability))


def _probability(odds: float) -> float:
    return 1.0 / (1.0 + math.exp(-max(-MOST_LOGIT, min(MOST_LOGIT, odds))))
