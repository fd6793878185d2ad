"""Our headers into a message's bytes, and nobody else's copies of them. Every other byte stays.

What is signed (DKIM) is not touched: lines are only put in front, or taken out whole. The one
exception is `subject_tag`, which has to change the subject.
"""

from __future__ import annotations

import re
from email.header import Header
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

_MAX_VALUE = 900  # characters; a line may have 998 (RFC 5322, 2.1.1)
_HEADER_NAME = re.compile(r"[!-9;-~]+")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")

# Lines that mbox and some senders put above the header; Postfix takes them for a field of its own.
_ENVELOPE = re.compile(rb"(?:>*+From [^\r\n]*+\r?\n)*+")
# Postfix takes off all CRs before an LF: to it this is the first empty line.
_EMPTY_FIRST = re.compile(rb"\r*+\n")
_EMPTY_LINE = re.compile(rb"\n\r*+\n")

# Inside the header, CRLF, LF and CR each end a line: whichever of them the next hop believes in, it
# finds no field that was not looked at here. Each pattern begins with the few bytes that may come
# first, which `re` looks for quickly; "(?<![^\r\n].)" asks afterwards for the start of a line.
_FIRST_FIELD = re.compile(rb"[!-9;-~]++[ \t]*+:")
_NEXT_FIELD = re.compile(rb"[\r\n][!-9;-~]++[ \t]*+:")
_SUBJECT = re.compile(rb"[Ss](?<![^\r\n].)(?i:ubject)[ \t]*+:")
_OUR_FIELD = (
    rb"-(?i:Filterd-[!-9;-~]*+|Spam-(?:Flag|Score|Status))[ \t]*+:"
    rb"[^\r\n]*+(?:(?:\r\n?|\n)[ \t][^\r\n]*+)*+(?:\r\n?|\n)?+"
)
# All that follow each other, with their folded lines (RFC 5322, 2.2.3) and their own line ends.
_OUR_FIELDS = re.compile(
    rb"[Xx](?<![^\r\n].)" + _OUR_FIELD + rb"(?:[Xx]" + _OUR_FIELD + rb")*+", re.DOTALL
)


def stamp(raw: bytes, headers: Sequence[tuple[str, str]], *, subject_tag: str = "") -> bytes:
    """Put `headers` in front of a message and take out of its header what only we may say.

    Out go X-Filterd-* and X-Spam-Flag, -Score and -Status, in any case, with their folded lines.
    `subject_tag` is put before the subject. Text that has no header, or begins with white space,
    becomes a body: an empty line goes before it. Our lines end as the message's own do. Any bytes
    will do for `raw`; linear. Raises ValueError if a name or value could break out of its line.
    """
    envelope, block, rest, ending = _split(raw)
    lines = b"".join(_field(name, value, ending) for name, value in headers)
    block = _OUR_FIELDS.sub(_line_end_to_keep, block)
    is_text = bool(block) and not _is_header(block)
    if subject_tag:
        tag = _encoded(_checked(subject_tag), ending)
        subject = None if is_text else _SUBJECT.search(block)
        if subject:
            block = _tagged(block, subject.end(), tag)
        else:
            lines += b"Subject: " + tag + ending
    if lines and is_text:
        lines += ending
    return b"".join((envelope, lines, block, rest))


def _split(raw: bytes) -> tuple[bytes, bytes, memoryview, bytes]:
    """Envelope lines, the header block, all from its empty line on; and how lines end.

    What follows the block is not copied: it may be nearly all of a large mail.
    """
    found = _ENVELOPE.match(raw)
    start = found.end() if found else 0
    if found := _EMPTY_FIRST.match(raw, start):
        end, after = start, found.end()
    elif found := _EMPTY_LINE.search(raw, start):
        end, after = found.start() + 1, found.end()
    else:
        end = after = len(raw)
        if b"\n" not in raw and (cut := raw.find(b"\r\r", start)) >= 0:
            end = after = cut + 1
    only_newlines = raw.find(b"\r\n", 0, after) < 0 <= raw.find(b"\n", 0, after)
    ending = b"\n" if only_newlines else b"\r\n"
    return raw[:start], raw[start:end], memoryview(raw)[end:], ending


def _line_end_to_keep(found: re.Match[bytes]) -> bytes:
    """What stays of removed fields: one LF where without it the lines around them could join.

    That is behind a bare CR, which ends a line for some readers only.
    """
    after_cr = found.string[found.start() - 1 : found.start()] == b"\r"
    return b"\n" if after_cr and b"\n" in found[0] else b""


def _is_header(block: bytes) -> bool:
    """Whether a block may stand below our fields: not if it would continue the last of them."""
    if block.startswith((b" ", b"\t")):
        return False
    return bool(_FIRST_FIELD.match(block) or _NEXT_FIELD.search(block))


def _tagged(block: bytes, position: int, tag: bytes) -> bytes:
    """The block with the tag before its subject's value, which is at `position`."""
    value = block[position:]
    if value.lstrip(b" \t").startswith(tag):
        return block
    gap = b"" if value[:1] in (b" ", b"\t") else b" "
    return block[:position] + b" " + tag + gap + value


def _field(name: str, value: str, ending: bytes) -> bytes:
    if not _HEADER_NAME.fullmatch(name):
        raise ValueError(f"not a header name: {name!r}")
    return name.encode("ascii") + b": " + _encoded(_checked(value), ending) + ending


def _checked(value: str) -> str:
    if _CONTROL.search(value) or len(value) > _MAX_VALUE:
        raise ValueError("a header value must be one line of at most 900 printable characters")
    return value


def _encoded(value: str, ending: bytes) -> bytes:
    if value.isascii():
        return value.encode("ascii")
    return Header(value, "utf-8").encode(linesep="\n").encode("ascii").replace(b"\n", ending)
