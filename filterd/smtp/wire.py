"""Our end of a connection to a mail server: commands and content out, exact replies in.

aiosmtplib connects, greets and starts TLS; then this protocol takes the transport over, because
SMTP through a filter needs what a mail client does not: several replies to one content (LMTP),
reply text as it came, flow control on large content, and certainty about which reply answers
which command. Input that nobody asked for makes a connection unusable, it is never skipped.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final, cast

from filterd.errors import NextHopError
from filterd.smtp.content import stuff
from filterd.smtp.replies import CLOSING, MAX_REPLY_BYTES, NEXT_HOP_LOST, Reply, parse_reply

if TYPE_CHECKING:
    from collections.abc import Callable

# Replies to a thousand LMTP recipients may come at once; beyond this TCP holds them back for us.
MAX_INPUT: Final = 4 * MAX_REPLY_BYTES


class Wire(asyncio.Protocol):
    """One conversation with one mail server. Used by one task at a time."""

    def __init__(self, transport: asyncio.Transport) -> None:
        self.on_lost: Callable[[], None] | None = None
        self._transport = transport
        self._input = bytearray()
        self._lost = False
        self._paused = False
        self._reading_paused = False
        self._waiter: asyncio.Future[None] | None = None
        transport.set_protocol(self)

    @property
    def is_usable(self) -> bool:
        """Open, and the other side said nothing unasked."""
        return not (self._lost or self._input or self._transport.is_closing())

    async def command(self, line: str, seconds: float) -> Reply:
        """Send one command line and return its reply; raises NextHopError and drops the line.

        A 421 that the server sent unasked before (RFC 5321 3.8) is the reply.
        """
        encoded = line.encode("utf-8", "surrogateescape")
        if b"\r" in encoded or b"\n" in encoded:
            raise ValueError("a line end inside a command")
        if self._input:
            reply = await self.reply(seconds)
            if reply.code == CLOSING:
                return reply
            raise self._give_up("spoke out of turn")
        if self._lost:
            raise self._give_up("closed the connection")
        self._transport.write(encoded + b"\r\n")
        return await self.reply(seconds)

    async def reply(self, seconds: float) -> Reply:
        """The next reply, within so many seconds; raises NextHopError and drops the line."""
        try:
            async with asyncio.timeout(seconds):
                while (parsed := parse_reply(self._input)) is None:
                    if self._lost:
                        raise self._give_up("closed the connection")
                    await self._wait()
        except TimeoutError:
            raise self._give_up(f"did not answer within {seconds:g} s") from None
        except ValueError as error:
            raise self._give_up(f"sent {error}") from None
        reply, length = parsed
        del self._input[:length]
        if self._reading_paused and len(self._input) <= MAX_INPUT:
            self._reading_paused = False
            self._transport.resume_reading()
        return reply

    async def content(
        self, message: bytes, expected: int, seconds: float
    ) -> tuple[tuple[Reply, ...], str]:
        """Send a message after 354; `expected` replies, and what went wrong ("" if nothing).

        A reply that did not come, or that makes no sense here, is NEXT_HOP_LOST.
        """
        replies: list[Reply] = []
        try:
            sent = await self._send(message, seconds)
            while len(replies) < expected:
                reply = await self.reply(seconds)
                if not (reply.is_transient or reply.is_permanent or (sent and reply.is_success)):
                    raise self._give_up("answered the content with nonsense")
                replies.append(reply)
                if not sent:
                    # Refused while we were still sending: that stands for all recipients.
                    self.abort()
                    return (reply,) * expected, ""
        except NextHopError as error:
            return (*replies, *[NEXT_HOP_LOST] * (expected - len(replies))), str(error)
        return tuple(replies), ""

    async def _send(self, message: bytes, seconds: float) -> bool:
        """Write all of `message` as fast as the other side takes it; False if it spoke before."""
        for piece in stuff(message):
            try:
                async with asyncio.timeout(seconds):
                    while self._paused and not (self._lost or self._input):
                        await self._wait()
            except TimeoutError:
                raise self._give_up(f"took no data for {seconds:g} s") from None
            if self._input:
                return False
            if self._lost:
                raise self._give_up("closed the connection")
            self._transport.write(piece)
        return True

    def close(self) -> None:
        """Say QUIT and close, without waiting for the answer."""
        if self.is_usable:
            self._transport.write(b"QUIT\r\n")
        self._transport.close()

    def abort(self) -> None:
        """Drop the connection at once; what was not sent yet is not sent."""
        self._lost = True
        self._transport.abort()

    def _give_up(self, reason: str) -> NextHopError:
        self.abort()
        return NextHopError(reason)

    async def _wait(self) -> None:
        self._waiter = asyncio.get_running_loop().create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Only called when a transport is made for us."""
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Keep input for the next `reply`; parse only when a line ended."""
        self._input += data
        if len(self._input) > MAX_INPUT and not self._reading_paused:
            self._reading_paused = True
            self._transport.pause_reading()
        if b"\n" in data or len(self._input) > MAX_REPLY_BYTES:
            self._wake()

    def eof_received(self) -> None:
        """The server is done talking: so are we."""
        self._lost = True
        self._wake()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002  # asyncio's signature
        """Wake whoever waits, and tell the pool."""
        self._lost = True
        self._wake()
        if self.on_lost is not None:
            self.on_lost()

    def pause_writing(self) -> None:
        """The other side takes data slower than we send it."""
        self._paused = True

    def resume_writing(self) -> None:
        """It caught up."""
        self._paused = False
        self._wake()
