"""What the site's learner goes by in one mail, in words: never a hash.

Byte sequences are told as the line of the mail in which they first stand.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from filterd.learner.features import bucket_of, features, grams, marks, word_names, words
from filterd.learner.local import scaled

if TYPE_CHECKING:
    from collections.abc import Iterator

    from filterd.learner.features import Evidence
    from filterd.learner.local import LocalModel

TEXT_NAME = "how the text is written"
HEADER_NAME = "how {name} is written"


@dataclass(frozen=True, slots=True)
class Reason:
    """Something in the mail, and the log odds of spam that it brings."""

    what: str
    odds: float


def reasons(model: LocalModel, evidence: Evidence, most: int) -> list[Reason]:
    """What counts most for the model's margin, either way, strongest first.

    All that there is adds up to the margin; what is said here is its greatest parts.
    """
    found = features(evidence)
    worth = dict(
        zip(
            found.buckets.tolist(),
            (model.weights_of(found.buckets) * scaled(found)).tolist(),
            strict=True,
        )
    )
    parts: dict[str, float] = {}
    # Each bucket once: marks say most to a person, then words, then bytes.
    for bucket, name in _named(evidence):
        odds = worth.pop(bucket, None)
        if odds is not None:
            parts[name] = parts.get(name, 0.0) + odds
    ranked = sorted(parts.items(), key=lambda part: -abs(part[1]))
    return [Reason(name, odds) for name, odds in ranked[:most] if odds]


def _named(evidence: Evidence) -> Iterator[tuple[int, str]]:
    for mark in marks(evidence):
        yield bucket_of(mark), mark
    for bucket, name in zip(words(evidence.text).tolist(), word_names(evidence.text), strict=True):
        yield bucket, f"“{name}”"
    buckets = grams(evidence.head).tolist()
    yield from zip(buckets, _lines(evidence.head, len(buckets)), strict=True)


def _lines(head: bytes, count: int) -> list[str]:
    """For each byte sequence, the header field in which it begins, or the text."""
    names: list[str] = []
    name, in_header = TEXT_NAME, True
    for line in head.split(b"\n"):
        if in_header and not line.strip(b"\r"):
            in_header, name = False, TEXT_NAME
        elif in_header and line[:1] not in (b" ", b"\t") and b":" in line:
            field = line.partition(b":")[0].decode("ascii", "replace").strip()[:40]
            name = HEADER_NAME.format(name=field)
        names += [name] * (len(line) + 1)
    return names[:count]
