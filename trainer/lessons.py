"""Which labels of a replayed stream the learner is told, and when: TREC's kinds of feedback.

Design section 8: each mail is judged before its label can be known.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

from filterd.learner.local import LocalModel, log_odds

if TYPE_CHECKING:
    from filterd.learner.features import Features
    from trainer.feedback import Feedback

# Log odds of spam within which a mail is worth a question: probabilities from 7.6% to 92.4%.
DOUBT = 2.5


@dataclass(frozen=True, slots=True)
class Lesson:
    """A mail that was judged: what the BERT gave it, its features and the label that it has."""

    spam: float
    features: Features
    label: str


class Lessons:
    """One stream's learner, taught as the feedback says. `take` the mails in their order."""

    def __init__(self, feedback: Feedback, total: int) -> None:
        self._feedback = feedback
        self._total = total
        self._model = LocalModel()
        self._waiting: deque[Lesson] = deque()
        self._seen = 0
        self._asked = 0

    def take(self, lesson: Lesson) -> tuple[float, bool]:
        """The spam probability of the next mail, by all that was taught before it, and whether
        its label is told: now, or as the stream goes on.
        """
        self._seen += 1
        spam = self._model.judge(lesson.spam, lesson.features)
        match self._feedback.kind:
            case "immediate":
                self._teach(lesson)
                return spam, True
            case "delayed":
                self._waiting.append(lesson)
                if len(self._waiting) > self._feedback.count:
                    self._teach(self._waiting.popleft())
                return spam, self._seen + self._feedback.count <= self._total
            case "active" if self._asked < self._feedback.count and is_doubtful(spam):
                self._asked += 1
                self._teach(lesson)
                return spam, True
        return spam, False

    def _teach(self, lesson: Lesson) -> None:
        self._model.teach(lesson.spam, lesson.features, lesson.label)


def is_doubtful(spam: float) -> bool:
    """Whether a probability of spam lies so near to even that the label is worth a question."""
    return abs(log_odds(spam)) < DOUBT
