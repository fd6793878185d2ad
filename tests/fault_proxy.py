"""The line between filterd and a next hop, for tests: it breaks where and as they say.

It passes SMTP on step by step, so that a fault falls on a known one: "connect", a verb, "content"
(some of it passed on) or "." (all of it). A fault on a step that is `taken` comes after the next
hop did it: then only its reply is lost.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import socket
import struct
import time
from collections.abc import Callable
from dataclasses import dataclass

END = b"\r\n.\r\n"
GOING = b"421 4.3.2 Going down\r\n"
NOT_TAKEN = b"451 4.3.0 Not taken\r\n"
GARBAGE = b"\x00\xffHTTP/1.1 200 OK\r\n"
ENDLESS_LINE = b"250-" + b"x" * 60 + b"\r\n"
LONG_LINE = b"250-" + b"x" * 65_536
RESET = struct.pack("ii", 1, 0)


@dataclass(frozen=True)
class Fault:
    """What breaks: `kind` is a method of `_Session` without its underscore."""

    kind: str
    taken: bool = False

    def __str__(self) -> str:
        return f"{self.kind}{' after it was taken' if self.taken else ''}"


# Those that answer nothing of use; `cut` says half a reply, `drip` says it a byte at a time.
KINDS = (
    "reset", "close", "half_close", "hang", "garbage", "endless", "long", "cut", "drip", "going",
)  # fmt: skip
# Not one that loses anything: the reply comes, and then the other side has nothing more to say.
ANSWERED_THEN_CLOSED = Fault("last_word", taken=True)


@dataclass(frozen=True)
class Happening:
    """A fault as it happened: on which step of which transaction, by its MAIL command."""

    at: float  # monotonic
    step: str
    fault: Fault
    mail: str
    reply: bytes  # what the next hop had answered, if it was asked

    @property
    def lost_a_reply(self) -> bool:
        """The next hop took a message, and filterd may not have heard of it."""
        return self.fault.taken and self.step == "." and self.fault != ANSWERED_THEN_CLOSED


Choose = Callable[[str, str], Fault | None]  # step, MAIL command


class FaultProxy:
    """Listens on `port` and talks to the server on `target`; `choose` is asked before each step.

    `pace` is seconds a byte where a fault is slow.
    """

    def __init__(self, target: int, choose: Choose = lambda _step, _mail: None, pace: float = 0.05):
        self.target = target
        self.choose = choose
        self.pace = pace
        self.happened: list[Happening] = []
        self.broken = asyncio.Event()  # something happened
        self.connections = itertools.count()
        self.port = 0
        self._tasks: set[asyncio.Task] = set()
        self._server: asyncio.Server | None = None

    @property
    def url(self) -> str:
        return f"smtp://127.0.0.1:{self.port}"

    async def __aenter__(self):
        await self.listen()
        return self

    async def __aexit__(self, *_):
        await self.refuse()

    async def listen(self):
        """Take connections, on the port of before if there was one."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def refuse(self):
        """Refuse connections and reset those that there are."""
        if self._server is not None:
            self._server.close()
        self._server = None
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _serve(self, reader, writer):
        task = asyncio.current_task()
        self._tasks.add(task)
        next(self.connections)
        session = _Session(self, reader, writer)
        # OSError: either side may go whenever it likes.
        try:
            with contextlib.suppress(OSError, asyncio.IncompleteReadError, _Over):
                await session.run()
        except asyncio.CancelledError:
            fault = Fault("refuse", taken=session.step == ".")
            session.note(fault, session.step, b"")
            reset(writer)
        finally:
            self._tasks.discard(task)
            session.leave()


class _Over(Exception):
    """The session ends here."""


