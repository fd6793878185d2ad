"""A linear model over hashed words and word pairs, which a bundle may carry beside its BERT.

It reads all of the rendered text where the BERT reads the head, and knows words where the BERT
knows meaning; what the two add up to is better than either on mail of a kind that neither has
seen (docs/measurements.md). Linear in the text.
"""

from __future__ import annotations

import re
import zlib
from collections import Counter
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

BUCKETS = 1 << 18
_TERM = re.compile(r"[^\W_]{2,30}|[!?$€£%]{1,3}")


def features(text: str) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Buckets of the words and word pairs of a text, each once, and 1 + log of their counts."""
    terms = [term.encode(errors="replace") for term in _TERM.findall(text.lower())]
    counts = Counter(zlib.crc32(term) % BUCKETS for term in terms)
    counts.update(zlib.crc32(b"%b %b" % pair) % BUCKETS for pair in pairwise(terms))
    buckets = np.fromiter(counts, dtype=np.int64, count=len(counts))
    values = np.fromiter(counts.values(), dtype=np.float32, count=len(counts))
    return buckets, 1 + np.log(values)


@dataclass(frozen=True, eq=False)
class LinearModel:
    """Weights of a logistic regression over TF-IDF of unit length.

    `idf` and `weights` are float32 [BUCKETS]. `share` is what its margin counts for beside the
    BERT's, to which it is added.
    """

    idf: NDArray[np.float32]
    weights: NDArray[np.float32]
    bias: float
    share: float

    def margin(self, text: str) -> float:
        """Log odds of spam against ham; only the bias for a text without words."""
        buckets, values = features(text)
        if not len(buckets):
            return self.bias
        values = values * self.idf[buckets]
        return float(values @ self.weights[buckets] / np.linalg.norm(values)) + self.bias


def save_linear(model: LinearModel, file: Path) -> None:
    """Write idf and weights as one float16 array [2, BUCKETS] in NumPy's own format."""
    np.save(file, np.stack([model.idf, model.weights]).astype(np.float16), allow_pickle=False)


def load_linear(file: Path, *, bias: float, share: float) -> LinearModel:
    """Read what `save_linear` wrote. ValueError if it is something else."""
    arrays = np.load(file, allow_pickle=False)
    if arrays.shape != (2, BUCKETS) or arrays.dtype != np.float16:
        raise ValueError(f"holds {arrays.dtype} {list(arrays.shape)}, not float16 [2, {BUCKETS}]")
    idf, weights = arrays.astype(np.float32)
    if not np.isfinite(arrays).all():
        raise ValueError("holds values that are not numbers")
    return LinearModel(idf, weights, bias, share)
