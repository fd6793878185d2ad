"""Clients of all manners, who come by chance and leave as they like; no mail is given up.

Who is told 4xx, or loses the connection, tries again later as a mail server does.
"""

import asyncio
import random
import time
from collections import Counter
from dataclasses import dataclass, field

from load_peers import Client, Gone
from soak_mails import crlf, is_forged

RETRY_SECONDS = 5.0
MANNERS = {
    "one": 55,
    "several": 20,
    "resets": 7,
    "breaks_off": 5,
    "rude": 4,
    "idle": 6,
    "looks_in": 3,
}
LARGE = ("large", "bomb")  # not counted among latencies: their own transfer is most of it


@dataclass
class Tally:
    """What became of what was sent."""

    accepted: set = field(default_factory=set)
    refused: Counter = field(default_factory=Counter)  # 5xx by its text
    refused_numbers: set = field(default_factory=set)
    deferred: Counter = field(default_factory=Counter)  # 4xx by its text, tried again
    broken: Counter = field(default_factory=Counter)  # connections lost without a reply, by where
    sent: Counter = field(default_factory=Counter)  # by kind
    latencies: list = field(default_factory=list)  # seconds from the dot to the reply


class Crowd:
    """Starts clients at a rate until told to be silent."""

    def __init__(self, port, sink, bag, seed, first=1):
        self.tally = Tally()
        self.port = port
        self._sink = sink
        self._bag = bag
        self._random = random.Random(seed)
        self._number = first - 1
        self._clients = set()
        self._silence = asyncio.Event()
        self._manners = {name: getattr(self, f"_{name}") for name in MANNERS}

    @property
    def present(self):
        return len(self._clients)

    async def come(self, mails_per_second, until):
        """Clients at random intervals, whatever became of those before, until the time `until`."""
        self._silence.clear()
        while (now := time.monotonic()) < until:
            pause = self._random.expovariate(mails_per_second / MAILS_PER_CLIENT)
            await asyncio.sleep(min(pause, until - now))
            (manner,) = self._random.choices(list(MANNERS), list(MANNERS.values()))
            task = asyncio.create_task(self._manners[manner]())
            self._clients.add(task)
            task.add_done_callback(self._left)

    async def leave(self):
        """Idle ones go, the others end what they do."""
        self._silence.set()
        while self._clients:
            await asyncio.wait(set(self._clients))

    def _left(self, task):
        self._clients.discard(task)
        task.result()  # a bug of this bench ends it

    # Manners

    async def _one(self):
        await self._post(1)

    async def _several(self):
        await self._post(self._random.randint(2, 6))

    async def _resets(self):
        await self._post(1, resets=self._random.randint(1, 5))

    async def _idle(self):
        """Says hello, is silent, then has a mail after all."""
        await self._post(1, idle=self._random.uniform(5, 90))

    async def _breaks_off(self):
        """Leaves in the middle of its content: that mail was never sent."""
        _, raw = self._bag.draw()
        client = await Client.connect(self.port)
        try:
            if not await client.greet() and not await client.open(self._next_number()):
                await client.write(raw[: len(raw) // 2])
        except Gone:
            pass
        finally:
            client.leave()

    async def _rude(self):
        client = await Client.connect(self.port)
        try:
            await client.reply()
            for _ in range(self._random.randint(1, 30)):
                if not await client.write(
                    self._random.randbytes(self._random.randint(1, 400)) + b"\r\n"
                ):
                    break
        except Gone:
            pass
        finally:
            client.leave()

    async def _looks_in(self):
        (await Client.connect(self.port)).leave()

    # Mail

    def _next_number(self):
        self._number += 1
        return self._number

    def _letters(self, count):
        letters = []
        for _ in range(count):
            kind, raw = self._bag.draw()
            number = self._next_number()
            self.tally.sent[kind] += 1
            if not is_forged(raw):
                self._sink.expect(number, crlf(raw))
            letters.append((number, kind, raw))
        return letters

    async def _post(self, count, **manner):
        """So many mails over one connection, and over others later until each has its answer."""
        left = self._letters(count)
        while left:
            left = await self._session(left, **manner)
            manner = {}
            if left:
                await asyncio.sleep(RETRY_SECONDS)

    async def _session(self, letters, *, resets=0, idle=0.0):
        """What is still to be sent after one connection."""
        left = list(letters)
        where = "connect"
        client = await Client.connect(self.port)
        try:
            if refusal := await client.greet():
                return self._later(left, refusal)
            where = "idle"
            if idle:
                await self._be_silent(idle)
            where = "reset"
            for _ in range(resets):
                await client.open_and_reset()
            while left:
                number, kind, raw = left[0]
                where = "envelope"
                if refusal := await client.open(number):
                    return self._later(left, refusal)
                where = "content"
                code, text = await self._timed(client, kind, raw)
                if 400 <= code < 500:
                    return self._later(left, (code, text))
                self._conclude(number, code, text)
                left.pop(0)
            where = "quit"
            await client.say("QUIT")
        except Gone:
            self.tally.broken[where] += 1
        finally:
            client.leave()
        return left

    async def _timed(self, client, kind, raw):
        started = time.monotonic()
        answer = await client.finish(raw)
        if kind not in LARGE:
            self.tally.latencies.append(time.monotonic() - started)
        return answer

    def _conclude(self, number, code, text):
        if code == 250:
            self.tally.accepted.add(number)
        else:
            self._sink.expected.pop(number, None)
            self.tally.refused_numbers.add(number)
            self.tally.refused[text.strip()] += 1

    def _later(self, left, refusal):
        assert 400 <= refusal[0] < 500, refusal
        self.tally.deferred[refusal[1].strip()] += 1
        return left

    async def _be_silent(self, seconds):
        try:
            async with asyncio.timeout(seconds):
                await self._silence.wait()
        except TimeoutError:
            pass


_MAILS = {"one": 1, "several": 4, "resets": 1, "idle": 1}
MAILS_PER_CLIENT = sum(MANNERS[name] * mails for name, mails in _MAILS.items()) / sum(
    MANNERS.values()
)
