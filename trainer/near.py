"""Near-duplicates: the same campaign or form letter with another name, sum or link in it.

MinHash over word shingles (Broder 1997), looked up by bands: two texts meet when all hashes of one
band agree. Linear in the text; nothing is compared pairwise.
"""

from __future__ import annotations

import re
import zlib
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

# Eight bands of six: of texts that share 90% of their shingles 99.8% meet, of those that share
# 80% nine in ten, of those that share half one in eight, of those that share 30% one in 170.
BANDS, ROWS = 8, 6
SHINGLE = 3  # words
MOST_WORDS = 600
_WORD = re.compile(r"[^\W\d_]+")
_PRIME = np.uint64((1 << 61) - 1)
_RANDOM = np.random.default_rng(20261126)
_FACTORS = _RANDOM.integers(1, 1 << 29, (BANDS * ROWS, 1), dtype=np.uint64)
_OFFSETS = _RANDOM.integers(0, 1 << 61, (BANDS * ROWS, 1), dtype=np.uint64)


def band_keys(text: str) -> tuple[bytes, ...]:
    """One key per band; texts that share a key are near-duplicates. Empty for text of few words.

    Case, figures and punctuation do not count.
    """
    words = [word.encode() for word in _WORD.findall(text.lower())[:MOST_WORDS]]
    if len(words) < 2 * SHINGLE:
        return ()
    shingles = {
        zlib.crc32(b" ".join(words[start : start + SHINGLE]))
        for start in range(len(words) - SHINGLE + 1)
    }
    least = _least_hashes(np.fromiter(shingles, dtype=np.uint64, count=len(shingles)))
    return tuple(
        bytes([band]) + least[band * ROWS : (band + 1) * ROWS].tobytes() for band in range(BANDS)
    )


def _least_hashes(shingles: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """The least of each hash function over all shingles, uint64 [BANDS * ROWS]."""
    least: NDArray[np.uint64] = ((shingles[None, :] * _FACTORS + _OFFSETS) % _PRIME).min(axis=1)
    return least


class SeenTexts:
    """Remembers texts, and knows a near-duplicate of one when it comes."""

    def __init__(self) -> None:
        self._keys: set[bytes] = set()

    def add(self, text: str) -> bool:
        """Remember the text; False if a near-duplicate was there already."""
        keys = band_keys(text)
        if not self._keys.isdisjoint(keys):
            return False
        self._keys.update(keys)
        return True
