"""The line to the next hop breaks, on each step and in each way: the sender keeps what is not there.

What a sender does that is told 4xx, or nothing: it comes again. So each scenario ends with the
message downstream, and says how often.
"""

import asyncio
import contextlib
import random
import re
import time

import pytest
from fault_proxy import ANSWERED_THEN_CLOSED, Fault, FaultProxy
from ledger import Entry, Senders, make_message, settle
from smtp_peers import FakeNextHop, relaying

TIMEOUT = 0.1
PACE = 0.02  # seconds a byte; a reply of eight bytes is too slow
# Until a fault is noticed the client waits for a timeout or two; the rest is a busy machine.
LONGEST = 5.0
# No pool: a connection that was used before and breaks at MAIL is replaced, and nobody knows.
OPTIONS = {"timeout": TIMEOUT, "connect_timeout": TIMEOUT, "pool_size": 0}
TAKEN = b"250 2.0.0 Ok: queued as 4F00\r\n"
MESSAGE = b"From: ann@sender.example\r\nSubject: minutes\r\n\r\nFirst.\r\n..\r\nLast.\r\n"
END = b".\r\n"
STUFFED = MESSAGE.replace(b"\r\n.", b"\r\n..") + END
STEPS = ("connect", "EHLO", "MAIL", "RCPT", "DATA", "content", ".")

PROMISE = "the client is told 451 or 421 in good time, nothing is delivered; the next try arrives once, unaltered; others are served meanwhile"
LOST = "the client is told 451 4.4.2; the next try makes a second copy (RFC 1047), and no third"
KINDS = [
    pytest.param(kind, marks=pytest.mark.scenario(number, f"the next hop {does}", PROMISE))
    for number, kind, does in (
        ("F02", "hang", "hangs: after connecting, at each verb, inside DATA, at the dot"),
        ("F03", "reset", "resets the connection: at each of these steps"),
        ("F04", "close", "closes the connection: at each of these steps"),
        ("F05", "half_close", "half-closes the connection: at each of these steps"),
        ("F06", "going", "says 421 and closes: at each of these steps"),
        ("F07", "garbage", "answers with garbage: at each of these steps"),
        ("F08", "endless", "answers without end, line by line: at each of these steps"),
        ("F09", "long", "answers with a line of endless length: at each of these steps"),
        ("F10", "cut", "answers with half a reply and closes: at each of these steps"),
        ("F11", "drip", "answers a byte at a time: at each of these steps"),
    )
]
LOST_KINDS = [
    pytest.param(kind, marks=pytest.mark.scenario(number, f"{does}, after the next hop took the message", LOST))
    for number, kind, does in (
        ("F12", "reset", "a reset instead of the reply"),
        ("F13", "half_close", "a half-close instead of the reply"),
        ("F14", "hang", "silence instead of the reply"),
        ("F15", "cut", "half the reply and the end"),
        ("F16", "garbage", "garbage instead of the reply"),
        ("F17", "endless", "a reply without end"),
        ("F18", "drip", "the reply a byte at a time"),
    )
]  # fmt: skip


class Once:
    """Break this step, the first time that it is taken after `armed`."""

    def __init__(self, step, fault):
        self.step, self.fault, self.armed = step, fault, True

    def __call__(self, step, mail):
        if not (self.armed and step == self.step):
            return None
        self.armed = False
        return self.fault


async def attempt(relay):
    """One try of a sender: the reply that ended it, empty if none came."""
    async with relay.client() as client:
        if not (reply := await client.greet()).startswith(b"250"):
            return reply
        for line in ("MAIL FROM:<a@sender.example>", "RCPT TO:<r@hop.example>", "DATA"):
            if (reply := await client.say(line))[:1] not in b"23":
                return reply
        client.send(STUFFED)
        return await client.reply()


async def broken_attempt(relay, proxy, fault, step):
    """The reply to a try that the fault falls into; another sender is served meanwhile."""
    proxy.choose = Once(step, fault)
    since = time.monotonic()
    one = asyncio.create_task(attempt(relay))
    await proxy.broken.wait()
    assert await attempt(relay) == TAKEN
    reply = await one
    assert time.monotonic() - since < LONGEST
    return reply


