"""Which labels of a replayed stream the learner is told, and when: TREC's kinds of feedback.

Design section 8: each mail is judged before its label can be known.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from filterd.learner.queue import is_worth_asking
from filterd.learner.site import Lesson, SiteLearner

if TYPE_CHECKING:
    from filterd.learner.site import Clues
    from trainer.feedback import Feedback

TEACHER = "replay"


class Lessons:
    """One stream's learner, taught as the feedback says. `take` the mails in their order.

    `threshold` is that from which mail is spam.
    """

    def __init__(self, feedback: Feedback, total: int, threshold: float) -> None:
        self._feedback = feedback
        self._total = total
        self._threshold = threshold
        self._learner = SiteLearner()
        self._waiting: deque[Lesson] = deque()
        self._seen = 0
        self._asked = 0

    def take(self, bert: float, clues: Clues, label: str) -> tuple[float, bool]:
        """The spam probability of the next mail, by all that was taught before it, and whether
        its label is told: now, or as the stream goes on. `bert` is the BERT's own, 0..1.
        """
        self._seen += 1
        opinion = self._learner.judge(bert, clues, now=0.0, threshold=self._threshold)
        spam = opinion.spam
        lesson = Lesson(self._seen, label, TEACHER, 0.0, bert, clues)
        match self._feedback.kind:
            case "immediate":
                self._learner.teach(lesson)
                return spam, True
            case "delayed":
                self._waiting.append(lesson)
                if len(self._waiting) > self._feedback.count:
                    self._learner.teach(self._waiting.popleft())
                return spam, self._seen + self._feedback.count <= self._total
            case "active" if self._asked < self._feedback.count and is_worth_asking(
                opinion.belief, self._learner.model.labels
            ):
                self._asked += 1
                self._learner.teach(lesson)
                return spam, True
        return spam, False
