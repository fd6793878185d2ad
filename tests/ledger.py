"""A ledger of mail: what each sender was told of each message, and what came out downstream.

The senders try again as an MTA does. Each attempt has an envelope sender of its own, so that
every copy downstream is one certain attempt. `settle` draws the balance.
"""

from __future__ import annotations

import asyncio
import contextlib
import heapq
import random
import re
import time
from collections import Counter, defaultdict
from dataclasses import dataclass, field

PATIENCE = 60.0
OURS = re.compile(rb"(?:X-Filterd-[A-Za-z]+|X-Spam-[A-Za-z]+): [^\r\n]*\r\n")
WORDS = ("lottery", "thanks", "minutes", "grüße", "meeting", ".", "..", ".x", "x" * 900, "", "ok")
FIRST_PAUSE, LONGEST_PAUSE = 0.1, 2.0
MESSAGES_A_CONNECTION = 20


@dataclass
class Attempt:
    """One try to hand a message over: `code` is the reply that ended it, 0 if there was none."""

    port: int = 0  # of our end of the connection
    began: float = 0.0
    whole: bool = False  # the end of the message was sent
    code: int = 0
    ended: float = 0.0


@dataclass
class Entry:
    """One message and all that its sender tried."""

    number: int
    message: bytes
    attempts: list[Attempt] = field(default_factory=list)

    @property
    def is_answered(self) -> bool:
        return bool(self.attempts) and self.attempts[-1].code == 250


def address(entry, attempt):
    """The envelope sender of an attempt."""
    return f"m{entry.number}.{attempt}@sender.example"


ADDRESS = re.compile(r"<m([0-9]+)\.([0-9]+)@sender\.example>")


def make_message(number, dice):
    """A message of its own kind: dots, 8 bits, long lines, nothing at all in its body."""
    lines = [f"From: Ann <ann{number}@sender.example>", f"Subject: {dice.choice(WORDS)} {number}"]
    lines += [f"Message-ID: <{number}@sender.example>", ""]
    size = int(dice.choice([0, 3, 20, 20, 20, 400]) * dice.random())
    lines += [" ".join(dice.choices(WORDS, k=dice.randrange(4))) for _ in range(size)]
    return "".join(f"{line}\r\n" for line in lines).encode()


def stuffed(message):
    return (b"\r\n" + message).replace(b"\r\n.", b"\r\n..")[2:] + b".\r\n"


class Senders:
    """So many clients with one queue: what is not answered 250 is tried again, `most` times."""

    def __init__(self, entries, port, *, clients, most, seed):
        self.entries = entries
        self.settled = 0  # answered 250, or given up
        self.refused = 0  # connections that were not to be had
        self._port = port
        self._clients = clients
        self._most = most
        self._dice = random.Random(seed)
        self._queue = [(0.0, entry.number, entry) for entry in entries]
        self._underway = 0
        self.progress = asyncio.Event()

    @property
    def are_done(self):
        return not (self._queue or self._underway)

    async def run(self):
        await asyncio.gather(*(self._work() for _ in range(self._clients)))

    async def _work(self):
        connection, left = None, 0
        while not self.are_done:
            now = time.monotonic()
            if not self._queue or self._queue[0][0] > now:
                wait = self._queue[0][0] - now if self._queue else 0.05
                await asyncio.sleep(min(wait, 0.05))
                continue
            if connection is None:
                connection, left = await self._connect(), MESSAGES_A_CONNECTION
                continue
            _, _, entry = heapq.heappop(self._queue)
            self._underway += 1
            attempt = Attempt(connection.port, began=now)
            entry.attempts.append(attempt)
            try:
                await connection.send(entry, attempt)
                left -= 1
                if attempt.code == 421 or left == 0:
                    connection = connection.close()
            except (OSError, asyncio.IncompleteReadError):
                connection = connection.close()
            attempt.ended = time.monotonic()
            self._put_back_or_settle(entry, attempt)
            self._underway -= 1
        if connection is not None:
            connection.close()

    async def _connect(self):
        """A connection past EHLO, or None after a while: no message was tried yet."""
        try:
            return await _Connection.open(self._port)
        except (OSError, asyncio.IncompleteReadError):
            self.refused += 1
            await asyncio.sleep(self._dice.uniform(0.1, 0.5))
            return None

    def _put_back_or_settle(self, entry, attempt):
        if attempt.code == 250 or attempt.code >= 500 or len(entry.attempts) >= self._most:
            self.settled += 1
            self.progress.set()
            return
        pause = min(FIRST_PAUSE * 2 ** len(entry.attempts), LONGEST_PAUSE)
        due = attempt.ended + pause * self._dice.uniform(0.5, 1.5)
        heapq.heappush(self._queue, (due, entry.number, entry))


