"""The parts of a mail: a splitter of our own, because the bounds have to be ours.

The standard library's parser recurses once per nesting level and takes seconds on tens of
thousands of parts. Here a boundary is searched for in the original bytes, between two offsets,
with nothing copied; depth, parts, header bytes and decoded text all come out of one budget.
"""

from __future__ import annotations

import binascii
import re
from dataclasses import dataclass, field

from filterd.mail import headers
from filterd.mail.charset import decode
from filterd.mail.hosts import hosts_in
from filterd.mail.html import MAX_HTML, visible_text
from filterd.mail.message import Attachment, Link

MAX_DEPTH = 20
MAX_PARTS = 200
MAX_TEXT = 65_536  # characters of text that a message may have
_MAX_PART_HEADER = 16 * 1024
_MAX_CANDIDATES = 20_000  # lines that begin like a boundary
_MAX_ATTACHMENTS = 100
_MAX_NAME = 255
_MAX_LINKS = 200

_META_CHARSET = re.compile(
    rb"charset\s{0,8}=\s{0,8}[\"']?\s{0,8}([A-Za-z0-9_:.\-]{1,40})", re.IGNORECASE
)
_LOOKS_LIKE_HTML = re.compile(rb"\s{0,64}<(?:!doctype\s{1,8}html|html|body)\b", re.IGNORECASE)
_UNPRINTABLE = re.compile(
    r"[\x00-\x1f\x7f-\x9f\u200b-\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]"
)
_TYPE = re.compile(r"[a-z0-9!#$&^_.+\-]{1,100}/[a-z0-9!#$&^_.+\-]{1,100}$")


@dataclass(slots=True)
class Text:
    """Visible text of a part or of several, with what was found in it."""

    text: str = ""
    links: list[Link] = field(default_factory=list)
    hidden_characters: int = 0
    is_html: bool = False


@dataclass(slots=True)
class Walk:
    """One walk through one message: what it has found and what it may still spend."""

    raw: bytes
    attachments: list[Attachment] = field(default_factory=list)
    defects: int = 0
    parts: int = 0
    header_bytes: int = headers.MAX_BLOCK
    candidates: int = _MAX_CANDIDATES
    text_left: int = 4 * MAX_TEXT
    html_left: int = MAX_HTML

    def read(
        self,
        fields: list[headers.Field],
        start: int,
        end: int,
        depth: int = 0,
        default: str = "text/plain",
    ) -> Text:
        """The visible text of the part with the header `fields` and the body raw[start:end]."""
        self.parts += 1
        values = _first_values(fields)
        written = values.get(b"content-type", "")
        content_type, parameters = headers.parameters(written)
        if not _TYPE.match(content_type):
            self.defects += bool(written)
            content_type = default
        disposition, more = headers.parameters(values.get(b"content-disposition", ""))
        encoding = values.get(b"content-transfer-encoding", "").partition(";")[0].strip().lower()
        if content_type.startswith("multipart/"):
            return self._read_multipart(content_type, parameters, start, end, depth)
        name = _file_name(more.get("filename") or parameters.get("name") or "")
        if content_type.startswith("message/") and encoding not in ("base64", "quoted-printable"):
            if content_type in ("message/rfc822", "message/global", "message/news"):
                return self._read_message(start, end, depth)
            if disposition != "attachment":
                return self._read_text(
                    start, end, encoding, parameters.get("charset", ""), is_html=False
                )
        is_html = content_type in ("text/html", "application/xhtml+xml")
        if disposition != "attachment" and (is_html or _is_shown(content_type, name)):
            if not written and _LOOKS_LIKE_HTML.match(self.raw, start, end):
                is_html = True
            return self._read_text(
                start, end, encoding, parameters.get("charset", ""), is_html=is_html
            )
        self._add_attachment(name, content_type, start, end, encoding)
        return Text()

    def _read_multipart(
        self, content_type: str, parameters: dict[str, str], start: int, end: int, depth: int
    ) -> Text:
        boundary = parameters.get("boundary", "").rstrip().encode("utf-8", "replace")
        ranges = self._split(boundary, start, end) if boundary and depth < MAX_DEPTH else []
        if not ranges:
            self.defects += 1
            return self._read_text(start, end, "", "", is_html=False)
        default = "message/rfc822" if content_type == "multipart/digest" else "text/plain"
        texts = []
        for part_start, part_end in ranges:
            if self.parts >= MAX_PARTS or self.header_bytes <= 0:
                self.defects += 1
                break
            fields, body = self._split_header(part_start, part_end)
            texts.append(self.read(fields, body, part_end, depth + 1, default))
        if content_type == "multipart/alternative":
            return _chosen(texts)
        return _joined(texts)

    def _split_header(self, start: int, end: int) -> tuple[list[headers.Field], int]:
        limit = min(_MAX_PART_HEADER, self.header_bytes)
        fields, body, defects = headers.split(self.raw, start, end, limit)
        self.header_bytes -= min(body - start, limit)
        self.defects += defects
        return fields, body

    def _split(self, boundary: bytes, start: int, end: int) -> list[tuple[int, int]]:
        """The ranges between boundary lines (RFC 2046, 5.1); no more than there are parts left."""
        raw = self.raw
        needle = b"\n--" + boundary
        ranges: list[tuple[int, int]] = []
        opened = -1
        # The first boundary may stand at the very start of the body.
        position = start - 1 if raw.startswith(needle[1:], start) else raw.find(needle, start, end)
        while position >= 0:
            after = position + len(needle)
            self.candidates -= 1
            if self.candidates < 0:
                break
            line_end = raw.find(b"\n", after, min(end, after + 256))
            tail = raw[after : line_end if line_end >= 0 else min(end, after + 256)]
            rest = tail.strip()
            if rest in (b"", b"--"):
                if opened >= 0:
                    stop = position - 1 if raw[position - 1 : position] == b"\r" else position
                    ranges.append((opened, max(stop, opened)))
                opened = -1 if rest or line_end < 0 else line_end + 1
                if rest or len(ranges) > MAX_PARTS:
                    return ranges
                position = raw.find(needle, max(after, opened - 1), end)
            else:
                position = raw.find(needle, after, end)
        if opened >= 0:
            self.defects += 1
            ranges.append((opened, end))
        return ranges

    def _read_message(self, start: int, end: int, depth: int) -> Text:
        if depth >= MAX_DEPTH or self.parts >= MAX_PARTS or self.header_bytes <= 0:
            self.defects += 1
            return Text()
        fields, body = self._split_header(start, end)
        subject = next((headers.text_of(v) for n, v in fields if n.lower() == b"subject"), "")
        text = self.read(fields, body, end, depth + 1)
        text.text = f"{subject}\n{text.text}" if subject else text.text
        return text

    def _read_text(
        self, start: int, end: int, encoding: str, charset: str, *, is_html: bool
    ) -> Text:
        left = self.html_left if is_html else self.text_left
        if left <= 0 or start >= end:
            return Text()
        data = decode_body(self.raw, start, end, encoding, left)
        if not charset and is_html and (found := _META_CHARSET.search(data, 0, 2048)):
            charset = found[1].decode("ascii")
        text = decode(data, charset, is_cut=len(data) >= left)
        if not is_html:
            text = text[: self.text_left]
            self.text_left -= len(text)
            return Text(text, [Link(host, "") for host in hosts_in(text, _MAX_LINKS)])
        self.html_left -= len(data)
        html = visible_text(text)
        return Text(html.text, list(html.links), html.hidden_characters, is_html=True)

    def _add_attachment(
        self, name: str, content_type: str, start: int, end: int, encoding: str
    ) -> None:
        size = max(end - start, 0)
        if encoding == "base64":
            size -= self.raw.count(b"\n", start, end) + self.raw.count(b"\r", start, end)
            size = max(size - self.raw.count(b"=", max(start, end - 8), end), 0) * 3 // 4
        if len(self.attachments) < _MAX_ATTACHMENTS:
            self.attachments.append(Attachment(name, content_type, size))


