"""Other words for the same."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trainer.augment.reading import head_and_tail, language_by_words, reread
from trainer.synonyms import reword

if TYPE_CHECKING:
    import random

    from filterd.mail.message import Message


def use_synonyms(message: Message, chance: random.Random) -> Message:
    """With a few words of subject and text replaced by synonyms; mail in English only."""
    head, tail = head_and_tail(message.text)
    if language_by_words(head or message.subject) != "en":
        return message
    return reread(
        message, subject=reword(message.subject, chance), head=reword(head, chance), tail=tail
    )
