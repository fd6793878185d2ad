"""A changed text read again as serving would read it: normalised, bounded, its tricks counted."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

from filterd.mail.parse import MAX_TEXT
from filterd.mail.unicode import normalise

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from random import Random

    from filterd.mail.message import Link, Message, Signals
    from filterd.mail.unicode import NormalText

# No change looks beyond this many characters of a text: the model reads 4,096 at most.
REACH = 8192
MAX_LINKS = 100
_MAX_SUBJECT = 998
_MAX_NAME = 256

# Not a part of an address, a host or a number.
WORD = re.compile(r"(?<![\w.@/\-=&?%#])[^\W\d_]{3,}(?![\w@/\-=]|\.\w|:/)")

_COMMON = {
    "de": "der die das und ist nicht mit für auf ein eine sie ich wir ihre bitte von zu den",
    "en": "the and you to of for is your this with that are have our we please be on it",
    "es": "el los las una que por para con su está usted del se al gracias como más",
    "fr": "le les des et vous est pour une votre nous dans pas que sur du avec je ce",
    "it": "il gli che per una con non del della sono è questo suo di la grazie alla",
    "nl": "het een van en is dat niet voor met uw wij zijn aan op je bij ook wordt",
    "pl": "i w na z się nie do że jest to dla o proszę od po są jak oraz",
    "pt": "os não uma com para que você do da em por seu sua mais obrigado ao no",
}
_LANGUAGES: dict[str, list[str]] = {}
for _language, _words in _COMMON.items():
    for _word in _words.split():
        _LANGUAGES.setdefault(_word, []).append(_language)


def reread(
    message: Message,
    *,
    head: str | None = None,
    tail: str = "",
    subject: str | None = None,
    from_name: str | None = None,
) -> Message:
    """The message with these fields for its own, as `filterd.mail.parse` would have read them.

    `head` is a changed text, and `tail` what follows it unchanged. What is found of tricks is
    added to the message's signals. `None` leaves a field as it is.
    """
    signals = message.signals
    if head is not None:
        text = normalise(head[: 2 * MAX_TEXT])
        signals = _added(signals, text)
        message = replace(message, text=f"{text.text}{tail}"[:MAX_TEXT])
    if subject is not None:
        text = normalise(subject[:_MAX_SUBJECT])
        signals = _added(signals, text)
        message = replace(message, subject=text.text.replace("\n", " ")[:_MAX_SUBJECT])
    if from_name is not None:
        text = normalise(from_name[:_MAX_NAME])
        signals = _added(signals, text)
        message = replace(message, from_name=text.text.replace("\n", " ")[:_MAX_NAME])
    return replace(message, signals=signals)


def _added(signals: Signals, found: NormalText) -> Signals:
    return replace(
        signals,
        lookalikes=signals.lookalikes + found.lookalikes,
        zero_width=signals.zero_width + found.zero_width,
        bidi_controls=signals.bidi_controls + found.bidi_controls,
    )


def with_links(message: Message, links: Iterable[Link]) -> Message:
    """The message with these links, each once, and its count of those that show another host."""
    kept = tuple(dict.fromkeys(links))[:MAX_LINKS]
    mismatched = sum(link.is_mismatched for link in kept)
    return replace(
        message, links=kept, signals=replace(message.signals, mismatched_links=mismatched)
    )


def head_and_tail(text: str) -> tuple[str, str]:
    """The part of a text that changes look at, and the rest; cut before white space if it can."""
    if len(text) <= REACH:
        return text, ""
    cut = max(text.rfind("\n", REACH // 2, REACH), text.rfind(" ", REACH // 2, REACH))
    cut = cut if cut > 0 else REACH
    return text[:cut], text[cut:]


def change_words(
    text: str, count: int, chance: Random, change: Callable[[str, Random], str]
) -> str:
    """Text with `count` of its words changed, chosen at random; addresses and hosts stay."""
    found = list(WORD.finditer(text))
    chosen = sorted(chance.sample(range(len(found)), min(count, len(found))))
    pieces, end = [], 0
    for number in chosen:
        start = found[number].start()
        pieces += [text[end:start], change(found[number][0], chance)]
        end = found[number].end()
    return "".join([*pieces, text[end:]])


def count_words(text: str) -> int:
    """How many words `change_words` can choose from."""
    return sum(1 for _ in WORD.finditer(text))


def language_by_words(text: str) -> str:
    """The language of a text by its commonest words (ISO 639-1); "" if none of them is met.

    Of those only that the stock speaks, and in some 50 microseconds: `trainer.language` knows more.
    """
    counts: dict[str, int] = {}
    for word in text[:1000].lower().split():
        for language in _LANGUAGES.get(word, ()):
            counts[language] = counts.get(language, 0) + 1
    return max(counts, key=lambda language: counts[language], default="")
