"""Reasons for a verdict, in words for people who do not know what log odds are. Pure."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from slack_sdk.models.blocks import (
    ContextBlock,
    DividerBlock,
    HeaderBlock,
    MarkdownTextObject,
    PlainTextObject,
    SectionBlock,
)

from bot.cards import bar
from bot.text import escaped, in_one_line

if TYPE_CHECKING:
    from collections.abc import Iterable

    from slack_sdk.models.blocks import Block

    from filterd.why import Resembled, Why

# Odds that are worth a word: a factor of 1.5.
WORTH_A_WORD = 0.4
# Odds at which a voice is as loud as it is shown.
LOUDEST = 8.0
LINES = 3
SHOWN_PARTS = 5
LONGEST = 110  # characters of a quoted part
SLACK_USER = re.compile(r"[UW][A-Z0-9]{6,}")


def why_lines(why: Why) -> tuple[str, ...]:
    """The three things that counted for most, a plain line each."""
    lines = [] if why.near is None else [_near_line(why.near)]
    taught = [(abs(one.odds), _taught_line(one.what, one.odds)) for one in why.reasons]
    read = [(abs(one.odds), _part_line(one.bare, one.odds)) for one in why.parts]
    loudest = sorted(taught + read, key=lambda pair: -pair[0])
    lines += [line for odds, line in loudest if odds >= WORTH_A_WORD]
    return tuple(lines[:LINES])


def why_blocks(why: Why, subject: str) -> list[Block]:
    """The whole answer to "Why?"."""
    judged, voices = why.judged, why.voices
    word = "Spam" if judged.verdict == "spam" else "Not spam"
    line = f"*{word}*, {100 * judged.spam:.1f}% (spam from {100 * judged.threshold:.1f}% on)"
    if why.recorded is not None and why.recorded.spam is not None:
        line += f". When it came it got {100 * why.recorded.spam:.1f}%."
    blocks: list[Block] = [
        HeaderBlock(text=f"Why: {in_one_line(subject, 120) or '(no subject)'}"),
        SectionBlock(text=MarkdownTextObject(text=line)),
        SectionBlock(
            fields=[
                _voice("The model", voices.bert),
                _voice(f"What staff taught ({why.labels:,} labels)", voices.site),
                _voice("A labelled mail like it", voices.near),
            ]
        ),
    ]
    if why.near is not None:
        blocks.append(SectionBlock(text=MarkdownTextObject(text=_resembled(why.near))))
    model = in_one_line(judged.model, LONGEST) or "an unnamed model"
    parts = [one for one in why.parts if abs(one.odds) >= WORTH_A_WORD][:SHOWN_PARTS]
    blocks += _list("What the model reads in it", ((_quoted(one.bare), one.odds) for one in parts))
    taught = [one for one in why.reasons if abs(one.odds) >= WORTH_A_WORD][:SHOWN_PARTS]
    blocks += _list("What staff's labels say", ((_named(one.what), one.odds) for one in taught))
    blocks.append(ContextBlock(elements=[PlainTextObject(text=model, emoji=False)]))
    return blocks


def _list(title: str, lines: Iterable[tuple[str, float]]) -> list[Block]:
    shown = [f"{_side(odds)} {what}" for what, odds in lines]
    if not shown:
        return []
    return [
        DividerBlock(),
        ContextBlock(elements=[MarkdownTextObject(text=f"*{title}*")]),
        SectionBlock(text=PlainTextObject(text="\n".join(shown), emoji=True)),
    ]


def _voice(who: str, odds: float) -> MarkdownTextObject:
    if abs(odds) < WORTH_A_WORD:
        return MarkdownTextObject(text=f"*{who}*\nsays neither")
    word = "spam" if odds > 0 else "not spam"
    return MarkdownTextObject(text=f"*{who}*\n`{bar(abs(odds) / LOUDEST)}` says {word}")


def _resembled(near: Resembled) -> str:
    who = f"<@{near.by}>" if SLACK_USER.fullmatch(near.by) else escaped(in_one_line(near.by, 60))
    word = "spam" if near.label == "spam" else "not spam"
    alike = f"{100 * near.similarity:.0f}% alike"
    return f":link: Like a mail that {who} called *{word}* ({alike}): `{near.id}`"


def _near_line(near: Resembled) -> str:
    word = "spam" if near.label == "spam" else "not spam"
    return f"Like a mail that a colleague called {word} ({100 * near.similarity:.0f}% alike)"


def _taught_line(what: str, odds: float) -> str:
    return f"{_side(odds)} your labels on {_named(what)}"


def _part_line(part: str, odds: float) -> str:
    return f"{_side(odds)} {_quoted(part)}"


def _side(odds: float) -> str:
    """Red for spam, green for wanted; a word too, for those who do not tell them apart."""
    return "🔴 spam:" if odds > 0 else "🟢 fine:"


def _named(what: str) -> str:
    """What the learner goes by; it quotes words itself."""
    return in_one_line(what, LONGEST)


def _quoted(part: str) -> str:
    return f"“{in_one_line(part, LONGEST)}”"
