"""A next hop that does as the test says: which recipients it takes, what it answers to content."""

from __future__ import annotations

import contextlib
import socket
import socketserver
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from servers.ports import LOOPBACK

if TYPE_CHECKING:
    from collections.abc import Callable

EXTENSIONS = ("PIPELINING", "SIZE 52428800", "ENHANCEDSTATUSCODES", "8BITMIME", "DSN", "SMTPUTF8")
TAKEN = b"250 2.0.0 Ok: taken by the next hop\r\n"


@dataclass(frozen=True)
class Received:
    """One whole message as the next hop saw it; `content` has CRLF lines and no dot-stuffing."""

    sender: str
    recipients: tuple[str, ...]
    content: bytes


@dataclass
class NextHop:
    """Replies are bytes with CRLF, any number of lines; a 421 closes the connection after it.

    `at_rcpt` and `at_dot` may be replaced between messages. A message counts as taken before its
    2xx is sent, as in a server that writes to disk first.
    """

    at_rcpt: Callable[[str], bytes] = lambda _recipient: b"250 2.1.5 Ok\r\n"
    at_dot: Callable[[Received], bytes] = lambda _message: TAKEN
    taken: list[Received] = field(default_factory=list)
    refused: list[Received] = field(default_factory=list)
    port: int = 0
    _server: socketserver.ThreadingTCPServer | None = None
    _connections: set[socket.socket] = field(default_factory=set)

    def start(self) -> None:
        """Listen on a free port; when started again, on the same as before."""
        hop = self

        class Handler(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                hop._connections.add(self.connection)
                try:
                    hop.converse(self)
                except ConnectionError:
                    return  # filterd was killed: that is what some tests do
                finally:
                    hop._connections.discard(self.connection)

        class Server(socketserver.ThreadingTCPServer):
            daemon_threads = True
            allow_reuse_address = True
            request_queue_size = 128  # with five, a burst waits for TCP to try again
            block_on_close = False

        self._server = Server((LOOPBACK, self.port), Handler)
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def stop(self) -> None:
        """Listen no more, and hang up on whoever is connected."""
        if self._server is None:
            return
        self._server.shutdown()
        self._server.server_close()
        self._server = None
        for connection in list(self._connections):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    @property
    def url(self) -> str:
        """What filterd's setting `next_hop` says."""
        return f"smtp://{LOOPBACK}:{self.port}"

    def taken_by_recipient(self) -> set[str]:
        """Every recipient of a message that was taken."""
        return {recipient for message in list(self.taken) for recipient in message.recipients}

    def converse(self, connection: socketserver.StreamRequestHandler) -> None:
        """One session. Knows what filterd may say and nothing more."""
        read, write = connection.rfile, connection.wfile.write
        write(b"220 hop.example.test ESMTP\r\n")
        sender, recipients = "", []
        while line := read.readline():
            command = line.decode().strip()
            verb = command[:4].upper()
            if verb == "DATA":
                write(b"354 Go on\r\n")
                message = Received(sender, tuple(recipients), _read_content(read))
                reply = self.at_dot(message)
                (self.taken if reply.startswith(b"2") else self.refused).append(message)
                sender, recipients = "", []
            elif verb == "EHLO":
                reply = _ehlo()
            elif verb == "MAIL":
                sender, reply = _address(command), b"250 2.1.0 Ok\r\n"
            elif verb == "RCPT":
                reply = self.at_rcpt(_address(command))
                if reply.startswith(b"2"):
                    recipients.append(_address(command))
            elif verb == "RSET":
                sender, recipients, reply = "", [], b"250 2.0.0 Ok\r\n"
            else:
                reply = b"221 2.0.0 Bye\r\n" if verb == "QUIT" else b"250 2.0.0 Ok\r\n"
            write(reply)
            if verb == "QUIT" or reply.startswith(b"421"):
                return


def _read_content(read) -> bytes:
    lines = []
    while (line := read.readline()) != b".\r\n":
        if not line:
            raise ConnectionResetError("the client left within a message")
        lines.append(line.removeprefix(b"."))
    return b"".join(lines)


def _address(command: str) -> str:
    return command.partition("<")[2].partition(">")[0]


def _ehlo() -> bytes:
    lines = ["hop.example.test", *EXTENSIONS]
    return (
        "".join(f"250-{line}\r\n" for line in lines[:-1]).encode() + f"250 {lines[-1]}\r\n".encode()
    )
