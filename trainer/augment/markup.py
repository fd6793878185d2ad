"""The same mail as HTML: built here and read by serving's own parser, so it is what serving reads.

Lines flow together, addresses of links go behind words, newsletters have their trimmings; and, in
spam, ordinary words stand where no reader sees them.
"""

from __future__ import annotations

import re
from dataclasses import replace
from html import escape
from typing import TYPE_CHECKING

from filterd.mail.hosts import URL
from filterd.mail.html import visible_text
from trainer.augment.reading import head_and_tail, language_by_words, reread, with_links
from trainer.augment.stock import Stock

if TYPE_CHECKING:
    import random

    from filterd.mail.message import Message

TRIMMED_SHARE = 0.35  # look like a newsletter
PREVIEW_SHARE = 0.3  # have a hidden line for the inbox, as honest newsletters do
LONGEST_PREVIEW = 120  # characters
LEAST_HIDDEN, MOST_HIDDEN = 3, 30  # sentences

_FLOWS = 60  # characters: longer lines were broken by a mail program, shorter ones by a person
_QUOTED = re.compile(r"^> ?", re.MULTILINE)
# Style attributes; `filterd.mail.style` sees through each.
HIDING = (
    "display:none", "display:none;mso-hide:all", "visibility:hidden", "opacity:0", "font-size:0",
    "font-size:1px;line-height:1px", "color:#fff;background-color:#fefefe",
    "color:white;background:white", "position:absolute;left:-9999px", "text-indent:-2000px",
    "max-height:0;overflow:hidden", "height:0px;overflow:hidden",
)  # fmt: skip
_PARAGRAPHS = (
    ("<p>", "</p>\n"),
    ("<div>", "</div>\n<div><br></div>\n"),
    ("<table><tr><td>", "</td></tr></table>\n"),
    ('<p style="margin:0 0 1em">', "</p>"),
    ("", "<br><br>\n"),
)


def wrap_in_html(message: Message, chance: random.Random) -> Message:
    """As HTML, at times with a newsletter's trimmings."""
    stock = Stock(language_by_words(message.text), chance)
    before = after = ""
    if chance.random() < PREVIEW_SHARE:
        before = _hidden(stock.one("sentence")[:LONGEST_PREVIEW], chance)
    if chance.random() < TRIMMED_SHARE:
        link = f'<a href="https://{stock.host}/">{escape(stock.one("masthead"))}</a>'
        before += f"<div>{link}</div>"
        after = f"<div><small>{escape(stock.one('disclaimer'))}</small></div>"
    return _as_html(message, before, after, stock, chance)


def hide_text(message: Message, chance: random.Random) -> Message:
    """As HTML with ordinary sentences that only a filter would see."""
    stock = Stock(language_by_words(message.text), chance)
    count = chance.randint(LEAST_HIDDEN, MOST_HIDDEN)
    hidden = _hidden(" ".join(stock.several("sentence", count)), chance)
    before, after = (hidden, "") if chance.random() < 1 / 2 else ("", hidden)
    return _as_html(message, before, after, stock, chance)


def _as_html(
    message: Message, before: str, after: str, stock: Stock, chance: random.Random
) -> Message:
    """The message as serving reads it with its text between these two pieces of HTML."""
    head, tail = head_and_tail(message.text)
    opening, closing = chance.choice(_PARAGRAPHS)
    label = stock.one("link") if chance.random() < 1 / 2 else ""
    blocks = (_block(block, label, opening, closing) for block in head.split("\n\n"))
    read = visible_text(f"<html><body>{before}\n{''.join(blocks)}\n{after}</body></html>")
    signals = message.signals
    hidden = signals.hidden_characters + read.hidden_characters
    message = replace(message, signals=replace(signals, hidden_characters=hidden))
    message = with_links(message, (*message.links, *read.links))
    return reread(message, head=read.text, tail=tail)


def _block(text: str, label: str, opening: str, closing: str) -> str:
    """Lines without an empty one between them; `label` stands for addresses, "" leaves them."""
    if text.startswith(">"):
        return f'<blockquote type="cite">{_lines(_QUOTED.sub("", text), label)}</blockquote>\n'
    return f"{opening}{_lines(text, label)}{closing}"


def _lines(text: str, label: str) -> str:
    lines = text.split("\n")
    is_flowing = len(text) > _FLOWS * (len(lines) - 1)
    return ("\n" if is_flowing else "<br>\n").join(_linked(line, label) for line in lines)


def _linked(line: str, label: str) -> str:
    """One line with its URLs as links, escaped."""
    pieces, end = [], 0
    for found in URL.finditer(line):
        url = found[0].rstrip(".,;:!?)]")
        pieces.append(escape(line[end : found.start()]))
        pieces.append(f'<a href="{escape(url)}">{escape(label or url)}</a>')
        end = found.start() + len(url)
    return "".join([*pieces, escape(line[end:])])


def _hidden(text: str, chance: random.Random) -> str:
    return f'<div style="{chance.choice(HIDING)}">{escape(text)}</div>'
