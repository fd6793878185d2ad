"""A folder as next hop: each message a file in a Maildir, on disk before it is answered 250.

For trying filterd out and for quarantine. One file per message, whatever the number of its
recipients; line ends are LF there, as Maildir readers expect.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import itertools
import os
import time
from typing import TYPE_CHECKING, Final

import structlog

from filterd.errors import NextHopError
from filterd.smtp.content import SLICE
from filterd.smtp.replies import Reply
from filterd.smtp.transaction import Capabilities

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from filterd.smtp.transaction import Transaction

OK: Final = Reply(250, "2.0.0 OK")
START: Final = Reply(354, "End data with <CR><LF>.<CR><LF>")
DISK_FULL: Final = Reply(452, "4.3.1 Insufficient system storage")
CANNOT_WRITE: Final = Reply(451, "4.3.0 The message could not be written")
OFFERED: Final = frozenset({"8BITMIME", "SMTPUTF8", "ENHANCEDSTATUSCODES", "PIPELINING", "SIZE"})
CREATE: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL

log = structlog.get_logger(__name__)


class MaildirNextHop:
    """A Maildir; made with mode 0700 where it is missing, also when it vanishes later."""

    per_recipient = False

    def __init__(self, path: Path, hostname: str, clock: Callable[[], float] = time.time) -> None:
        self.url = f"maildir:{path}"
        self._path = path
        self._hostname = hostname.replace("/", "\\057").replace(":", "\\072")
        self._clock = clock
        self._was_made = False
        self._numbers = itertools.count(1)

    async def capabilities(self) -> Capabilities:
        """What a file can hold is everything; raises NextHopError if the folder cannot be made.

        Once it was, later trouble is for the reply to a message.
        """
        if not self._was_made:
            try:
                await asyncio.to_thread(_make_folders, self._path)
            except OSError as error:
                raise NextHopError(f"{self.url}: {error.strerror}") from None
            self._was_made = True
        return Capabilities(size=None, names=OFFERED)

    async def probe(self) -> None:
        """As `capabilities`: there is nothing to reach."""
        await self.capabilities()

    async def begin(self) -> Transaction:
        """Always possible: trouble shows when the message is written."""
        return MaildirTransaction(self)

    async def close(self) -> None:
        """Nothing is held open."""

    def deliver(self, head: bytes, message: bytes) -> str:
        """Write one message with `head` before it, both with LF line ends; its name.

        Blocks. Raises OSError.
        """
        _make_folders(self._path)
        name = self._make_name()
        temporary, final = self._path / "tmp" / name, self._path / "new" / name
        try:
            with os.fdopen(os.open(temporary, CREATE, 0o600), "wb") as file:
                file.write(head)
                for piece in _with_newlines(message):
                    file.write(piece)
                file.flush()
                os.fsync(file.fileno())
            temporary.rename(final)
            _sync_folder(self._path / "new")
        except BaseException:
            # Not answered 250, so it must not be found either.
            for leftover in (temporary, final):
                with contextlib.suppress(OSError):
                    leftover.unlink()
            raise
        return name

    def _make_name(self) -> str:
        """Time, process, number in the process, host: unique as the Maildir format asks."""
        seconds, microseconds = divmod(int(self._clock() * 1_000_000), 1_000_000)
        number = next(self._numbers)
        return f"{seconds}.M{microseconds}P{os.getpid()}Q{number}.{self._hostname}"


class MaildirTransaction:
    """One message on its way into the folder; an envelope until then."""

    def __init__(self, hop: MaildirNextHop) -> None:
        self._hop = hop
        self._sender = ""
        self._recipients: list[str] = []

    async def xforward(self, arguments: str) -> Reply:  # noqa: ARG002  # the port's signature
        """Never offered."""
        return Reply(502, "5.5.1 Command not implemented")

    async def mail(self, sender: str, parameters: str) -> Reply:  # noqa: ARG002
        """Any sender will do."""
        self._sender = sender
        return OK

    async def rcpt(self, recipient: str, parameters: str) -> Reply:  # noqa: ARG002
        """Any recipient will do."""
        self._recipients.append(recipient)
        return OK

    async def data(self) -> Reply:
        """Go ahead."""
        return START

    async def content(self, message: bytes) -> tuple[Reply, ...]:
        """Write it to disk in a thread: 250 with its name once it is safe, else 452 or 451."""
        head = "".join(
            [
                f"Return-Path: <{self._sender}>\n",
                *(f"Delivered-To: {to}\n" for to in self._recipients),
            ]
        )
        try:
            name = await asyncio.to_thread(
                self._hop.deliver, head.encode("utf-8", "surrogateescape"), message
            )
        except OSError as error:
            log.exception("maildir_failed", hop=self._hop.url)
            full = error.errno in {errno.ENOSPC, errno.EDQUOT}
            return (DISK_FULL if full else CANNOT_WRITE,)
        return (Reply(250, f"2.0.0 Message delivered as {name}"),)

    async def reset(self) -> Reply:
        """Forget the envelope."""
        await self.abort()
        return OK

    async def abort(self) -> None:
        """Nothing was written yet."""
        self._sender, self._recipients = "", []

    async def release(self) -> None:
        """Nothing is held."""


def _with_newlines(message: bytes) -> Iterator[bytes]:
    """The message with LF for CRLF, in slices: a large one is not in memory once more."""
    start = 0
    while start < len(message):
        end = start + SLICE
        if message[end - 1 : end] == b"\r":  # its LF belongs to it
            end += 1
        yield message[start:end].replace(b"\r\n", b"\n")
        start = end


def _make_folders(path: Path) -> None:
    for folder in (path, *(path / name for name in ("tmp", "new", "cur"))):
        if not folder.is_dir():
            folder.parent.mkdir(parents=True, exist_ok=True)
            folder.mkdir(mode=0o700, exist_ok=True)
            _sync_folder(folder.parent)


def _sync_folder(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
