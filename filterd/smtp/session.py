"""One client connection: lines in, replies out, clocks, TLS and PROXY around a Conversation.

A subclass of aiosmtpd's SMTP, which does the connection, EOF and STARTTLS; the command loop is
our own, because aiosmtpd's answers every exception with a permanent error, closes silently on
timeouts and reads content line by line. All that touches aiosmtpd's inside is in this module.
"""

from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING, Final

import structlog
from aiosmtpd.proxy_protocol import V2_CMD, get_proxy
from aiosmtpd.smtp import SMTP, TLSSetupException

from filterd.smtp import content, verbs
from filterd.smtp.commands import CommandError
from filterd.smtp.config import ServerConfig, SessionLimits, is_within
from filterd.smtp.conversation import Conversation
from filterd.smtp.examiner import Envelope, Examiner, Outcome
from filterd.smtp.replies import (
    INTERNAL,
    MAKE_ROOM,
    NOT_ALLOWED,
    SHUTTING_DOWN,
    START_INPUT,
    TIMED_OUT,
    TOO_LARGE,
    TOO_MANY_CONNECTIONS,
    TOO_MANY_OF_CLIENT,
    Reply,
)

if TYPE_CHECKING:
    from filterd.smtp.server import Server

__all__ = ["Envelope", "Examiner", "Outcome", "Session", "SessionLimits"]

READ_BUFFER: Final = 65_536
PROXY_TIMEOUT: Final = 5.0
FAREWELL_TIMEOUT: Final = 5.0
# aiosmtpd has one timer for the whole session; ours are per command and per message.
NO_TIMEOUT: Final = 365 * 86_400.0

PREMATURE: Final = Reply(503, "5.5.1 Content sent before the reply to DATA")
IMPATIENT: Final = Reply(421, "4.7.0 Too many errors or idle commands, closing connection")

log = structlog.get_logger(__name__)


