"""What a mail may lack: lines of its head, and its beginning or end."""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from math import prod
from typing import TYPE_CHECKING

from trainer.augment.reading import with_links

if TYPE_CHECKING:
    import random

    from filterd.mail.message import Message

_DROPPED = {"subject": 1 / 7, "sender": 1 / 3, "links": 1 / 3, "files": 1 / 3}  # of all variants
_SUBSETS = [
    frozenset(name for name, is_dropped in zip(_DROPPED, choice, strict=True) if is_dropped)
    for choice in product((False, True), repeat=len(_DROPPED))
][1:]
_WEIGHTS = [
    prod(share if name in subset else 1 - share for name, share in _DROPPED.items())
    for subset in _SUBSETS
]
DROPPED_SHARE = sum(_WEIGHTS)  # of variants that lack something: 0.746

CUT_SHARE = 0.6  # of those truncated; the others begin later
FEWEST_CHARACTERS = 40
MOST_SKIPPED = 3  # lines


def drop_headers(message: Message, chance: random.Random) -> Message:
    """Without one or several of subject, sender, links and attachments.

    A mail without text keeps its subject: something must be left to judge.
    """
    dropped = chance.choices(_SUBSETS, _WEIGHTS)[0]
    if "subject" in dropped and message.text.strip():
        message = replace(message, subject="")
    if "sender" in dropped:
        message = replace(
            message, from_name="", from_address="", from_domain="", reply_to_domain=""
        )
    if "links" in dropped:
        message = with_links(message, ())
    if "files" in dropped:
        message = replace(message, attachments=())
    return message


def truncate(message: Message, chance: random.Random) -> Message:
    """Cut short, at any place after the first tenth, or begun one to three lines later."""
    lines = message.text.split("\n", MOST_SKIPPED + 1)
    if chance.random() < CUT_SHARE or len(lines) <= MOST_SKIPPED + 1:
        cut = max(int(len(message.text) * chance.uniform(0.1, 1.0)), FEWEST_CHARACTERS)
        return replace(message, text=message.text[:cut])
    return replace(message, text="\n".join(lines[chance.randint(1, MOST_SKIPPED) :]))
