"""A linear model of one site's mail, taught a label at a time, that adds to what the BERT says.

Logistic regression by AdaGrad (Duchi, Hazan and Singer 2011): each feature has a rate of its own,
which falls with what it has been taught, so a rare one is learnt at once and a common one slowly.
Half of the BERT's log odds are part of the sum while it learns: it is taught most where the BERT
is wrong. How much either voice counts for is learnt in the same way, from what both said of a mail
before its label was taught; at first the BERT's counts for all.
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
SHARE_OF_BERT = 0.5
# A label that was foreseen with such a probability teaches nothing.
LEAST_MISSED = 0.002
MOST_WEIGHT = 2.0  # of a label of the rarer class
# With so many labels of the rarer class it counts in full. A site where only spam is reported must
# not come to believe that all its mail is spam; and verdicts hang on a threshold, which a few
# labels of doubtful mail must not shift for all mail. See docs/measurements.md.
FULL_TRUST = 20
# What it says of all labelled mail alike is no opinion on any: this share of it is not counted.
# Learnt from each label with this weight.
LEVEL_SHARE, LEVEL_RATE = 0.75, 0.1
VOICE_RATE, VOICE_EPSILON, VOICE_SCALE = 0.2, 1.0, 4.0
# Staff see what is doubtful, so their first labels may all be of mail that the BERT got wrong: its
# word never counts for less, and never for the opposite.
LEAST_BERT = 0.25
# Certainty, in log odds; nearly reached by what is beyond it, without ties.
MOST_LOGIT = 33.0


class LocalModel:
    """What the labels taught so far; 16 MiB. Not for use from several threads while it is taught.

    The same labels in the same order give the same model, bit for bit.
    """

    def __init__(self) -> None:
        self._weights = np.zeros(BUCKETS, dtype=np.float32)
        self._squares = np.zeros(BUCKETS, dtype=np.float32)
        # What the BERT's log odds and this model's margin count for.
        self._voices = [1.0, 0.0]
        self._voice_squares = [0.0, 0.0]
        self._levels: dict[str, float] = {}  # margins of either class, a moving average
        self.labels = {"ham": 0, "spam": 0}

    @property
    def trust(self) -> float:
        """What it counts for, 0..1: more with every label of the rarer class."""
        return min(1.0, min(self.labels.values()) / FULL_TRUST)

    @property
    def voices(self) -> tuple[float, float]:
        """What the BERT's log odds and the margin are multiplied by before they are added."""
        trust = self.trust
        bert, own = self._voices
        return 1.0 + trust * (bert - 1.0), trust * own

    @property
    def level(self) -> float:
        """What of a margin is said of all mail alike; 0 until both classes were taught."""
        if len(self._levels) < 2:  # ham and spam
            return 0.0
        return LEVEL_SHARE * sum(self._levels.values()) / 2

    def margin(self, features: Features) -> float:
        """What it says itself: log odds of spam, on top of `SHARE_OF_BERT` of the BERT's."""
        return float(self._weights[features.buckets] @ scaled(features))

    def odds(self, bert: float, margin: float) -> float:
        """Both voices together, in log odds; the BERT's alone until both classes were taught."""
        for_bert, for_margin = self.voices
        return for_bert * bert + for_margin * (margin - self.level)

    def teach(self, bert: float, features: Features, label: str) -> float:
        """Take a label, "ham" or "spam", of a mail to which the BERT gives `bert` log odds.

        The margin that the mail had before.
        """
        values = scaled(features)
        margin = float(self._weights[features.buckets] @ values)
        is_spam = float(label == "spam")
        self._teach_voices(bert, margin, is_spam)
        self.labels[label] += 1
        # A class that is seldom labelled counts for more, up to a bound.
        share = self.labels[label] / sum(self.labels.values())
        missed = is_spam - probability(SHARE_OF_BERT * bert + margin)
        if abs(missed) < LEAST_MISSED:
            self._note_level(label, margin)
            return margin
        steps = np.float32(missed * min(MOST_WEIGHT, 0.5 / share)) * values
        squares = self._squares[features.buckets] + steps * steps
        self._squares[features.buckets] = squares
        self._weights[features.buckets] += RATE * steps / np.sqrt(squares + EPSILON)
        self._note_level(label, float(self._weights[features.buckets] @ values))
        return margin

    def weights_of(self, buckets: np.ndarray) -> np.ndarray:
        """Weights float32 [n] of these buckets."""
        found: np.ndarray = self._weights[buckets]
        return found

    def _note_level(self, label: str, margin: float) -> None:
        before = self._levels.get(label, margin)
        self._levels[label] = before + LEVEL_RATE * (margin - before)

    def _teach_voices(self, bert: float, margin: float, is_spam: float) -> None:
        missed = is_spam - probability(self._voices[0] * bert + self._voices[1] * margin)
        for voice, said in enumerate((bert, margin)):
            step = missed * said / VOICE_SCALE
            self._voice_squares[voice] += step * step
            self._voices[voice] += (
                VOICE_RATE * step / math.sqrt(self._voice_squares[voice] + VOICE_EPSILON)
            )
        self._voices[0] = max(self._voices[0], LEAST_BERT)
        self._voices[1] = max(self._voices[1], 0.0)


def scaled(features: Features) -> np.ndarray:
    """The values float32 [n] of features, brought to `LENGTH`."""
    length = np.linalg.norm(features.values)
    return features.values * (LENGTH / length) if length else features.values


def log_odds(probability: float) -> float:
    """Of a probability 0..1; certainty gets ±33."""
    if probability <= 0.0 or probability >= 1.0:
        return math.copysign(MOST_LOGIT, probability - 0.5)
    return math.log(probability / (1.0 - probability))


def probability(odds: float) -> float:
    """Of log odds; never 0 or 1, and higher for higher odds."""
    return 1.0 / (1.0 + math.exp(-MOST_LOGIT * math.tanh(odds / MOST_LOGIT)))