class Session(SMTP):  # type: ignore[misc]  # aiosmtpd is untyped for mypy
    """One client connection. aiosmtpd starts `_handle_client` and cancels it when the peer goes."""

    line_length_limit = READ_BUFFER  # what aiosmtpd gives its StreamReader as limit

    def __init__(self, config: ServerConfig, server: Server) -> None:
        super().__init__(
            None,
            hostname=config.hostname,
            tls_context=config.tls,
            timeout=NO_TIMEOUT,
            loop=asyncio.get_running_loop(),
        )
        self._config = config
        self._server = server
        self._conversation: Conversation | None = None
        self._patience = verbs.PATIENCE
        self._reading = False  # between commands
        self._half_closed = False
        self._stuck = False

    def __dir__(self) -> list[str]:
        """Nothing: aiosmtpd looks three times per connection for verbs and AUTH mechanisms, which
        are in tables here, and that costs 0.2 ms (tests/bench/bench_smtp.py).
        """
        return []

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A new connection, or the same one again after a TLS handshake."""
        if self.transport is None:
            self._server.register(self)
            # asyncio does this only if the listening socket was made with IPPROTO_TCP.
            sock = transport.get_extra_info("socket")
            if sock is not None and sock.family in (socket.AF_INET, socket.AF_INET6):
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        super().connection_made(transport)

    def connection_lost(self, error: Exception | None) -> None:
        """The connection is gone; a hand-over underway goes on without it."""
        super().connection_lost(error)
        # Not left to `_handle_client`, which never ran if it was cancelled before its first step.
        self._server.forget(self)

    def eof_received(self) -> bool | None:
        """The client will send no more. While a message is handed over it still gets its reply."""
        if self._conversation is not None and self._conversation.handing_over:
            self._half_closed = True
            return self.session.ssl is None  # TLS cannot be half closed
        super().eof_received()
        # Have the transport closed here: if `_handle_client` is cancelled before its first step,
        # as with who connects and leaves at once, nobody else would do it.
        return False

    # Called by the server

    def shut_down(self) -> None:
        """Say 421 and close if nothing is underway; if something is, the loop sees to it."""
        in_transaction = self._conversation is not None and self._conversation.in_transaction
        if self._reading and not in_transaction and self.transport is not None:
            self._hang_up(SHUTTING_DOWN)

    def make_room(self) -> None:
        """Say 421 and close; only while the client is waited for."""
        log.info("idle_client_sent_away", connections=self._server.connections)
        self._hang_up(MAKE_ROOM)

    def kill(self) -> None:
        """Drop the connection."""
        if self.transport is not None:
            self.transport.abort()

    # The session

    async def _handle_client(self) -> None:
        try:
            await self._serve()
        except TimeoutError:
            await self._farewell(TIMED_OUT)
        except (OSError, asyncio.IncompleteReadError):  # OSError: TLS and routes break too
            log.debug("client_left")
        except asyncio.LimitOverrunError:
            await self._farewell(verbs.TOO_LONG)
        except TLSSetupException as error:
            log.info("tls_handshake_failed")
            self.connection_lost(error)  # the TLS layer tells nobody of a handshake that failed
        except MemoryError:
            log.exception("out of memory, another worker takes over")
            self._config.exhausted()
            await self._farewell(INTERNAL)
        except Exception:  # a bug: the client is told to come again, and nothing more
            log.exception("session_failed")
            await self._farewell(INTERNAL)
        finally:
            if self._conversation is not None:
                await self._conversation.abandon()
            self._close()
            self._server.forget(self)

    async def _serve(self) -> None:
        if self._server.connections > self._config.max_connections:
            await self._answer((TOO_MANY_CONNECTIONS,))
            return
        address = await self._find_client()
        if not is_within(address, self._config.allowed_clients):
            log.info("client_refused", client=address)
            await self._answer((NOT_ALLOWED,))
            return
        if not self._server.is_within_share(self, address):
            await self._answer((TOO_MANY_OF_CLIENT,))
            return
        conversation = Conversation(self._config, address, self._server.keep)
        conversation.offers_starttls = self._config.tls is not None
        self._conversation = conversation
        await self._answer((Reply(220, f"{self._config.hostname} ESMTP filterd"),))
        while not (conversation.closing or self._half_closed):
            if self._server.draining and not conversation.in_transaction:
                await self._answer((SHUTTING_DOWN,))
                return
            await self._obey(conversation, await self._read_command())

    async def _find_client(self) -> str:
        """The client's address: the peer's, or what a PROXY header of a trusted peer says.

        Empty if there is none, which is in no network.
        """
        peer = self.session.peer
        address = str(peer[0]) if isinstance(peer, tuple) else ""
        if not self._config.proxy_protocol:
            return address
        if not is_within(address, self._config.trusted_peers):
            return ""
        async with asyncio.timeout(PROXY_TIMEOUT):
            proxy = await get_proxy(self._reader)
        if not proxy.valid:
            return ""
        # LOCAL (a health check of the proxy itself) and UNKNOWN carry no address of a client.
        if proxy.src_addr is None or proxy.command == V2_CMD.LOCAL:
            return address
        return str(proxy.src_addr)

    async def _read_command(self) -> bytes:
        """The next line; IncompleteReadError when the client left."""
        self._reading = True
        self._server.waits(self)
        try:
            async with asyncio.timeout(self._config.limits.command_timeout):
                line: bytes = await self._reader.readuntil(b"\n")
        finally:
            self._reading = False
            self._server.works(self)
        return line

    async def _obey(self, conversation: Conversation, line: bytes) -> None:
        text = line[:-1].removesuffix(b"\r").decode("utf-8", "surrogateescape")
        verb, _, argument = text.partition(" ")
        if verb.isascii():  # or else "ı" and "ſ" would become I and S
            verb = verb.upper()
        try:
            self._check_line(verb, text, line)
            reply = await self._execute(conversation, verb, argument.strip(" "))
            cost = verbs.cost(verb, reply)
        except CommandError as error:
            reply, cost = error.reply, verbs.ERROR_COST
        if reply is not None:
            await self._answer((reply,))
        self._patience -= cost
        if self._patience <= 0 and not conversation.closing:
            conversation.closing = True
            await self._answer((IMPATIENT,))

    def _check_line(self, verb: str, text: str, line: bytes) -> None:
        verbs.check_line(verb, text, len(line))
        if self._config.limits.bare_newline == "reject" and not line.endswith(b"\r\n"):
            raise CommandError(verbs.BARE_NEWLINE)

    async def _execute(self, conversation: Conversation, verb: str, argument: str) -> Reply | None:
        """Do as told; the reply to give, or None if it was given. Raises CommandError."""
        if verb == "DATA":
            return await self._take_message(conversation, argument)
        if verb == "STARTTLS":
            return await self._start_tls(conversation, argument)
        method = verbs.CONVERSING.get(verb)
        if method is not None:
            return await method(conversation, argument)
        if verb in verbs.FORBIDDEN:
            conversation.closing = True
        fixed = verbs.FIXED.get(verb)
        if fixed is None or not fixed.is_success:
            raise CommandError(fixed or verbs.NOT_RECOGNIZED)
        return fixed

    async def _take_message(self, conversation: Conversation, argument: str) -> Reply | None:
        """DATA, the content, and its replies."""
        limits = self._config.limits
        reply = PREMATURE
        if not content.input_waits(self._reader):
            reply = await conversation.data(argument)
        if content.input_waits(self._reader):
            # Content sent too early, or else it would be obeyed as commands or lost.
            await conversation.abandon()
            conversation.closing = True
            return PREMATURE
        if reply.code != START_INPUT:
            return reply
        content.begin(self._reader)
        await self._answer((reply,))
        async with asyncio.timeout(limits.data_timeout):
            message = await content.receive(self._reader, limits.max_message_size)
        prepared = TOO_LARGE if message is None else content.prepare(message, limits)
        if isinstance(prepared, Reply):
            await self._answer(await conversation.refuse(prepared))
            return None
        await conversation.deliver(prepared, self._answer)
        self._patience = verbs.PATIENCE
        return None

    async def _start_tls(self, conversation: Conversation, argument: str) -> Reply | None:
        """STARTTLS; aiosmtpd discards what the client sent in plain text behind it."""
        if argument:
            raise CommandError(Reply(501, "5.5.4 Syntax: STARTTLS"))
        if not conversation.offers_starttls:
            raise CommandError(verbs.NOT_IMPLEMENTED)
        await conversation.restart()
        try:
            async with asyncio.timeout(self._config.limits.command_timeout):
                await super().smtp_STARTTLS(None)
        except TimeoutError:
            raise TLSSetupException from None
        conversation.offers_starttls = False
        return None

    # Output

    async def push(self, status: str) -> None:
        """What aiosmtpd says itself, which is "220 Ready to start TLS"."""
        code, _, text = status.partition(" ")
        await self._answer((Reply(int(code), f"{code[0]}.0.0 {text}"),))

    async def _answer(self, replies: tuple[Reply, ...]) -> None:
        """Send replies; OSError if the client is gone, TimeoutError if it does not read."""
        if self.transport is None:
            raise ConnectionResetError
        self._writer.write(b"".join([reply.encode() for reply in replies]))
        try:
            async with asyncio.timeout(self._config.limits.command_timeout):
                await self._writer.drain()
        except TimeoutError:
            self._stuck = True
            raise

    def _hang_up(self, reply: Reply) -> None:
        """A last word between commands, without waiting for anybody."""
        if self.transport is not None:
            self._writer.write(reply.encode())
            self.transport.close()

    async def _farewell(self, reply: Reply) -> None:
        """A last word, for who still listens."""
        try:
            async with asyncio.timeout(FAREWELL_TIMEOUT):
                await self._answer((reply,))
        except OSError:  # TimeoutError is one
            log.debug("client_left")

    def _close(self) -> None:
        if self.transport is None:
            return
        if self._stuck:
            self.transport.abort()  # closing would wait for the client to read
        else:
            self.transport.close()
