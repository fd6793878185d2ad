"""An SMTP client that keeps every octet of every reply."""

from __future__ import annotations

import re
import socket
from typing import Self

from servers.ports import LOOPBACK

LAST_LINE = re.compile(rb"\d{3} ")


class RawClient:
    """One connection; `say` a line, get the whole reply as it came. b"" means the server left."""

    def __init__(self, port: int, timeout: float = 60) -> None:
        self._socket = socket.create_connection((LOOPBACK, port), timeout)
        self._file = self._socket.makefile("rb")
        self.greeting = self.reply()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Leave without a word."""
        self._file.close()
        self._socket.close()

    def reply(self) -> bytes:
        """The next reply with all its lines; b"" if the connection ends before it does."""
        lines = []
        while True:
            try:
                line = self._file.readline()
            except ConnectionError:
                return b""
            if not line:
                return b""
            lines.append(line)
            if LAST_LINE.match(line):
                return b"".join(lines)

    def send(self, data: bytes) -> None:
        """Send as is; what the server will make of it shows in its reply."""
        self._socket.sendall(data)

    def drip(self, data: bytes) -> None:
        """Send one octet at a time, each on its way before the next."""
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for octet in data:
            self._socket.sendall(bytes([octet]))

    def say(self, line: str) -> bytes:
        """One command and its reply."""
        self.send(line.encode() + b"\r\n")
        return self.reply()

    def begin(self, sender: str, recipients: list[str], greeting: str = "EHLO") -> None:
        """EHLO to the 354 of DATA; AssertionError on anything but yes."""
        commands = [f"{greeting} client.example.net", f"MAIL FROM:<{sender}> BODY=8BITMIME"]
        for command in [*commands, *(f"RCPT TO:<{recipient}>" for recipient in recipients)]:
            reply = self.say(command)
            assert reply.startswith(b"250"), (command, reply)
        reply = self.say("DATA")
        assert reply.startswith(b"354"), reply

    def content(self, message: bytes) -> None:
        """A message with CRLF lines, dot-stuffed, and the end of data; does not wait."""
        stuffed = message.replace(b"\r\n.", b"\r\n..")
        if stuffed.startswith(b"."):
            stuffed = b"." + stuffed
        self.send(stuffed + b".\r\n")
