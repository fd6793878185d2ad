"""Near-duplicates of labelled mails: the same campaign with other names, figures and links in it.

SimHash (Charikar 2002) over words and pairs of words: texts that share much differ in few of 256
bits. So few bytes a mail that all of them are looked through, 0.3 ms for 100,000.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from filterd.learner.words import LETTERS, pair_hashes, word_hashes

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Fingerprint = NDArray[np.uint64]  # [WORDS]

BITS = 256
WORDS = BITS // 64
# Shorter texts say too little to be one campaign.
FEWEST_WORDS = 5
# Bits in which near-duplicates may differ; for what this finds and what it misses see
# docs/measurements.md.
MOST_DISTANCE = 80
FIRST_ROOM = 256
_FACTORS = np.array(
    [0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F, 0xD6E8FEB86659FD93, 0xA0761D6478BD642F],
    dtype=np.uint64,
)


def fingerprint(text: str) -> Fingerprint | None:
    """Of a rendered text, uint64 [WORDS]; None for one of few words. Linear.

    Case, figures, punctuation, the sender and the links do not count.
    """
    words = word_hashes(_without_fields(text), LETTERS)
    if len(words) < FEWEST_WORDS:
        return None
    # Each once: what a text repeats says no more of which text it is.
    hashes = np.sort(np.concatenate([words, pair_hashes(words)]))
    is_first = np.ones(len(hashes), dtype=np.bool_)
    np.not_equal(hashes[1:], hashes[:-1], out=is_first[1:])
    hashes = hashes[is_first]
    mixed = hashes[:, None] * _FACTORS
    mixed ^= mixed >> np.uint64(32)
    mixed *= _FACTORS[0]
    mixed ^= mixed >> np.uint64(29)
    ones = np.unpackbits(mixed.view(np.uint8), axis=1).sum(axis=0, dtype=np.uint32)
    return np.packbits(2 * ones > len(hashes)).view(np.uint64)


def distance(one: Fingerprint, other: Fingerprint) -> int:
    """In how many bits two fingerprints differ, 0..BITS; about half for texts without relation."""
    return int(np.bitwise_count(one ^ other).sum())


@dataclass(frozen=True, slots=True)
class Near:
    """A labelled mail like the one that is judged: which label row, what it says, how near."""

    label_id: int
    label: str
    distance: int

    @property
    def similarity(self) -> float:
        """1 for the same words, 0 for texts without relation: the cosine of their sets."""
        return float(np.cos(np.pi * self.distance / BITS))


class LabelledTexts:
    """Fingerprints of labelled mails; some 50 bytes each."""

    def __init__(self) -> None:
        self._count = 0
        self._bits = np.zeros((WORDS, FIRST_ROOM), dtype=np.uint64)
        self._at = np.zeros(FIRST_ROOM)
        self._ids = np.zeros(FIRST_ROOM, dtype=np.int64)
        self._is_spam = np.zeros(FIRST_ROOM, dtype=np.bool_)

    def add(self, found: Fingerprint, label: str, label_id: int, at: float) -> None:
        """Remember a labelled text; `at` in seconds since the epoch."""
        if self._count == len(self._at):
            self._bits = np.concatenate([self._bits, np.zeros_like(self._bits)], axis=1)
            self._at = np.concatenate([self._at, np.zeros_like(self._at)])
            self._ids = np.concatenate([self._ids, np.zeros_like(self._ids)])
            self._is_spam = np.concatenate([self._is_spam, np.zeros_like(self._is_spam)])
        row = self._count
        self._bits[:, row] = found
        self._at[row], self._ids[row], self._is_spam[row] = at, label_id, label == "spam"
        self._count += 1

    def nearest(self, found: Fingerprint, since: float) -> Near | None:
        """The nearest one labelled at `since` or later, the newest of several; None if far."""
        count = self._count
        distances = np.zeros(count, dtype=np.uint16)
        for word in range(WORDS):
            distances += np.bitwise_count(self._bits[word, :count] ^ found[word])
        distances[self._at[:count] < since] = BITS
        if not count or (least := int(distances.min())) > MOST_DISTANCE:
            return None
        row = np.flatnonzero(distances == least)[-1]
        return Near(int(self._ids[row]), "spam" if self._is_spam[row] else "ham", least)


def _without_fields(text: str) -> str:
    """The subject and the body: not what stands between them, which a campaign changes."""
    head, blank, body = text.partition("\n\n")
    return f"{head.partition(chr(10))[0]}\n{body}" if blank else text