def decode_body(raw: bytes, start: int, end: int, encoding: str, most: int) -> bytes:
    """Undo a transfer encoding (RFC 2045, 6); no more than about `most` bytes are decoded."""
    if encoding == "base64":
        return headers.from_base64(raw[start : min(end, start + most * 3 // 2)])[:most]
    if encoding == "quoted-printable":
        return binascii.a2b_qp(raw[start : min(end, start + most * 3)])[:most]
    if encoding in ("x-uuencode", "uuencode", "x-uue"):
        return _from_uu(raw[start : min(end, start + most * 3 // 2)])[:most]
    return raw[start : min(end, start + most)]


def _from_uu(data: bytes) -> bytes:
    out = []
    for line in data.partition(b"begin ")[2].splitlines()[1:]:
        if line.startswith((b"end", b"`")):
            break
        try:
            out.append(binascii.a2b_uu(line))
        except binascii.Error:
            continue  # one broken line costs its own 45 bytes
    return b"".join(out)


def _first_values(fields: list[headers.Field]) -> dict[bytes, str]:
    values: dict[bytes, str] = {}
    for name, value in fields:
        key = name.lower()
        if key.startswith(b"content-") and key not in values:
            values[key] = headers.text_of(value)
    return values


def _file_name(name: str) -> str:
    name = headers.decode_words(name) if "=?" in name else name
    return _UNPRINTABLE.sub("", name).replace("\\", "/").rpartition("/")[2].strip()[:_MAX_NAME]


def _chosen(texts: list[Text]) -> Text:
    """Of alternatives, what a reader is shown: the last HTML that has text, else the last text."""
    for text in reversed(texts):
        if text.is_html and text.text.strip():
            return text
    shown = next((text for text in reversed(texts) if text.text.strip()), Text())
    # HTML without any text still has links, and what it hides it hides.
    for text in texts:
        if text.is_html and text is not shown:
            shown.links += text.links
            shown.hidden_characters += text.hidden_characters
    return shown


def _joined(texts: list[Text]) -> Text:
    joined = Text()
    joined.text = "\n".join(text.text for text in texts if text.text)
    for text in texts:
        joined.links += text.links
        joined.hidden_characters += text.hidden_characters
        joined.is_html |= text.is_html
    return joined


def _is_shown(content_type: str, name: str) -> bool:
    """Whether mail programs show such a part in the message rather than beside it."""
    if content_type == "text/plain":
        return True
    return (
        not name
        and content_type != "text/calendar"
        and content_type.startswith(("text/", "message/"))
    )
