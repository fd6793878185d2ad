"""What a filter is told while a stream is replayed: the four kinds of TREC's spam track."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

Kind = Literal["none", "immediate", "delayed", "active"]
KINDS: tuple[Kind, ...] = get_args(Kind)
COUNTED = frozenset({"delayed", "active"})
SYNTAX = "none|immediate|delayed:N|active:N"


@dataclass(frozen=True, slots=True)
class Feedback:
    """The kind; `count` is after how many mails (delayed) or for how many in all (active)."""

    kind: Kind = "none"
    count: int = 0

    def __str__(self) -> str:
        """As it is typed."""
        return f"{self.kind}:{self.count}" if self.kind in COUNTED else self.kind


def parse_feedback(text: str) -> Feedback:
    """A feedback as it is typed. Raises ValueError, which says what may be typed."""
    name, colon, count = text.partition(":")
    for kind in KINDS:
        is_complete = count.isascii() and count.isdecimal() and int(count) > 0
        if kind == name and (is_complete if kind in COUNTED else not colon):
            return Feedback(kind, int(count or 0))
    raise ValueError(f"'{text}' is not {SYNTAX} with N from 1")