class _Connection:
    def __init__(self, reader, writer):
        self._reader, self._writer = reader, writer
        self.port = writer.get_extra_info("sockname")[1]

    @classmethod
    async def open(cls, port):
        self = cls(*await asyncio.open_connection("127.0.0.1", port))
        try:
            code = await self._reply()
            if code == 220:
                code = await self._say(b"EHLO sender.example\r\n")
        except BaseException:
            self.close()
            raise
        if code == 250:
            return self
        self.close()
        raise ConnectionRefusedError(code)

    async def send(self, entry, attempt):
        """One transaction; the reply that ended it goes into `attempt`."""
        sender = address(entry, len(entry.attempts))
        for line, expected in (
            (f"MAIL FROM:<{sender}>", 250),
            ("RCPT TO:<ben@example.test>", 250),
            ("DATA", 354),
        ):
            code = await self._say(f"{line}\r\n".encode())
            if code != expected:
                attempt.code = code
                if code != 421 and not line.startswith("MAIL"):
                    await self._say(b"RSET\r\n")
                return
        self._writer.write(stuffed(entry.message))
        attempt.whole = True
        attempt.code = await self._reply()

    async def _say(self, line):
        self._writer.write(line)
        return await self._reply()

    async def _reply(self):
        async with asyncio.timeout(PATIENCE):
            while True:
                line = await self._reader.readuntil(b"\n")
                if line[3:4] != b"-":
                    return int(line[:3])

    def close(self):
        with contextlib.suppress(OSError):
            self._writer.transport.abort()


@dataclass
class Balance:
    """What came of all messages. The first four groups must be empty; the rest is told."""

    lost: list[str] = field(default_factory=list)
    altered: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    unexplained: list[str] = field(default_factory=list)
    messages: int = 0
    attempts: int = 0
    answered: int = 0
    with_sender: int = 0
    copies: int = 0
    duplicates: int = 0
    unjudged: int = 0
    reasons: Counter = field(default_factory=Counter)
    replies: Counter = field(default_factory=Counter)


def settle(entries, receipts, explain):
    """Draw the balance. `receipts` are (MAIL line, content) in order; `explain` gives the fault
    that made a copy of an attempt that was not answered 250 possible, or None.
    """
    balance = Balance(messages=len(entries))
    copies = defaultdict(Counter)
    for mail, content in receipts:
        number, attempt = map(int, ADDRESS.search(mail).groups())
        copies[number][attempt] += 1
        balance.copies += 1
        balance.unjudged += b"X-Filterd-Verdict: unjudged" in content
        if not is_unaltered(content, entries[number].message):
            balance.altered.append(mail)
    for entry in entries:
        _settle_one(entry, copies[entry.number], explain, balance)
    return balance


def _settle_one(entry, copies, explain, balance):
    balance.attempts += len(entry.attempts)
    balance.answered += entry.is_answered
    balance.with_sender += not entry.is_answered
    balance.duplicates += max(copies.total() - 1, 0)
    for number, attempt in enumerate(entry.attempts, 1):
        name = address(entry, number)
        balance.replies[attempt.code or "none"] += 1
        if attempt.code >= 500:
            balance.refused.append(name)
        if attempt.code == 250:
            if copies[number] == 0:
                balance.lost.append(name)
            elif copies[number] > 1:
                balance.unexplained.append(name)
        elif copies[number]:
            why = explain(name, attempt)
            if why is None or copies[number] > 1:
                balance.unexplained.append(name)
            else:
                balance.reasons[why] += 1


def is_unaltered(content, message):
    """Whether content is the message with nothing but headers of ours above it."""
    rest = content
    while found := OURS.match(rest):
        rest = rest[found.end() :]
    return rest == message
