"""Both ends of the daemon under load, in one event loop: clients, and a next hop that keeps count.

A message is known by its sender, `<m123@load.example>`, so that any content can be sent.
"""

import asyncio
import hashlib
import re
from collections import Counter
from dataclasses import dataclass, field

LIMIT = 1 << 27  # bytes that a reader holds at most
PATIENCE = 60.0
NUMBER = re.compile(rb"<m(\d+)@")


def sender(number):
    return f"m{number}@load.example"


@dataclass
class Sink:
    """A next hop that takes everything; `port` once it was started."""

    taken: Counter = field(default_factory=Counter)
    spoilt: list = field(default_factory=list)  # numbers of messages that came otherwise than sent
    expected: dict = field(default_factory=dict)  # number: (octets, their SHA-256) at the end
    port: int = 0
    _server: asyncio.Server | None = None

    async def start(self):
        self._server = await asyncio.start_server(
            self._serve, "127.0.0.1", 0, limit=LIMIT, backlog=1024
        )
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    def close(self):
        self._server.close()

    def expect(self, number, content):
        """Remember what must come out of `content`, which has CRLF line ends."""
        self.expected[number] = (len(content), hashlib.sha256(content).digest())

    async def _serve(self, reader, writer):
        number = None
        try:
            writer.write(b"220 sink.example ESMTP\r\n")
            while line := await reader.readline():
                verb = line[:4].upper()
                if verb == b"EHLO":
                    writer.write(
                        b"250-sink.example\r\n250-PIPELINING\r\n250-SIZE 60000000\r\n250 8BITMIME\r\n"
                    )
                elif verb == b"DATA":
                    writer.write(b"354 go on\r\n")
                    self._take(number, await reader.readuntil(b"\r\n.\r\n"))
                    writer.write(b"250 2.0.0 taken\r\n")
                elif verb == b"QUIT":
                    writer.write(b"221 2.0.0 bye\r\n")
                    return
                else:
                    if verb == b"MAIL":
                        found = NUMBER.search(line)
                        number = int(found[1]) if found else None
                    writer.write(b"250 2.0.0 fine\r\n")
                await writer.drain()
        except (OSError, asyncio.IncompleteReadError):
            pass  # filterd drops the connection of a message that it gives up
        finally:
            writer.close()

    def _take(self, number, raw):
        self.taken[number] += 1
        size, digest = self.expected.pop(number, (0, None))
        content = raw[:-3].replace(b"\r\n..", b"\r\n.")
        if digest is not None and hashlib.sha256(content[-size:]).digest() != digest:
            self.spoilt.append(number)


class Gone(Exception):
    """The server left without a reply."""


class Client:
    """One connection. Replies are (code, text); what the server says on its own comes first."""

    def __init__(self, reader, writer):
        self._reader = reader
        self._writer = writer

    @classmethod
    async def connect(cls, port, address="127.0.0.1"):
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", port, local_addr=(address, 0), limit=LIMIT
        )
        return cls(reader, writer)

    async def reply(self):
        """The next reply; Gone if the connection ends before it, TimeoutError if none comes."""
        text = b""
        async with asyncio.timeout(PATIENCE):
            while True:
                try:
                    line = await self._reader.readline()
                except OSError:
                    line = b""
                if not line:
                    raise Gone(text.decode(errors="replace"))
                text += line
                if line[3:4] != b"-":
                    return int(line[:3]), text.decode(errors="replace")

    async def say(self, line):
        await self.write(line.encode() + b"\r\n")
        return await self.reply()

    async def write(self, octets):
        """Send; False if the server has left. It has said why, and that is still to be read."""
        if self._writer.is_closing():
            return False
        try:
            self._writer.write(octets)
            await self._writer.drain()
        except OSError:
            return False
        return True

    def leave(self):
        self._writer.close()

    async def greet(self):
        """The first refusal of greeting and EHLO, or None."""
        code, text = await self.reply()
        if code == 220:
            code, text = await self.say("EHLO client.example")
        return None if code == 250 else (code, text)

    async def open(self, number):
        """Up to the 354; the first refusal, or None."""
        for line in (f"MAIL FROM:<{sender(number)}>", "RCPT TO:<you@example.com>", "DATA"):
            code, text = await self.say(line)
            if code not in (250, 354):
                return code, text
        return None

    async def open_and_reset(self):
        """A transaction that comes to nothing."""
        for line in ("MAIL FROM:<nobody@load.example>", "RCPT TO:<you@example.com>", "RSET"):
            await self.say(line)

    async def finish(self, content):
        """The content, and the reply to it."""
        await self.write(stuffed(content))
        return await self.reply()


def stuffed(content):
    """`content` as it goes after DATA: dots doubled at line ends, and the end behind it."""
    content = content.replace(b"\r\n.", b"\r\n..")
    if content.startswith(b"."):
        content = b"." + content
    return content + (b"" if content.endswith(b"\r\n") else b"\r\n") + b".\r\n"
