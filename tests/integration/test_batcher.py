"""The batcher with a real encoder thread: order, batches, deadlines, overload, swap and close."""

import asyncio
import threading

import pytest
from tiny_bundle import make_tiny_bundle

from filterd.errors import BundleError
from filterd.model.batcher import Batcher, Overloaded
from filterd.model.encoder import open_encoder


class GatedEncoder:
    """A real encoder that tells what it was given and stops each batch until it is let through."""

    def __init__(self, encoder):
        self.encoder = encoder
        self.batches = []
        self.entered = threading.Semaphore(0)
        self.gate = threading.Semaphore(0)

    def encode(self, texts):
        self.batches.append(list(texts))
        self.entered.release()
        assert self.gate.acquire(timeout=30)
        if "poison" in texts:
            raise BundleError("the model choked")
        return self.encoder.encode(texts)

    async def wait_until_busy(self):
        assert await asyncio.to_thread(self.entered.acquire, timeout=30)

    def let_through(self, batches=1):
        self.gate.release(batches)


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    return tmp_path_factory.mktemp("models")


@pytest.fixture(scope="module")
def encoder(models):
    return open_encoder(make_tiny_bundle(models / "tiny.1").path)


@pytest.fixture
def gated(encoder):
    return GatedEncoder(encoder)


@pytest.fixture
async def batcher(gated):
    batcher = Batcher(gated, batch=16, waiting=32)
    yield batcher
    gated.let_through(100)
    await batcher.close()


async def submit(batcher, *texts):
    """Tasks that wait in the batcher, in this order."""
    tasks = [asyncio.create_task(batcher.encode(text)) for text in texts]
    await asyncio.sleep(0)
    return tasks


def spam(scores) -> float:
    return scores.tasks["spam"][1]


async def test_hundreds_of_callers_get_each_the_scores_of_their_own_text(encoder):
    batcher = Batcher(encoder)
    texts = [("lottery " if number % 3 else "letter ") + str(number) for number in range(300)]

    found = await asyncio.gather(*(batcher.encode(text) for text in texts))
    await batcher.close()

    for text, scores in zip(texts, found, strict=True):
        (alone,) = encoder.encode([text])
        assert scores.tasks["spam"] == pytest.approx(alone.tasks["spam"], abs=1e-5)
        assert scores.embedding == pytest.approx(alone.embedding, abs=1e-5)


async def test_the_first_text_does_not_wait_and_the_rest_go_together(batcher, gated):
    first = await submit(batcher, "one")
    await gated.wait_until_busy()
    rest = await submit(batcher, "two", "three", "four")
    gated.let_through(2)

    await asyncio.gather(*first, *rest)
    assert gated.batches == [["one"], ["two", "three", "four"]]


async def test_a_batch_holds_at_most_sixteen(batcher, gated):
    first = await submit(batcher, "first")
    await gated.wait_until_busy()
    rest = await submit(batcher, *map(str, range(20)))
    gated.let_through(3)

    await asyncio.gather(*first, *rest)
    assert [len(batch) for batch in gated.batches] == [1, 16, 4]


async def test_an_exception_reaches_the_callers_of_its_batch_and_nobody_else(batcher, gated):
    first = await submit(batcher, "before")
    await gated.wait_until_busy()
    doomed = await submit(batcher, "poison", "neighbour")
    gated.let_through()
    await gated.wait_until_busy()
    after = await submit(batcher, "after")
    gated.let_through(2)

    for task in doomed:
        with pytest.raises(BundleError, match="choked"):
            await task
    for task in (*first, *after):
        assert spam(await task) < 0.1


async def test_a_caller_whose_deadline_passes_is_skipped_and_the_others_served(batcher, gated):
    first = await submit(batcher, "first")
    await gated.wait_until_busy()
    late, other = await submit(batcher, "late", "lottery")
    late.cancel()
    await asyncio.wait([late])
    gated.let_through(2)

    assert spam(await other) > 0.9
    await first[0]
    assert gated.batches == [["first"], ["lottery"]]
    assert late.cancelled()


