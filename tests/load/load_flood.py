"""Senders that do not wait for each other: at a rate, whatever becomes of those before (open loop)."""

import asyncio
import itertools
import time
from dataclasses import dataclass

from load_peers import Client, Gone

PAUSE = 0.005  # seconds between two looks at how many are due
LOST = 0  # the code of a connection that ended, or was refused by the system, without a reply


@dataclass(frozen=True)
class Attempt:
    """One client with one message: when it came, where it got to, what it was told, how long."""

    number: int
    at: float  # seconds since the flood began
    stage: str  # of the last reply: greeting, envelope, content
    code: int
    text: str
    seconds: float

    @property
    def accepted(self):
        return self.code == 250


async def attempt(port, number, content, began):
    """One client: a connection, a message, its answer."""
    started = time.monotonic()
    stage, (code, text) = "greeting", (LOST, "")
    try:
        client = await Client.connect(port)
        try:
            code, text = await client.greet() or (250, "")
            if code == 250:
                stage = "envelope"
                code, text = await client.open(number) or (354, "")
            if code == 354:
                stage = "content"
                code, text = await client.finish(content)
        finally:
            client.leave()
    except (OSError, Gone) as error:
        code, text = LOST, f"{type(error).__name__} {error}"
    ended = time.monotonic()
    return Attempt(number, started - began, stage, code, text.strip(), ended - started)


async def flood(port, rate, seconds, contents, numbers):
    """`rate` clients a second for so long, and what each was told, once all have left."""
    began = time.monotonic()
    clients = []
    contents = itertools.cycle(contents)
    while (passed := time.monotonic() - began) < seconds:
        while len(clients) < passed * rate:
            work = attempt(port, next(numbers), next(contents), began)
            clients.append(asyncio.create_task(work))
        await asyncio.sleep(PAUSE)
    return await asyncio.gather(*clients)


async def best_rate(port, clients, seconds, contents, numbers):
    """Messages a second that so many clients get accepted that each wait for their answers."""
    began = time.monotonic()
    contents = itertools.cycle(contents)
    done = 0

    async def one():
        nonlocal done
        while time.monotonic() - began < seconds:
            made = await attempt(port, next(numbers), next(contents), began)
            done += made.accepted

    await asyncio.gather(*(one() for _ in range(clients)))
    return done / (time.monotonic() - began)


async def one_by_one(port, count, contents, numbers):
    """So many messages, each after the one before."""
    contents = itertools.cycle(contents)
    return [await attempt(port, next(numbers), next(contents), 0.0) for _ in range(count)]
