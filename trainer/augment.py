"""Variants of a message that mean the same: so that no single line of it decides alone.

The seam for what spammers do (look-alikes, padding, random links): each is a function of a
message and a random source, and `vary` is where they meet.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import random
    from collections.abc import Callable

    from filterd.mail.message import Message

    Change = Callable[[Message, random.Random], Message]

CUT_SHARE, BEGUN_LATER_SHARE = 0.3, 0.2
MOST_SKIPPED = 3  # lines


def drop_headers(message: Message, chance: random.Random) -> Message:
    """Without subject (1 in 7), sender (1 in 3), links (1 in 3) or attachments (1 in 3)."""
    if chance.random() < 1 / 7 and message.text.strip():
        message = dataclasses.replace(message, subject="")
    if chance.random() < 1 / 3:
        message = dataclasses.replace(
            message, from_name="", from_address="", from_domain="", reply_to_domain=""
        )
    if chance.random() < 1 / 3:
        message = dataclasses.replace(message, links=())
    if chance.random() < 1 / 3:
        message = dataclasses.replace(message, attachments=())
    return message


def truncate(message: Message, chance: random.Random) -> Message:
    """Half of the time cut short, at any place after the first tenth, or begun later."""
    draw = chance.random()
    if draw < CUT_SHARE:
        cut = max(int(len(message.text) * chance.uniform(0.1, 1.0)), 40)
        return dataclasses.replace(message, text=message.text[:cut])
    lines = message.text.splitlines(keepends=True)
    if draw < CUT_SHARE + BEGUN_LATER_SHARE and len(lines) > MOST_SKIPPED + 1:
        skipped = chance.randint(1, MOST_SKIPPED)
        return dataclasses.replace(message, text="".join(lines[skipped:]))
    return message


CHANGES: tuple[Change, ...] = (drop_headers, truncate)


def vary(message: Message, chance: random.Random) -> Message:
    """One variant of the message, by all changes in turn."""
    for change in CHANGES:
        message = change(message, chance)
    return message
