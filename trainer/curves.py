"""What the plots of a report show, as numbers: scores and labels in, points out. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from trainer.evaluate import missed_area

if TYPE_CHECKING:
    from numpy.typing import NDArray

BINS = 10
Z95 = 1.959964  # of the normal distribution, for 95%


@dataclass(frozen=True, slots=True, eq=False)
class Curve:
    """Mistakes and hits at every threshold that changes anything, from the highest down.

    Arrays [thresholds + 1]; the first point flags nothing. Counts, so that shares can be had
    without loss.
    """

    blamed: NDArray[np.int64]  # ham at or above the threshold
    caught: NDArray[np.int64]  # spam at or above it

    @property
    def false_positive_rate(self) -> NDArray[np.float64]:
        """Share of ham that is flagged."""
        return np.asarray(self.blamed / self.blamed[-1])

    @property
    def recall(self) -> NDArray[np.float64]:
        """Share of spam that is flagged."""
        return np.asarray(self.caught / self.caught[-1])

    @property
    def precision(self) -> NDArray[np.float64]:
        """Share of spam in what is flagged; 1 where nothing is."""
        flagged = self.caught + self.blamed
        return np.where(flagged > 0, self.caught / np.maximum(flagged, 1), 1.0)


def learning_curve(
    spam: NDArray[np.float64], is_spam: NDArray[np.bool_], points: int = 60
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """1-ROCA% of the first n mails of a stream, for n at even steps: [points] each.

    Steps before both classes have been seen are left out.
    """
    steps = np.unique(np.linspace(1, len(spam), points, dtype=np.int64))
    areas = [missed_area(spam[:step], is_spam[:step]) for step in steps]
    known = [(step, area) for step, area in zip(steps, areas, strict=True) if area is not None]
    return np.array([step for step, _ in known]), np.array([area for _, area in known])


@dataclass(frozen=True, slots=True)
class Bin:
    """Texts with a probability of spam in one tenth: what was promised and what came.

    `low` and `high` hold the true share with 95% confidence (Wilson 1927); `promised` and
    `observed` are None for an empty bin.
    """

    start: float
    end: float
    ham: int
    spam: int
    promised: float | None
    observed: float | None
    low: float
    high: float


def curve(scores: NDArray[np.float64], is_spam: NDArray[np.bool_]) -> Curve | None:
    """Points of the ROC and precision-recall curves; None if one class is missing."""
    if is_spam.all() or not is_spam.any():
        return None
    order = np.argsort(-scores, kind="stable")
    ranked, spam = scores[order], is_spam[order]
    # Equal scores are flagged together: only the last of them is a point.
    last = np.append(np.flatnonzero(np.diff(ranked)), len(ranked) - 1)
    caught = np.cumsum(spam)[last]
    return Curve(np.append(0, last + 1 - caught), np.append(0, caught))


def reliability(scores: NDArray[np.float64], is_spam: NDArray[np.bool_]) -> list[Bin]:
    """Ten bins of equal width, empty ones too."""
    numbers = np.minimum((scores * BINS).astype(np.int64), BINS - 1)
    return [
        _bin(number / BINS, scores[numbers == number], is_spam[numbers == number])
        for number in range(BINS)
    ]


def calibration_error(bins: list[Bin]) -> float | None:
    """ECE (Naeini et al. 2015): how far promise and outcome are apart, on average over texts."""
    total = sum(each.ham + each.spam for each in bins)
    gaps = [
        (each.ham + each.spam) * abs(each.promised - each.observed)
        for each in bins
        if each.promised is not None and each.observed is not None
    ]
    return sum(gaps) / total if total else None


def wilson(hits: int, count: int) -> tuple[float, float]:
    """The 95% interval of a share of `count` (Wilson 1927); 0 and 1 for none."""
    if not count:
        return 0.0, 1.0
    share, spread = hits / count, Z95**2 / count
    middle = (share + spread / 2) / (1 + spread)
    half = Z95 * (share * (1 - share) / count + spread / 4 / count) ** 0.5 / (1 + spread)
    return max(middle - half, 0.0), min(middle + half, 1.0)


def _bin(start: float, scores: NDArray[np.float64], is_spam: NDArray[np.bool_]) -> Bin:
    count, spam = len(scores), int(is_spam.sum())
    return Bin(
        start,
        start + 1 / BINS,
        count - spam,
        spam,
        float(scores.mean()) if count else None,
        spam / count if count else None,
        *wilson(spam, count),
    )
