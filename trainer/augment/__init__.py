"""Variants of a message that mean the same: so that no single line of it decides alone.

What spammers do and what our collections lack, each as a function of a message and a random
source. Nothing here knows a file or a model, and nothing here may raise on any message.
"""

from __future__ import annotations

import random
from types import MappingProxyType
from typing import TYPE_CHECKING

from trainer.augment.additions import graft, pad, tag_subject
from trainer.augment.links import replace_hosts
from trainer.augment.markup import hide_text, wrap_in_html
from trainer.augment.obfuscation import add_lookalikes, add_zero_width, split_words
from trainer.augment.removal import drop_headers, truncate
from trainer.augment.salad import add_word_salad
from trainer.augment.wording import use_synonyms

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from filterd.mail.message import Message

    Change = Callable[[Message, random.Random], Message]

__all__ = ["CHANGES", "SHARES", "SPAM_ONLY", "vary"]

# In the order in which they are applied. Each does its work whenever it is called and can:
# there is no host to replace in a mail without links.
CHANGES: Mapping[str, Change] = MappingProxyType({
    "lookalikes": add_lookalikes,
    "zero_width": add_zero_width,
    "split_words": split_words,
    "word_salad": add_word_salad,
    "padding": pad,
    "link_hosts": replace_hosts,
    "headers": drop_headers,
    "html": wrap_in_html,
    "hidden_text": hide_text,
    "truncation": truncate,
    "synonyms": use_synonyms,
    "grafts": graft,
    "subject_tags": tag_subject,
})  # fmt: skip

# How many of the variants get each change: 1.8 of them in ham in the mean, 2.5 in spam.
SHARES: Mapping[str, float] = MappingProxyType({
    "lookalikes": 0.12,
    "zero_width": 0.08,
    "split_words": 0.12,
    "word_salad": 0.25,
    "padding": 0.15,
    "link_hosts": 0.25,
    "headers": 0.4,  # so that sender, links and files are each gone from a sixth
    "html": 0.15,
    "hidden_text": 0.08,
    "truncation": 0.3,
    "synonyms": 0.25,
    "grafts": 0.2,
    "subject_tags": 0.15,
})  # fmt: skip

# Nobody does these by accident: a model that takes them for a sign of spam has learnt the truth.
# All others are applied whatever the label, so that they cannot become a sign of it.
SPAM_ONLY = frozenset({"lookalikes", "zero_width", "split_words", "word_salad", "hidden_text"})


def vary(
    message: Message,
    chance: random.Random,
    names: Collection[str] = tuple(CHANGES),
    *,
    spam: bool,
) -> Message:
    """One variant of the message: each named change in turn, with the probability in `SHARES`.

    Those in `SPAM_ONLY` are left out unless it is `spam`. Each change draws from a source of its
    own, so switching one off leaves what the others draw as it was.
    """
    for name, change in CHANGES.items():
        is_drawn, seed = chance.random() < SHARES[name], chance.getrandbits(64)
        if is_drawn and name in names and (spam or name not in SPAM_ONLY):
            message = change(message, random.Random(seed))  # noqa: S311 - no secret
    return message
