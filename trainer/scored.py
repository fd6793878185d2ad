"""What two bundles say of the same texts: the sets that a night's candidate is judged on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from trainer.corpora import SPAM

if TYPE_CHECKING:
    from collections.abc import Sequence

    from trainer.dataset import Example

Probabilities = Mapping[str, NDArray[np.float64]]
ASSUMED_HAM = 0.1  # an unlabelled mail that the champion gives less than this counts as ham


@dataclass(frozen=True, slots=True, eq=False)
class Scored:
    """Texts and the probabilities [texts, labels] of each task that both bundles give them.

    Raises ValueError for rows too many or too few, and for what is no number: neither may count
    as a score.
    """

    examples: Sequence[Example]
    champion: Probabilities
    candidate: Probabilities

    def __post_init__(self) -> None:
        """Refuse what is no score."""
        for bundle in (self.champion, self.candidate):
            for task, scores in bundle.items():
                if len(scores) != len(self.examples) or not np.isfinite(scores).all():
                    raise ValueError(f"no sound scores of task '{task}' for each text")

    def spam(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """The probability of spam that champion and candidate give each text."""
        if not self.examples:
            return np.zeros(0), np.zeros(0)
        return self.champion[SPAM][:, -1], self.candidate[SPAM][:, -1]

    def labelled(self, label: str) -> NDArray[np.bool_]:
        """Which texts have this label of the spam task; "" for those without one."""
        return np.array([each.labels.get(SPAM, "") == label for each in self.examples], dtype=bool)

    def known(self) -> tuple[list[NDArray[np.float64]], NDArray[np.bool_]]:
        """Of what is labelled ham or spam: champion's and candidate's scores, and which is spam."""
        is_spam = self.labelled("spam")
        rows = is_spam | self.labelled("ham")
        return [scores[rows] for scores in self.spam()], is_spam[rows]

    def assumed_ham(self) -> NDArray[np.bool_]:
        """Which texts have no label and are ham without doubt to the champion."""
        return self.labelled("") & (self.spam()[0] < ASSUMED_HAM)


NOTHING = Scored((), {}, {})


@dataclass(frozen=True, slots=True, eq=False)
class ScoredSets:
    """The sets that a candidate is judged on.

    `corrected`: campaigns that staff put right and that no training saw. `newest`: the newest
    week, held out forward in time; of what has no label, mails that the champion takes for ham
    without doubt count as ham (`ASSUMED_HAM`), so nothing of a campaign that staff called spam may
    be among them.
    """

    golden: Scored
    corrected: Scored = NOTHING
    newest: Scored = NOTHING
    validation: Scored = NOTHING


def joined(one: Scored, other: Scored) -> Scored:
    """Both sets as one; of the tasks that both have."""
    if not one.examples or not other.examples:
        return one if one.examples else other

    def join(first: Probabilities, second: Probabilities) -> dict[str, NDArray[np.float64]]:
        return {task: np.concatenate([first[task], second[task]]) for task in first}

    return Scored(
        [*one.examples, *other.examples],
        join(one.champion, other.champion),
        join(one.candidate, other.candidate),
    )
