"""Header blocks: malformed, folded, 8-bit or endless, they come out as bounded, decoded text."""

from __future__ import annotations

import binascii
import re
from typing import TYPE_CHECKING
from urllib.parse import unquote_to_bytes

from filterd.mail.charset import decode

if TYPE_CHECKING:
    from collections.abc import Iterable

MAX_BLOCK = 256 * 1024  # bytes of a header block that are looked at
MAX_FIELDS = 1000
MAX_VALUE = 4096  # bytes of one field that are decoded
_MAX_PARAMETERS = 64

_END = re.compile(rb"\n\r?\n|\r\r\n?|\n\r")
_FIELD = re.compile(rb"([!-9;-~]+)[ \t]*:")
_WORD = re.compile(r"=\?([^?\s]{1,64})\?([bBqQ])\?([^?]*)(?:\?=|$)")
_BETWEEN_WORDS = re.compile(r"(\?=)\s+(?==\?)")
_UNSEEN = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff]")
_PARAMETER = re.compile(r';\s*([^\s=;"]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"?|([^;\s]*))')
_SEGMENT = re.compile(r"([^*]+)(?:\*(\d{1,3}))?(\*)?$")

Field = tuple[bytes, bytes]  # name as written, value unfolded but not decoded


def split(raw: bytes, start: int, end: int, limit: int = MAX_BLOCK) -> tuple[list[Field], int, int]:
    """Read the header block at `start`: its fields, where its body begins, how many defects.

    Looks at no more than `limit` bytes of it and `MAX_FIELDS` fields (RFC 5322, 2.2), but finds
    the true end of the block.
    """
    if raw.startswith((b"\n", b"\r\n"), start):
        return [], start + (2 if raw[start] == 0x0D else 1), 0
    found = _END.search(raw, start, end)
    block_end, body = (found.start(), found.end()) if found else (end, end)
    lines = raw[start : min(block_end, start + limit)].splitlines(keepends=True)
    fields: list[Field] = []
    defects = 0 if found else 1
    position = start
    for number, line in enumerate(lines):
        matched = _FIELD.match(line)
        if matched:
            if len(fields) >= MAX_FIELDS:
                break
            fields.append((matched[1], line[matched.end() :]))
        elif line[:1] in (b" ", b"\t") and fields:
            name, value = fields[-1]
            if len(value) < MAX_VALUE:
                fields[-1] = (name, value + line)
        elif not (number == 0 and line.startswith(b"From ")):
            defects += 1
            following = lines[number + 1] if number + 1 < len(lines) else b""
            # One broken line among fields is skipped; text that follows no empty line is a body.
            if not _FIELD.match(following):
                return fields, position, defects
        position += len(line)
    return fields, body, defects


def text_of(value: bytes) -> str:
    """A field's value as one line of text: unfolded, encoded words decoded (RFC 2047), bounded."""
    value = value[:MAX_VALUE]
    text = value.decode("ascii") if value.isascii() else decode(value)
    return one_line(decode_words(text) if "=?" in text else text)


def one_line(text: str) -> str:
    """Text without line breaks, controls and half characters, with one blank between words."""
    text = " ".join(text.split())
    return text if text.isprintable() else " ".join(_UNSEEN.sub(" ", text).split())


def decode_words(text: str) -> str:
    """Decode RFC 2047 encoded words; neighbours of one charset are joined as bytes first."""
    text = _BETWEEN_WORDS.sub(r"\1", text.replace("\r", "").replace("\n", ""))
    out: list[str] = []
    pending = b""
    charset = ""
    position = 0
    for found in _WORD.finditer(text):
        label = found[1].partition("*")[0]
        if pending and (found.start() != position or label.lower() != charset):
            out.append(decode(pending, charset))
            pending = b""
        out.append(text[position : found.start()])
        charset = label.lower()
        pending += _decode_word(found[2], found[3])
        position = found.end()
    if pending:
        out.append(decode(pending, charset))
    out.append(text[position:])
    return "".join(out)


def _decode_word(encoding: str, content: str) -> bytes:
    data = content.encode("utf-8", "replace")
    if encoding in "bB":
        return from_base64(data)
    return binascii.a2b_qp(data, header=True)


_NOT_BASE64 = bytes(
    set(range(256)) - set(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=")
)


def from_base64(data: bytes) -> bytes:
    """Decode base64 that may be cut, badly padded or full of rubbish (RFC 2045, 6.8)."""
    clean = data.translate(None, _NOT_BASE64).partition(b"=")[0]
    if len(clean) % 4 == 1:
        clean = clean[:-1]
    return binascii.a2b_base64(clean + b"=" * (-len(clean) % 4))


def parameters(value: str) -> tuple[str, dict[str, str]]:
    """Split `text/plain; charset=x` into its first word, lower-case, and its parameters.

    Understands RFC 2231 continuations, charsets and percent-encoding.
    """
    first = value.partition(";")[0].strip().lower()
    plain: dict[str, str] = {}
    segments: dict[str, dict[int, tuple[bool, str]]] = {}
    for number, found in enumerate(_PARAMETER.finditer(value)):
        if number >= _MAX_PARAMETERS:
            break
        key = found[1].lower()
        text = found[3] if found[2] is None else re.sub(r"\\(.)", r"\1", found[2])
        segment = _SEGMENT.match(key) if "*" in key else None
        if segment:
            many = segments.setdefault(segment[1], {})
            many.setdefault(int(segment[2] or 0), (bool(segment[3]), text))
        else:
            plain.setdefault(key, text)
    for key, many in segments.items():
        plain[key] = _join_segments(many[number] for number in sorted(many))
    return first, plain


def _join_segments(segments: Iterable[tuple[bool, str]]) -> str:
    data = b""
    charset = ""
    for number, (encoded, text) in enumerate(segments):
        if encoded and number == 0 and text.count("'") >= 2:
            charset, _, text = text.split("'", 2)  # noqa: PLW2901 - the rest of the segment
        data += unquote_to_bytes(text) if encoded else text.encode("utf-8", "replace")
    return decode(data, charset)
