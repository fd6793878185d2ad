"""Threads that read mail: one that is stuck holds up nobody else."""

import asyncio
import threading
import time

import pytest

from filterd.model.batcher import Overloaded
from filterd.readers import Readers

SLOW = b"slow"
PATIENCE = 30.0


class Door:
    """What slow mail stands before, until it is opened; `left` tells of each that went through."""

    def __init__(self):
        self.came = threading.Semaphore(0)
        self.open = threading.Event()
        self.left = threading.Semaphore(0)

    def read(self, message):
        if message == SLOW:
            self.came.release()
            self.open.wait()
            self.left.release()
        if message == b"a bug":
            raise ValueError(message)
        return message.upper()


@pytest.fixture
def door():
    return Door()


@pytest.fixture
def readers(door):
    readers = Readers(door.read)
    yield readers
    door.open.set()
    readers.close()


async def wait_for(semaphore):
    assert await asyncio.to_thread(semaphore.acquire, timeout=PATIENCE)


async def begin_slow(readers, door):
    task = asyncio.create_task(readers.read(SLOW))
    await wait_for(door.came)
    return task


async def give_up(task):
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def lose(readers, door, count):
    for _ in range(count):
        await give_up(await begin_slow(readers, door))


async def test_what_is_read_comes_back(readers):
    assert await asyncio.gather(*(readers.read(b"a%d" % n) for n in range(50))) == [
        b"A%d" % n for n in range(50)
    ]


async def test_what_reading_raises_its_caller_gets(readers):
    with pytest.raises(ValueError, match="a bug"):
        await readers.read(b"a bug")
    assert await readers.read(b"a") == b"A"


async def test_one_that_is_stuck_has_another_in_its_place(readers, door):
    await lose(readers, door, 1)
    working = [await begin_slow(readers, door) for _ in range(2)]
    door.open.set()
    assert await asyncio.gather(*working) == [b"SLOW"] * 2
    assert readers.stuck_for == 0


async def test_with_all_that_may_be_lost_nothing_waits_behind_them(readers, door):
    await lose(readers, door, 2)
    with pytest.raises(Overloaded, match="2 threads are stuck"):
        await readers.read(b"a")
    assert 0 < readers.stuck_for < PATIENCE


async def test_when_they_end_all_is_as_before(readers, door):
    for _ in range(3):
        await lose(readers, door, 2)
        door.open.set()
        for _ in range(2):
            await wait_for(door.left)
        async with asyncio.timeout(PATIENCE):
            while readers.stuck_for or len(readers._threads) > 2:
                await asyncio.to_thread(time.sleep, 0)
        door.open.clear()
        assert await readers.read(b"a") == b"A"


async def test_a_reading_given_up_before_it_began_costs_nothing(readers, door):
    working = [await begin_slow(readers, door) for _ in range(2)]
    behind = asyncio.create_task(readers.read(b"behind them"))
    await asyncio.sleep(0)
    await give_up(behind)
    door.open.set()
    assert await asyncio.gather(*working) == [b"SLOW"] * 2
    assert readers.stuck_for == 0
    assert await readers.read(b"a") == b"A"


async def test_the_end_does_not_wait_for_one_that_is_stuck(readers, door):
    await lose(readers, door, 1)
    started = time.monotonic()
    await asyncio.to_thread(readers.close)
    assert time.monotonic() - started < 4
