"""SMTP replies: what was said, exactly, and in a form that is safe to say again.

A reply of the next hop goes to the client as it came, but for control characters. Replies of
our own carry an RFC 3463 code, and nothing from an exception ever becomes the text of one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

# RFC 5321 allows 512 octets a line and as many lines as one likes; a reply beyond these bounds is
# not one we would pass on.
MAX_REPLY_BYTES: Final = 16_384
MAX_REPLY_LINES: Final = 128

START_INPUT: Final = 354
CLOSING: Final = 421

# C0, DEL and C1 would let one side draw on the other's terminal or forge a line of a reply.
_CONTROLS: Final = dict.fromkeys((*range(0x20), *range(0x7F, 0xA0)), " ")


@dataclass(frozen=True, slots=True)
class Reply:
    """One reply: `text` is what follows the code on each line, lines joined by a newline."""

    code: int
    text: str

    @property
    def is_success(self) -> bool:
        """2xx: done."""
        return 200 <= self.code < 300  # RFC 5321 4.2.1

    @property
    def is_transient(self) -> bool:
        """4xx: not now."""
        return 400 <= self.code < 500

    @property
    def is_permanent(self) -> bool:
        """5xx: never."""
        return 500 <= self.code < 600

    @property
    def first_line(self) -> str:
        """The text of the first line; may be empty."""
        return self.text.partition("\n")[0]

    def encode(self) -> bytes:
        """The reply as it goes over the wire, CRLF at the end of each line, no control characters.

        Bytes that were not UTF-8 when the reply came in go out as the same bytes.
        """
        lines = self.text.split("\n")
        if not self.text.isprintable():
            lines = [line.translate(_CONTROLS) for line in lines]
        whole = "".join(f"{self.code}-{line}\r\n" for line in lines[:-1])
        whole += f"{self.code} {lines[-1]}\r\n"
        try:
            return whole.encode("utf-8", "surrogateescape")
        except UnicodeEncodeError:  # a lone surrogate that no decoding gave
            return whole.encode("utf-8", "replace")


def parse_reply(data: bytes | bytearray) -> tuple[Reply, int] | None:
    """The first whole reply in `data` and its length in octets; None if the end has not come yet.

    Follows RFC 5321 4.2 and takes a bare LF for a line end. Raises ValueError on anything that
    is not a reply: no code, a code out of range, codes that differ between lines, no end.
    """
    lines: list[bytes] = []
    code = b""
    start = 0
    while (end := data.find(b"\n", start)) >= 0:
        line = bytes(data[start:end]).removesuffix(b"\r")
        start = end + 1
        if code not in (b"", line[:3]):
            raise ValueError("lines of one reply carry different codes")
        code = line[:3]
        if len(code) < 3 or not code.isdigit() or code[:1] not in b"2345":
            raise ValueError("a line without a reply code")
        lines.append(line[4:])
        separator = line[3:4]
        if separator in (b"", b" "):
            text = b"\n".join(lines).decode("utf-8", "surrogateescape")
            return Reply(int(code), text), start
        if separator != b"-":
            raise ValueError("a line without a reply code")
        if len(lines) >= MAX_REPLY_LINES:
            raise ValueError("a reply without an end")
    if len(data) > MAX_REPLY_BYTES:
        raise ValueError("a reply without an end")
    return None


NEXT_HOP_DOWN: Final = Reply(451, "4.4.1 The mail server behind this filter cannot be reached")
# To EHLO, as long as the next hop was never reached and what it offers is not known.
NEXT_HOP_UNKNOWN: Final = Reply(CLOSING, NEXT_HOP_DOWN.text)
# The one case where a message may arrive twice: it was handed on whole and the answer is unknown
# (RFC 1047). Answering anything but 4xx would lose mail instead.
NEXT_HOP_LOST: Final = Reply(451, "4.4.2 The mail server behind this filter did not answer")
BUSY: Final = Reply(451, "4.3.2 More mail than can be judged now, try again later")
INTERNAL: Final = Reply(451, "4.3.0 Internal error, try again later")
OVERLOADED: Final = Reply(CLOSING, BUSY.text)
SHUTTING_DOWN: Final = Reply(421, "4.3.2 Service shutting down")
TOO_LARGE: Final = Reply(552, "5.3.4 Message is larger than this server accepts")
TIMED_OUT: Final = Reply(421, "4.4.2 Timeout, closing connection")
TOO_MANY_CONNECTIONS: Final = Reply(421, "4.7.0 Too many connections, try again later")
TOO_MANY_OF_CLIENT: Final = Reply(421, "4.7.0 Too many connections from you, try again later")
MAKE_ROOM: Final = Reply(421, "4.4.2 Silent while others wait, closing connection")
NOT_ALLOWED: Final = Reply(554, "5.7.1 Access denied")
