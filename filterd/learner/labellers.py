"""Who can be believed: a labeller who contradicts all that the others taught is not.

A wrong click is put right by undo. Two hundred of them, by someone who means it or does not care,
would ruin a learner that takes each at its word: the error of a stream grew twentyfold and more
(docs/measurements.md), and so it did where no one's share of the labels could exceed 10%.
"""

from __future__ import annotations

from dataclasses import dataclass

# A label contradicts where what was taught before it says the opposite with such log odds.
STRONG = 2.0
# With 10, 20, 40… contradictions that are such a share of one's labels, they are looked into.
FIRST_LOOK = 10
SUSPICIOUS_SHARE = 0.1
# Nobody is measured by less than this many labels of others.
FEWEST_OTHERS = 20
# If such a share of one's labels contradicts a model that only the others taught, they are left
# out. In trials (docs/measurements.md) of one who says the opposite 0.71 to 1.00 did, of everyone
# else at most 0.52, of one who labels nothing but what the BERT got wrong 0.02.
DISTRUSTED_SHARE = 0.65


@dataclass(slots=True)
class _Record:
    labels: int = 0
    contradictions: int = 0


class Labellers:
    """What each person's labels looked like when they came."""

    def __init__(self) -> None:
        self._records: dict[str, _Record] = {}

    def note(self, by: str, margin: float, label: str) -> bool:
        """Count a label of a mail with this margin; whether `by` should be looked into now."""
        record = self._records.setdefault(by, _Record())
        record.labels += 1
        if not contradicts(margin, label):
            return False
        record.contradictions += 1
        others = sum(each.labels for name, each in self._records.items() if name != by)
        return (
            _is_time(record.contradictions)
            and record.contradictions > SUSPICIOUS_SHARE * record.labels
            and others >= FEWEST_OTHERS
        )


def contradicts(margin: float, label: str) -> bool:
    """Whether a label says the opposite of a margin that is sure of itself."""
    return (margin if label == "spam" else -margin) < -STRONG


def _is_time(contradictions: int) -> bool:
    looks, rest = divmod(contradictions, FIRST_LOOK)
    return rest == 0 and looks.bit_count() == 1