class _Session:
    """One connection of filterd's and the one to the next hop that stands behind it."""

    def __init__(self, proxy, reader, writer):
        self._proxy = proxy
        self._reader = reader
        self._writer = writer
        self._hop_writer = None
        self._mail = ""
        self.step = ""  # the last that the next hop was given

    def leave(self):
        for writer in (self._writer, self._hop_writer):
            if writer is not None:
                writer.close()

    async def run(self):
        fault = self._proxy.choose("connect", "")
        if fault is not None and not fault.taken:
            await self._break(fault, "connect", b"")
        self._hop_reader, self._hop_writer = await asyncio.open_connection(
            "127.0.0.1", self._proxy.target, limit=2**20
        )
        await self._answer("connect", fault)
        while True:
            line = await self._command()
            verb = line[:4].decode("ascii", "replace").upper().strip()
            if verb == "MAIL":
                self._mail = line.decode("utf-8", "replace").strip()
            reply = await self._step(verb, line)
            if verb == "DATA" and reply.startswith(b"354"):
                await self._content()
            if verb == "QUIT":
                return

    async def _command(self):
        """The next line of filterd; what the hop says unasked is passed on meanwhile."""
        command = asyncio.ensure_future(self._reader.readuntil(b"\n"))
        said = asyncio.ensure_future(self._hop_reader.readline())
        try:
            while True:
                await asyncio.wait({command, said}, return_when=asyncio.FIRST_COMPLETED)
                if said.done():
                    if not said.result():
                        raise _Over
                    self._writer.write(said.result())
                    said = asyncio.ensure_future(self._hop_reader.readline())
                if command.done():
                    return command.result()
        finally:
            for task in (command, said):
                task.cancel()
            await asyncio.gather(command, said, return_exceptions=True)

    async def _step(self, step, data):
        fault = self._proxy.choose(step, self._mail)
        if fault is not None and not fault.taken:
            await self._break(fault, step, b"")
        self.step = step
        self._hop_writer.write(data)
        await self._hop_writer.drain()
        return await self._answer(step, fault)

    async def _answer(self, step, fault):
        """Pass the hop's reply on, unless a fault comes in between."""
        reply = b""
        while not reply or reply.splitlines()[-1][3:4] == b"-":
            line = await self._hop_reader.readline()
            if not line:
                raise _Over
            reply += line
        if fault is not None:
            await self._break(fault, step, reply)
        self._writer.write(reply)
        await self._writer.drain()
        return reply

    async def _content(self):
        content = b"\r\n"
        while not content.endswith(END):
            content += await self._reader.readuntil(b"\n")
        content = content[2:]
        fault = self._proxy.choose("content", self._mail)
        if fault is not None:
            self._hop_writer.write(content[: len(content) // 2])
            await self._hop_writer.drain()
            await self._break(fault, "content", b"")
        await self._step(".", content)

    def note(self, fault, step, reply):
        happening = Happening(time.monotonic(), step, fault, self._mail, reply)
        self._proxy.happened.append(happening)
        self._proxy.broken.set()

    async def _break(self, fault, step, reply):
        self.note(fault, step, reply)
        await getattr(self, f"_{fault.kind}")(reply or NOT_TAKEN)
        raise _Over

    # What may break. Each ends with the connection.

    async def _reset(self, _reply):
        reset(self._writer)
        if self._hop_writer is not None:
            reset(self._hop_writer)

    async def _close(self, _reply):
        self._writer.close()

    async def _half_close(self, _reply):
        self._writer.write_eof()
        await self._reader.read()

    async def _last_word(self, reply):
        self._writer.write(reply)
        await self._half_close(reply)

    async def _hang(self, _reply):
        await self._reader.read()  # until filterd has had enough

    async def _going(self, _reply):
        self._writer.write(GOING)
        self._writer.close()

    async def _garbage(self, _reply):
        self._writer.write(GARBAGE)
        await self._reader.read()

    async def _cut(self, reply):
        self._writer.write(reply[: len(reply) // 2])
        self._writer.close()

    async def _endless(self, _reply):
        await self._pour(ENDLESS_LINE)

    async def _long(self, _reply):
        await self._pour(LONG_LINE)

    async def _pour(self, data):
        while True:
            self._writer.write(data)
            await self._writer.drain()

    async def _drip(self, reply):
        """A byte at a time; filterd may lose patience before the end."""
        for byte in reply:
            self._writer.write(bytes([byte]))
            await self._writer.drain()
            await asyncio.sleep(self._proxy.pace)
        await self._reader.read()


def reset(writer):
    """Go at once, with a TCP reset."""
    sock = writer.get_extra_info("socket")
    with contextlib.suppress(OSError):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    writer.transport.abort()
