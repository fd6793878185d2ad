"""Other layouts of a rendered text, to measure what the model's reading is worth.

What ships is `whole`: the text as `filterd.mail.render` makes it, cut at the model's last token.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from trainer.dataset import Example

    Reading = Callable[[str, int], str]

CHARACTERS_PER_TOKEN = 4  # of English, less a little: the tail must not be cut off
TAIL_SHARE = 0.25
SENDER = "from: "
FIELDS = (SENDER, "links: ", "files: ", "notes: ")


def whole(text: str, _max_tokens: int) -> str:
    """The text as it is."""
    return text


def head_and_tail(text: str, max_tokens: int) -> str:
    """A long text's first three quarters of what the model reads, and its end for the last."""
    most = max_tokens * CHARACTERS_PER_TOKEN
    if len(text) <= most:
        return text
    tail = round(most * TAIL_SHARE)
    return f"{text[: most - tail]} {text[-tail:]}"


def without_subject(text: str, _max_tokens: int) -> str:
    """The text without its subject."""
    first, _, rest = text.partition("\n")
    return text if first.startswith(FIELDS) else rest.lstrip("\n")


def without_sender(text: str, _max_tokens: int) -> str:
    """The text without the sender's name and domain."""
    head, _, body = text.partition("\n\n")
    kept = [line for line in head.split("\n") if not line.startswith(SENDER)]
    return "\n\n".join(["\n".join(kept), body]).strip()


READINGS: Mapping[str, Reading] = {
    "whole": whole,
    "head-and-tail": head_and_tail,
    "without-subject": without_subject,
    "without-sender": without_sender,
}


def read_as(name: str, examples: Sequence[Example], max_tokens: int) -> list[Example]:
    """The examples with every text in this layout. KeyError for a name that there is not."""
    reading = READINGS[name]
    return [
        replace(each, texts=tuple(reading(text, max_tokens) for text in each.texts))
        for each in examples
    ]
