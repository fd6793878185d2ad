"""What is added to a mail on its way or by its writer's program, and says nothing of its intent."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from trainer.augment.reading import head_and_tail, language_by_words, reread
from trainer.augment.salad import prose
from trainer.augment.stock import Stock

if TYPE_CHECKING:
    import random

    from filterd.mail.message import Message

MOST_BEFORE, MOST_AFTER = 2, 8  # sentences: the mail's own words must stay within the model's view
PROSE_SHARE = 0.3

_LISTS = ("dev", "users", "board", "sales", "parents", "announce", "staff", "helpdesk", "press")
# `render` takes these off; with "Re:" it also leaves out what the text quotes.
_UNREAD = (
    "Re: ", "RE: ", "Re: Re: ", "AW: ", "SV: ", "Fwd: ", "FW: ", "WG: ", "TR: ", "[EXTERNAL] ",
    "[EXT] ", "[{name}] ", "[{name}] Re: ", "Re: [{name}] ", "[{name} #{number}] ",
)  # fmt: skip
# Those reach the model.
_READ_BEFORE = (
    "EXTERNAL: ", "External: ", "External - ", "*EXT* ", "(EXT) ", "EXT: ", "{{External}} ",
    "<External> ", "{name}: ", "({name}) ", "#{number} ", "Ticket {number}: ", "NOTICE - ",
)  # fmt: skip
_READ_AFTER = (
    " (fwd)", " [#{number}]", " #{number}", " - ref. {number}", " [SEC=UNOFFICIAL]", " ({number})",
    " [{name}]", " - {name}",
)  # fmt: skip


def pad(message: Message, chance: random.Random) -> Message:
    """With ordinary sentences before its text (two at most) or after it (eight at most).

    At times they are prose, so that prose alone is no sign of spam (`trainer.augment.salad`).
    """
    stock = Stock(language_by_words(message.text), chance)
    head, tail = head_and_tail(message.text)

    def sentences(most: int) -> str:
        count = chance.randint(1, most)
        if chance.random() < PROSE_SHARE:
            return prose(chance, count)
        return " ".join(stock.several("sentence", count))

    if chance.random() < 0.4:
        return reread(message, head=f"{sentences(MOST_BEFORE)}\n\n{head}", tail=tail)
    words = sentences(MOST_AFTER)
    return reread(message, head=f"{head}\n\n{words}", tail=tail)


def graft(message: Message, chance: random.Random) -> Message:
    """With a signature, a device's line, a disclaimer, a banner, an earlier mail, or several."""
    stock = Stock(language_by_words(message.text), chance)
    head, tail = head_and_tail(message.text)
    kinds = chance.sample(("signature", "device", "disclaimer", "banner", "quote"), 2)
    if chance.random() < 1 / 2:
        del kinds[0]
    if "signature" in kinds:
        head = f"{head}\n\n{stock.one('signature')}"
    if "device" in kinds:
        head = f"{head}\n\n{stock.one('device')}"
    if "disclaimer" in kinds:
        head = f"{head}\n\n{stock.one('disclaimer')}"
    if "banner" in kinds:
        head = f"{stock.one('banner')}\n\n{head}"
    if "quote" in kinds:
        head = _quote(head, stock, chance)
        if message.subject and chance.random() < 1 / 2:
            message = replace(message, subject=f"Re: {message.subject}")
    return reread(message, subject=message.subject, head=head, tail=tail)


def tag_subject(message: Message, chance: random.Random) -> Message:
    """With what gateways, lists and ticket systems write into subjects; without one it stays so."""
    if not message.subject:
        return message
    forms = chance.choice((_UNREAD, _READ_BEFORE, _READ_AFTER))
    tag = chance.choice(forms).format(
        name=chance.choice(_LISTS), number=chance.randrange(10, 10**6)
    )
    subject = f"{message.subject}{tag}" if forms is _READ_AFTER else f"{tag}{message.subject}"
    return reread(message, subject=subject)


def _quote(text: str, stock: Stock, chance: random.Random) -> str:
    """The text as an answer: an earlier mail of one to four sentences below it, or above."""
    earlier = stock.several("sentence", chance.randint(1, 4))
    draw = chance.random()
    if draw < 0.4:
        return f"{text}\n\n{stock.one('original')}\n\n{' '.join(earlier)}"
    lines = "\n".join(f"> {sentence}" for sentence in earlier)
    quoted = f"{stock.one('wrote')}\n{lines}"
    return f"{quoted}\n\n{text}" if draw < 0.6 else f"{text}\n\n{quoted}"
