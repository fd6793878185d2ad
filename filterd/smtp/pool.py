"""SMTP and LMTP next hops: transactions over pooled connections.

A transaction never moves to another connection once the next hop has answered in it, and content
is sent once. Only a reused connection that turns out dead at its first command is replaced.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import structlog

from filterd.errors import NextHopError
from filterd.smtp.connect import Connection, Connector, Target
from filterd.smtp.replies import CLOSING, NEXT_HOP_LOST, START_INPUT, Reply

if TYPE_CHECKING:
    from filterd.smtp.transaction import Capabilities, NextHopOptions, Reached, Transaction

# A hop that takes longer than this to forget a transaction loses the connection, not our patience.
RESET_TIMEOUT = 5.0

log = structlog.get_logger(__name__)


class PooledNextHop:
    """A mail server, `smtp://` or `lmtp://`, and the idle connections to it, last used first."""

    def __init__(self, url: str, target: Target, options: NextHopOptions, reached: Reached) -> None:
        self.url = url
        self.per_recipient = target.lmtp
        self.timeout = options.timeout
        self._options = options
        self._reached = reached
        self._connector = Connector(target, options)
        self._idle: list[Connection] = []
        self._capabilities: Capabilities | None = None
        self._closed = False

    async def capabilities(self) -> Capabilities:
        """The last known; connects if there are none yet. Raises NextHopError."""
        if self._capabilities is None:
            connection = await self.connect()
            self.park(connection)
            return connection.capabilities
        return self._capabilities

    async def probe(self) -> None:
        """A new connection, kept for the next mail; raises NextHopError."""
        self.park(await self.connect())

    async def begin(self) -> Transaction:
        """A transaction, on the connection used last if it is still good; raises NextHopError."""
        while self._idle:
            connection = self._idle.pop()
            self._forget(connection)
            if connection.wire.is_usable:
                return PooledTransaction(self, connection, reused=True)
            connection.wire.abort()
        return PooledTransaction(self, await self.connect(), reused=False)

    async def connect(self) -> Connection:
        """A new connection; raises NextHopError, which names the hop."""
        try:
            connection = await self._connector.connect()
        except NextHopError as error:
            named = NextHopError(f"{self.url}: {error}")
            self._reached(named)
            raise named from None
        self._reached(None)
        self._capabilities = connection.capabilities
        return connection

    def park(self, connection: Connection) -> None:
        """Keep a connection that is between transactions, or say QUIT on it."""
        full = len(self._idle) >= self._options.pool_size
        if full or self._closed or not connection.wire.is_usable:
            connection.wire.close()
            return
        connection.wire.on_lost = lambda: self._drop(connection)
        connection.expiry = asyncio.get_running_loop().call_later(
            self._options.idle, self._expire, connection
        )
        self._idle.append(connection)

    async def close(self) -> None:
        """Close what is idle, and from now on what comes back."""
        self._closed = True
        while self._idle:
            self._expire(self._idle[-1])

    def _expire(self, connection: Connection) -> None:
        self._drop(connection)
        connection.wire.close()

    def _drop(self, connection: Connection) -> None:
        if connection in self._idle:
            self._idle.remove(connection)
        self._forget(connection)

    @staticmethod
    def _forget(connection: Connection) -> None:
        connection.wire.on_lost = None
        if connection.expiry is not None:
            connection.expiry.cancel()
            connection.expiry = None


class PooledTransaction:
    """One mail transaction on one connection."""

    def __init__(self, hop: PooledNextHop, connection: Connection, *, reused: bool) -> None:
        self._hop = hop
        self._connection: Connection | None = connection
        self._reused = reused
        self._recipients = 0
        # What would leak into the next transaction if the connection were simply put back.
        self._in_mail = False
        self._forwarded = False

    async def xforward(self, arguments: str) -> Reply:
        """Pass on XFORWARD."""
        self._forwarded = True
        return await self._command(f"XFORWARD {arguments}")

    async def mail(self, sender: str, parameters: str) -> Reply:
        """MAIL FROM."""
        reply = await self._command(f"MAIL FROM:<{sender}> {parameters}".rstrip(" "))
        self._in_mail = reply.is_success
        return reply

    async def rcpt(self, recipient: str, parameters: str) -> Reply:
        """RCPT TO."""
        reply = await self._command(f"RCPT TO:<{recipient}> {parameters}".rstrip(" "))
        self._recipients += reply.is_success
        return reply

    async def data(self) -> Reply:
        """DATA: 354, or a refusal."""
        return await self._command("DATA", is_data=True)

    async def content(self, message: bytes) -> tuple[Reply, ...]:
        """Hand the message over, once; see `Transaction.content`."""
        expected = self._recipients if self._hop.per_recipient else 1
        if self._connection is None:
            return (NEXT_HOP_LOST,) * expected
        replies, failure = await self._connection.wire.content(message, expected, self._hop.timeout)
        self._in_mail = self._forwarded = False
        if failure:
            log.warning("next_hop_reply_lost", hop=self._hop.url, reason=failure)
        if failure or any(reply.code == CLOSING for reply in replies):
            await self.abort()
        return replies

    async def reset(self) -> Reply:
        """RSET."""
        reply = await self._command("RSET")
        if reply.is_success:
            self._in_mail = False
            self._recipients = 0
        return reply

    async def abort(self) -> None:
        """Drop the connection."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.wire.abort()

    async def release(self) -> None:
        """Back to the pool, after a RSET if a transaction is open.

        After an XFORWARD without a message the connection is closed instead: only a message is
        sure to end the attributes' life, and they must not stick to another client's mail.
        """
        connection, self._connection = self._connection, None
        if connection is None:
            return
        if self._in_mail and not self._forwarded:
            try:
                reply = await connection.wire.command("RSET", RESET_TIMEOUT)
            except NextHopError:
                return
            except asyncio.CancelledError:
                connection.wire.abort()
                raise
            self._in_mail = not reply.is_success
        if self._in_mail or self._forwarded:
            connection.wire.close()
        else:
            self._hop.park(connection)

    async def _command(self, line: str, *, is_data: bool = False) -> Reply:
        reused, self._reused = self._reused, False
        try:
            reply = await self._send(line)
        except NextHopError:
            if not reused:
                raise
        else:
            if not (reused and reply.code == CLOSING):
                return await self._check(reply, is_data=is_data)
        # A connection that went stale in the pool: nobody need know.
        await self.abort()
        self._connection = await self._hop.connect()
        return await self._check(await self._send(line), is_data=is_data)

    async def _send(self, line: str) -> Reply:
        if self._connection is None:
            raise NextHopError(f"{self._hop.url}: the connection is gone")
        try:
            return await self._connection.wire.command(line, self._hop.timeout)
        except NextHopError as error:
            self._connection = None
            raise NextHopError(f"{self._hop.url}: {error}") from None

    async def _check(self, reply: Reply, *, is_data: bool) -> Reply:
        """Let a reply through that an MTA may give here; break the connection on any other."""
        expected = reply.is_transient or reply.is_permanent
        expected |= reply.code == START_INPUT if is_data else reply.is_success
        if not expected:
            await self.abort()
            raise NextHopError(f"{self._hop.url}: answered {reply.code} where it makes no sense")
        if reply.code == CLOSING:
            await self.abort()
        return reply