async def test_cancelling_at_the_very_moment_of_taking_breaks_nothing(batcher, gated):
    first = await submit(batcher, "first")
    await gated.wait_until_busy()
    late, other = await submit(batcher, "late", "lottery")
    gated.let_through(2)
    await first[0]
    late.cancel()  # taken from the queue by now, or about to be

    assert spam(await other) > 0.9
    with pytest.raises(asyncio.CancelledError):
        await late


async def test_a_caller_cancelled_during_its_batch_does_not_break_it(batcher, gated):
    first = await submit(batcher, "first")
    await gated.wait_until_busy()
    late, other = await submit(batcher, "late", "lottery")
    gated.let_through()
    await gated.wait_until_busy()
    late.cancel()
    await asyncio.wait([late])
    gated.let_through()

    assert spam(await other) > 0.9
    assert gated.batches[1] == ["late", "lottery"]
    await first[0]


async def test_a_full_queue_refuses_at_once_and_recovers(batcher, gated):
    first = await submit(batcher, "first")
    await gated.wait_until_busy()
    waiting = await submit(batcher, *map(str, range(32)))

    with pytest.raises(Overloaded, match="32 messages wait"):
        await batcher.encode("one too many")
    assert batcher.waiting == 32

    gated.let_through(3)
    await asyncio.gather(*first, *waiting)
    gated.let_through()
    assert spam(await batcher.encode("lottery")) > 0.9


async def test_a_cancelled_caller_makes_room(batcher, gated):
    first = await submit(batcher, "first")
    await gated.wait_until_busy()
    waiting = await submit(batcher, *map(str, range(32)))
    waiting[7].cancel()
    await asyncio.wait([waiting[7]])
    (taken,) = await submit(batcher, "lottery")
    gated.let_through(4)

    assert spam(await taken) > 0.9
    await asyncio.gather(*first, *waiting, return_exceptions=True)


async def test_a_swap_happens_between_two_batches(batcher, gated, models):
    other = open_encoder(
        make_tiny_bundle(models / "tiny.2", version="tiny.2", spam_words=("bitcoin",)).path
    )
    first = await submit(batcher, "bitcoin")
    await gated.wait_until_busy()
    second = await submit(batcher, "bitcoin")
    batcher.replace(other)
    gated.let_through()

    before, after = await first[0], await second[0]
    assert (before.bundle.version, after.bundle.version) == ("tiny.1", "tiny.2")
    assert spam(before) < 0.1
    assert spam(after) > 0.9


async def test_swaps_under_load_lose_nobody(encoder, models):
    other = open_encoder(make_tiny_bundle(models / "tiny.3", version="tiny.3").path)
    batcher = Batcher(encoder, batch=3)

    async def judge_and_swap(number):
        scores = await batcher.encode("lottery")
        batcher.replace((other, encoder)[number % 2])
        return scores

    found = await asyncio.gather(*(judge_and_swap(number) for number in range(400)))
    await batcher.close()
    assert len(found) == 400
    assert {scores.bundle.version for scores in found} == {"tiny.1", "tiny.3"}
    assert all(spam(scores) > 0.9 for scores in found)


async def test_closing_finishes_what_waits_and_takes_nothing_more(batcher, gated):
    first = await submit(batcher, "first")
    await gated.wait_until_busy()
    waiting = await submit(batcher, "lottery")
    closing = asyncio.create_task(batcher.close())
    await asyncio.sleep(0)

    with pytest.raises(Overloaded, match="shutting down"):
        await batcher.encode("too late")
    gated.let_through(2)
    await closing
    assert spam(await waiting[0]) > 0.9
    assert spam(await first[0]) < 0.1
    assert not [each for each in threading.enumerate() if each.name.startswith("encoder")]


async def test_the_event_loop_runs_on_while_the_encoder_works(batcher, gated):
    (task,) = await submit(batcher, "slow")
    await gated.wait_until_busy()

    assert not task.done()
    await asyncio.wait_for(asyncio.to_thread(lambda: None), 5)  # other work goes on
    gated.let_through()
    await task