@contextlib.asynccontextmanager
async def line(step="."):
    """A next hop, a line to it that may break, and filterd before it."""
    async with (
        FakeNextHop() as hop,
        FaultProxy(hop.port, pace=PACE) as proxy,
        relaying(proxy.url, options=OPTIONS) as relay,
    ):
        # What the next hop offers is known from an earlier connection, if not from this one.
        if step not in ("connect", "EHLO"):
            await relay.next_hop.capabilities()
        yield hop, proxy, relay


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("kind", KINDS)
async def test_a_fault_before_the_message_is_taken_costs_a_try_and_nothing_else(kind, step):
    async with line(step) as (hop, proxy, relay):
        reply = await broken_attempt(relay, proxy, Fault(kind), step)
        assert re.match(rb"451 4\.4\.[12] |421 4\.(3\.2|4\.1) ", reply), reply
        assert await attempt(relay) == TAKEN
    assert [message.content for message in hop.messages] == [MESSAGE] * 2


@pytest.mark.parametrize("step", ["connect", "EHLO", "MAIL", "RCPT", "DATA"])
@pytest.mark.parametrize("kind", KINDS)
async def test_a_lost_reply_to_a_command_costs_a_try_and_nothing_else(kind, step):
    async with line(step) as (hop, proxy, relay):
        reply = await broken_attempt(relay, proxy, Fault(kind, taken=True), step)
        assert re.match(rb"451 4\.4\.1 |421 4\.(3\.2|4\.1) ", reply), reply
        assert await attempt(relay) == TAKEN
    assert [message.content for message in hop.messages] == [MESSAGE] * 2


@pytest.mark.parametrize("kind", LOST_KINDS)
async def test_a_reply_that_is_lost_after_the_dot_makes_one_copy_more(kind):
    async with line() as (hop, proxy, relay):
        reply = await broken_attempt(relay, proxy, Fault(kind, taken=True), ".")
        assert reply[:9] == b"451 4.4.2"
        assert proxy.happened[0].lost_a_reply
        assert await attempt(relay) == TAKEN
    assert [message.content for message in hop.messages] == [MESSAGE] * 3


@pytest.mark.scenario(
    "F19",
    "the next hop takes the message, says so and half-closes the connection at once",
    "the client is told 250; it arrives once, and the connection is not used again",
)
async def test_a_reply_before_a_half_close_counts():
    async with line() as (hop, proxy, relay):
        reply = await broken_attempt(relay, proxy, ANSWERED_THEN_CLOSED, ".")
        assert reply == TAKEN
    assert [message.content for message in hop.messages] == [MESSAGE] * 2


@pytest.mark.scenario(
    "F01",
    "the next hop refuses connections",
    "clients are told 421 or 451; mail flows within a second when it is back",
)
async def test_a_next_hop_that_refuses_and_comes_back(record_property):
    async with line() as (hop, proxy, relay):
        await proxy.refuse()
        assert (await attempt(relay))[:9] == b"451 4.4.1"
        assert hop.messages == []
        await proxy.listen()
        since = time.monotonic()
        assert await attempt(relay) == TAKEN
        record_property("figure", f"{time.monotonic() - since:.2f} s after it was back")
    assert len(hop.messages) == 1


HOUR = 360  # times that it goes and comes, once in ten seconds of an hour
FLAP = 0.005  # seconds that stand for five
SENDERS = 8
MAILS = 300


@pytest.mark.scenario(
    "F20",
    f"the next hop goes and comes {HOUR} times (an hour at once in ten seconds) under mail, connections cut each time",
    "every mail arrives; a second copy only where the reply was cut off; no connection or task is left",
)
async def test_a_next_hop_that_flaps_loses_nothing(record_property):
    dice = random.Random(20)
    entries = [Entry(number, make_message(number, dice)) for number in range(MAILS)]
    async with line() as (hop, proxy, relay):
        senders = Senders(entries, relay.port, clients=SENDERS, most=10_000, seed=20)
        sending = asyncio.create_task(senders.run())
        for _ in range(HOUR):
            await asyncio.sleep(FLAP * dice.random() * 2)
            await proxy.refuse()
            await asyncio.sleep(FLAP * dice.random() * 2)
            await proxy.listen()
        async with asyncio.timeout(60):
            await sending
        lost = {
            one.mail.partition("<")[2].partition(">")[0]
            for one in proxy.happened
            if one.lost_a_reply
        }
        balance = settle(
            entries,
            [(message.mail, message.content) for message in hop.messages],
            lambda sender, _attempt: "reply cut off" if sender in lost else None,
        )
        async with asyncio.timeout(LONGEST):
            while relay.server.connections:  # noqa: ASYNC110  # the server has no event to tell of it
                await asyncio.sleep(0)
    assert (balance.lost, balance.altered, balance.refused, balance.unexplained) == ([], [], [], [])
    assert balance.answered == MAILS
    record_property(
        "figure",
        f"{MAILS} mails, {balance.attempts} tries, {balance.duplicates} second copies, all explained",
    )
