"""The people of the SMTP tests: a next hop that follows a script, a client that sends raw bytes,
an examiner that remembers, and `relaying`, which puts filterd between them. All on real sockets.
"""

import asyncio
import contextlib
import dataclasses
import ipaddress
import re
import socket
import struct
from typing import ClassVar

from filterd.smtp import NextHopOptions, Outcome, Server, ServerConfig, SessionLimits, open_next_hop

PATIENCE = 20.0

LIMITS = SessionLimits(
    max_message_size=10_000_000,
    max_recipients=1000,
    max_line_length=65_536,
    max_header_size=1_048_576,
    command_timeout=PATIENCE,
    data_timeout=PATIENCE,
    bare_newline="normalize",
)
OPTIONS = NextHopOptions(hostname="filter.example", connect_timeout=5.0, timeout=PATIENCE)
LOOPBACK = (ipaddress.ip_network("127.0.0.0/8"), ipaddress.ip_network("::1/128"))
NOBODY = (ipaddress.ip_network("192.0.2.0/24"),)

EHLO = b"250-hop.example\r\n250-PIPELINING\r\n250-SIZE 20000000\r\n250-8BITMIME\r\n"
EHLO += b"250-ENHANCEDSTATUSCODES\r\n250-DSN\r\n250-SMTPUTF8\r\n"
EHLO += b"250 XFORWARD NAME ADDR PROTO HELO SOURCE\r\n"

# What ends a message for a server that takes any line end (what SMTP smuggling hopes for).
STRICT_END = re.compile(rb"\r\n\.\r\n")
LAX_END = re.compile(rb"(?:\r\n|\r|\n)\.(?:\r\n|\r|\n)")


class Close:
    """Instead of a reply: close the connection, after saying `last` if given."""

    def __init__(self, last=b"", *, half=False):
        self.last = last
        self.half = half


class Wait:
    """Reply only once the test says so: `gate.set()`."""

    def __init__(self, reply):
        self.reply = reply
        self.gate = asyncio.Event()
        self.reached = asyncio.Event()


@dataclasses.dataclass
class Received:
    """A message as the next hop got it: command lines, and content as it was on the wire."""

    mail: str
    rcpts: list
    stuffed: bytes

    @property
    def content(self):
        return (b"\r\n" + self.stuffed).replace(b"\r\n.", b"\r\n")[2:]


