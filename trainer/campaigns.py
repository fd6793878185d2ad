"""Mails of one campaign: near-duplicates must not stand on both sides of a split.

By the learner's own fingerprints, so that what it calls the same is one campaign here as well.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import numpy as np

from filterd.learner.fingerprint import MOST_DISTANCE, WORDS, fingerprint

if TYPE_CHECKING:
    from collections.abc import Sequence


def campaigns(texts: Sequence[str]) -> list[str]:
    """A name for each text, the same for near-duplicates: that of the first of them.

    A text joins the first campaign it is near to; quadratic in the campaigns, a second for 10,000.
    """
    first = np.zeros((max(len(texts), 1), WORDS), dtype=np.uint64)
    names: list[str] = []
    found: list[str] = []
    for text in texts:
        own = fingerprint(text)
        name = hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()[:16]
        if own is not None:
            apart = np.bitwise_count(first[: len(names)] ^ own).sum(axis=1)
            near = np.flatnonzero(apart <= MOST_DISTANCE)
            if len(near):
                name = names[int(near[0])]
            else:
                first[len(names)] = own
                names.append(name)
        found.append(name)
    return found


def near_any(texts: Sequence[str], others: Sequence[str]) -> list[bool]:
    """For each text whether it is a near-duplicate of one of the others."""
    known = [found for found in map(fingerprint, others) if found is not None]
    if not known:
        return [False] * len(texts)
    stack = np.stack(known)
    found = []
    for text in texts:
        own = fingerprint(text)
        apart = [] if own is None else np.bitwise_count(stack ^ own).sum(axis=1)
        found.append(own is not None and int(min(apart)) <= MOST_DISTANCE)
    return found
