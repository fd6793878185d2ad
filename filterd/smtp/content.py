"""Message content on the wire: where it ends, dot-stuffing, line ends, bounds (RFC 5321 4.5.2).

The end is CRLF.CRLF and nothing else, coming in and going out: whatever looks like an end to a
laxer server (SMTP smuggling) is content here, and is stuffed again before it is sent on.
"""

from __future__ import annotations

import re
from asyncio import LimitOverrunError
from typing import TYPE_CHECKING, Final

from filterd.smtp.replies import TOO_LARGE, Reply

if TYPE_CHECKING:
    from asyncio import StreamReader
    from collections.abc import Iterator

    from filterd.smtp.config import SessionLimits

END: Final = b"\r\n.\r\n"
# What stands before a message's first line, as before any other.
BEFORE: Final = b"\r\n"
SLICE: Final = 65_536
# A line that is one dot for a server that drops NULs, and is not stuffed for one that does not.
_HIDDEN_END: Final = re.compile(rb"(?:\A|\n)\x00+\.\x00*\r")


def input_waits(reader: StreamReader) -> bool:
    """Whether the client has sent more than was read of it.

    asyncio gives no public way to ask; this is the only place that looks into the reader.
    """
    return bool(reader._buffer)  # type: ignore[attr-defined]  # noqa: SLF001  # see above


async def receive(reader: StreamReader, max_size: int) -> bytes | None:
    """The message that a client sends after 354, unstuffed, with its last CRLF.

    Must be called with no input waiting, before the 354 goes out or in the same step. A message
    over `max_size` bytes is read to its end without being kept and None returned. Memory stays
    below twice `max_size` plus the reader's buffer. Raises asyncio.IncompleteReadError when the
    client leaves before the end.
    """
    chunks: list[bytes] = []
    received = -len(BEFORE)  # of the message alone
    before = b""
    at_end = False
    while not at_end:
        try:
            chunk = await reader.readuntil(END)
            at_end = True
        except LimitOverrunError as overrun:
            # Not at the end, or the end is further on: what is surely before it can be taken.
            chunk = await reader.readexactly(overrun.consumed)
        if at_end:
            chunk = chunk[: -len(END) + len(BEFORE)]
        piece = (before + chunk).replace(b"\r\n.", b"\r\n")[len(before) :]
        before = (before + chunk[-len(BEFORE) :])[-len(BEFORE) :]
        kept = piece[max(-received, 0) :]
        received += len(piece)
        if received <= max_size:
            chunks.append(kept)
        else:
            chunks.clear()
    if received > max_size:
        return None
    return b"".join(chunks)


def begin(reader: StreamReader) -> None:
    """Make a message's first line like any other: an empty message is then CRLF.CRLF too."""
    reader.feed_data(BEFORE)


def stuff(message: bytes) -> Iterator[bytes]:
    """`message` as it goes after DATA: CRLF line ends only, leading dots doubled, END behind it.

    In slices, so that a large message is not in memory once more.
    """
    if has_bare_newline(message):
        message = normalise(message)
    before = BEFORE
    for start in range(0, len(message), SLICE):
        piece = message[start : start + SLICE]
        yield (before + piece).replace(b"\r\n.", b"\r\n..")[len(before) :]
        before = (before + piece[-len(BEFORE) :])[-len(BEFORE) :]
    yield END[len(BEFORE) :] if before == BEFORE else END


def has_bare_newline(message: bytes) -> bool:
    """Whether a CR or LF stands alone."""
    pairs = message.count(b"\r\n")
    return message.count(b"\n") != pairs or message.count(b"\r") != pairs


def normalise(message: bytes) -> bytes:
    """Every CR, LF and CRLF made a CRLF."""
    return message.replace(b"\r\n", b"\n").replace(b"\r", b"\n").replace(b"\n", b"\r\n")


def prepare(message: bytes, limits: SessionLimits) -> bytes | Reply:
    """The message with CRLF line ends only, or the reply that refuses it."""
    if has_bare_newline(message):
        if limits.bare_newline == "reject":
            return Reply(550, "5.6.11 Bare CR or LF in message (RFC 5321 section 2.3.8)")
        message = normalise(message)
        if len(message) > limits.max_message_size:
            return TOO_LARGE
    if b"\x00" in message and _HIDDEN_END.search(message):
        return Reply(554, "5.6.0 A line of NULs and a dot, which would end the message elsewhere")
    if len(message) > limits.max_line_length and _has_longer_line(message, limits.max_line_length):
        return Reply(554, "5.6.0 A line of the message is too long")
    most = limits.max_header_size
    if len(message) > most and b"\r\n\r\n" not in b"\r\n" + message[: most + 2]:
        return Reply(552, "5.3.4 The header section of the message is too large")
    return message


def _has_longer_line(message: bytes, most: int) -> bool:
    """Whether a line has more than `most` octets before its CRLF; jumps from end to end."""
    start = 0
    while len(message) - start > most:
        end = message.rfind(b"\r\n", start, start + most + 2)
        if end < 0:
            return True
        start = end + 2
    return False
