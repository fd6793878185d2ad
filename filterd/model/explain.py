"""What in a text speaks for spam or against it, by occlusion: what the very model that judged says
when a part is left out (Zeiler and Fergus 2014, for pictures).

As many runs of the model as there are parts, so parts are bounded.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from filterd.model.manifest import SPAM_TASK

if TYPE_CHECKING:
    from filterd.model.encoder import Encoder

MOST_PARTS = 12
FEWEST_CHARACTERS = 12  # a shorter sentence goes with the one before it
_FIELD = re.compile(r"^(from|links|files|notes): (.*)$")
_SENTENCE_END = re.compile(r"(?<=[.!?])\s+|\n\s*")
_CERTAIN = 33.0


@dataclass(frozen=True, slots=True)
class Part:
    """A part of the text; `odds` are the log odds of spam that it brings: without it, so much
    less.
    """

    kind: str  # subject, from, links, files, notes or text
    text: str
    odds: float

    @property
    def bare(self) -> str:
        """The text without the name of its line."""
        return self.text.removeprefix(f"{self.kind}: ")


def explain(encoder: Encoder, text: str) -> list[Part]:
    """The parts of a rendered text that count most first. Raises BundleError."""
    parts = split(text)
    texts = [part for _, part in parts]
    left_out = ["".join(texts[:place] + texts[place + 1 :]) for place in range(len(texts))]
    whole, *rest = (_odds(encoder, each) for each in [text, *left_out])
    found = [
        Part(kind, part.strip(), whole - odds)
        for (kind, part), odds in zip(parts, rest, strict=True)
    ]
    return sorted(found, key=lambda part: -abs(part.odds))


def split(text: str) -> list[tuple[str, str]]:
    """(kind, part) of a rendered text, in its order; the parts joined are the text."""
    head, blank, body = text.partition("\n\n")
    if not blank:
        head, body = "", text
    lines = head.splitlines(keepends=True)
    parts = []
    for number, line in enumerate(lines):
        field = _FIELD.match(line.rstrip("\n"))
        kind = field[1] if field else "subject" if number == 0 else "text"
        parts.append((kind, line + (blank if number == len(lines) - 1 else "")))
    if blank and not lines:
        body = blank + body
    sentences = _sentences(body)
    room = max(MOST_PARTS - len(parts), 1)
    each = math.ceil(len(sentences) / room)
    parts += [
        ("text", "".join(sentences[start : start + each]))
        for start in range(0, len(sentences), each or 1)
    ]
    return parts


def _sentences(body: str) -> list[str]:
    sentences: list[str] = []
    ends = [found.end() for found in _SENTENCE_END.finditer(body)]
    for start, end in pairwise([0, *ends, len(body)]):
        found = body[start:end]
        if sentences and (len(found) < FEWEST_CHARACTERS or len(sentences[-1]) < FEWEST_CHARACTERS):
            sentences[-1] += found
        elif found:
            sentences.append(found)
    return sentences


def _odds(encoder: Encoder, text: str) -> float:
    (scores,) = encoder.encode([text])
    spam = scores.tasks[SPAM_TASK][-1]
    if spam <= 0.0 or spam >= 1.0:
        return math.copysign(_CERTAIN, spam - 0.5)
    return math.log(spam / (1.0 - spam))