class FakeNextHop:
    """An SMTP or LMTP server that does as it is told.

    `script` maps a step to what is done there: bytes to send, `Close`, `Wait`, or a list of these
    for one time after another (then the default). Steps are "connect", verbs, and "." for the end
    of content. `lax` ends content at any kind of line end.
    """

    DEFAULTS: ClassVar = {
        "connect": b"220 hop.example ESMTP\r\n",
        "EHLO": EHLO,
        "LHLO": EHLO,
        "HELO": b"250 hop.example\r\n",
        "XFORWARD": b"250 2.0.0 Ok\r\n",
        "MAIL": b"250 2.1.0 Ok\r\n",
        "RCPT": b"250 2.1.5 Ok\r\n",
        "DATA": b"354 End data with <CR><LF>.<CR><LF>\r\n",
        ".": b"250 2.0.0 Ok: queued as 4F00\r\n",
        "RSET": b"250 2.0.0 Ok\r\n",
        "QUIT": b"221 2.0.0 Bye\r\n",
    }

    def __init__(self, script=None, *, lmtp=False, lax=False, context=None):
        self.script = {step: list(_listed(acts)) for step, acts in (script or {}).items()}
        self.lmtp = lmtp
        self.lax = lax
        self.context = context
        self.go_ahead = b"220 2.0.0 Go ahead\r\n"
        self.connections = 0
        self.open = 0
        self.commands = []
        self.messages = []
        self.events = asyncio.Queue()
        self._tasks = set()

    @property
    def url(self):
        return f"{'lmtp' if self.lmtp else 'smtp'}://127.0.0.1:{self.port}"

    async def __aenter__(self):
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_):
        await self.stop()

    async def stop(self):
        """Stop listening and drop every connection."""
        self._server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def saw(self, step):
        """Wait until a client took `step`, one of those of the script or "disconnect"."""
        async with asyncio.timeout(PATIENCE):
            while await self.events.get() != step:
                pass

    async def _serve(self, reader, writer):
        task = asyncio.current_task()
        self._tasks.add(task)
        self.connections += 1
        self.open += 1
        try:
            await self._converse(reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass
        finally:
            self._tasks.discard(task)
            self.open -= 1
            self.events.put_nowait("disconnect")
            writer.close()

    async def _converse(self, reader, writer):  # a protocol is its cases
        mail, rcpts, accepted = "", [], 0
        if not await self._act("connect", writer):
            return
        while True:
            line = (await reader.readuntil(b"\n")).decode().rstrip("\r\n")
            self.commands.append(line)
            verb = line.split(" ")[0].upper()
            if verb == "MAIL":
                mail, rcpts, accepted = line, [], 0
            elif verb == "RCPT":
                rcpts.append(line)
            if verb == "STARTTLS":
                writer.write(self.go_ahead)
                await writer.start_tls(self.context)
                continue
            reply = await self._act(verb, writer)
            if not reply or verb == "QUIT":
                return
            if verb == "RCPT" and reply.startswith(b"2"):
                accepted += 1
            if verb == "DATA" and reply.startswith(b"354"):
                stuffed = await self._content(reader)
                self.messages.append(Received(mail, rcpts, stuffed))
                for _ in range(accepted if self.lmtp else 1):
                    if not await self._act(".", writer):
                        return

    async def _content(self, reader):
        pattern = LAX_END if self.lax else STRICT_END
        data = bytearray(b"\r\n")
        searched = 0
        while not (end := pattern.search(data, searched)):
            searched = max(0, len(data) - 5)
            more = await reader.read(65_536)
            if not more:
                raise asyncio.IncompleteReadError(bytes(data), None)
            data += more
        # What follows the end would be the smuggled command.
        reader._buffer[:0] = data[end.end() :]
        return bytes(data[2 : end.start() + 2])

    async def _act(self, step, writer):
        planned = self.script.get(step)
        act = planned.pop(0) if planned else self.DEFAULTS.get(step, b"500 5.5.1 What?\r\n")
        self.events.put_nowait(step)
        if isinstance(act, Wait):
            act.reached.set()
            await act.gate.wait()
            act = act.reply
        if isinstance(act, Close):
            writer.write(act.last)
            if act.half:
                writer.write_eof()
                await asyncio.Event().wait()
            return b""
        writer.write(act)
        await writer.drain()
        return act


def _listed(acts):
    return acts if isinstance(acts, list) else [acts]


class RawClient:
    """Says exactly what it is told and returns exactly what it hears."""

    def __init__(self, port):
        self._port = port

    async def __aenter__(self):
        self.reader, self.writer = await asyncio.open_connection("127.0.0.1", self._port)
        return self

    async def __aexit__(self, *_):
        self.writer.close()

    def send(self, data):
        self.writer.write(data)

    def reset(self):
        """Go at once, with a TCP reset."""
        sock = self.writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()

    async def reply(self):
        """One whole reply, or what came before the connection closed."""
        lines = b""
        async with asyncio.timeout(PATIENCE):
            while line := await self.reader.readline():
                lines += line
                if line[3:4] != b"-":
                    break
        return lines

    async def say(self, line):
        self.send(line.encode() + b"\r\n")
        return await self.reply()

    async def rest(self):
        """All that comes until the connection closes."""
        async with asyncio.timeout(PATIENCE):
            with contextlib.suppress(ConnectionResetError):
                return await self.reader.read()
        return b""

    async def greet(self, hello="EHLO client.example"):
        assert (await self.reply()).startswith(b"220 ")
        return await self.say(hello)

    async def envelope(self, recipients=1):
        assert await self.say("MAIL FROM:<a@sender.example>") == b"250 2.1.0 Ok\r\n"
        for number in range(recipients):
            assert await self.say(f"RCPT TO:<r{number}@hop.example>") == b"250 2.1.5 Ok\r\n"

    async def data(self, stuffed):
        """DATA and content, which must hold its own end; the first reply to it."""
        assert (await self.say("DATA")).startswith(b"354 ")
        self.send(stuffed)
        return await self.reply()


class RememberingExaminer:
    """Passes messages on unchanged unless `decide` says otherwise, and remembers everything."""

    def __init__(self, decide=lambda message: Outcome(message, None)):
        self.decide = decide
        self.envelopes = []
        self.messages = []
        self.records = []
        self.arrived = asyncio.Event()
        self.recorded = asyncio.Event()

    async def examine(self, envelope, message):
        self.envelopes.append(envelope)
        self.messages.append(message)
        self.arrived.set()
        outcome = self.decide(message)
        if asyncio.iscoroutine(outcome):
            outcome = await outcome
        return outcome, len(self.messages)

    def delivered(self, token, replies):
        self.records.append((token, tuple(reply.code for reply in replies)))
        self.recorded.set()


@dataclasses.dataclass
class Relay:
    server: Server
    port: int
    examiner: RememberingExaminer
    next_hop: object

    def client(self):
        return RawClient(self.port)


@contextlib.asynccontextmanager
async def relaying(url, *, examiner=None, limits=None, options=None, quarantine=None, **settings):
    """filterd between a client and the next hop at `url`; `limits` and `options` by field name."""
    examiner = examiner or RememberingExaminer()
    options = dataclasses.replace(OPTIONS, **(options or {}))
    next_hop = open_next_hop(url, options)
    second = open_next_hop(quarantine, options) if quarantine else None
    settings = {
        "hostname": "filter.example",
        "allowed_clients": LOOPBACK,
        "trusted_peers": LOOPBACK,
        "max_connections": 100,
        **settings,
    }
    server = Server(
        ServerConfig(
            examiner=examiner,
            next_hop=next_hop,
            quarantine=second,
            limits=dataclasses.replace(LIMITS, **(limits or {})),
            **settings,
        )
    )
    sock = socket.create_server(("127.0.0.1", 0))
    port = sock.getsockname()[1]
    await server.start(sock)
    try:
        yield Relay(server, port, examiner, next_hop)
    finally:
        await server.drain(0)
        await next_hop.close()
        if second is not None:
            await second.close()
