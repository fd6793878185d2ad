"""Slow and silent clients: each wait has an end, and those who speak are served meanwhile."""

import asyncio
import contextlib
import ssl
import time

import pytest
import trustme
from smtp_peers import FakeNextHop, RawClient, relaying

MESSAGE = b"Subject: hello\r\n\r\nText.\r\n"
END = b".\r\n"
ACCEPTED = b"250 2.0.0 Ok: queued as 4F00\r\n"
SHORT = 0.15  # seconds: the clock that is tried
SLOWEST = 5.0  # seconds within which it must have rung, on a machine that does much else

# How far a client comes before it stands still: what it says, reply by reply.
STATES = {
    "connect": [],
    "EHLO": [b"EHLO client.example"],
    "HELO": [b"HELO client.example"],
    "MAIL": [b"EHLO client.example", b"MAIL FROM:<a@sender.example>"],
    "RCPT": [b"EHLO client.example", b"MAIL FROM:<a@sender.example>", b"RCPT TO:<r@hop.example>"],
    "RSET": [b"EHLO client.example", b"MAIL FROM:<a@sender.example>", b"RSET"],
    "error": [b"EHLO client.example", b"WHAT"],
    "DATA": [
        b"EHLO client.example", b"MAIL FROM:<a@sender.example>", b"RCPT TO:<r@hop.example>", b"DATA",
    ],
    "dot": [
        b"EHLO client.example", b"MAIL FROM:<a@sender.example>", b"RCPT TO:<r@hop.example>", b"DATA",
        b"Subject: x\r\n\r\nx\r\n.",
    ],
}  # fmt: skip


@pytest.fixture(scope="module")
def tls():
    """A server's context, made for nobody in particular."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    trustme.CA().issue_cert("localhost").configure_cert(context)
    return context


@contextlib.asynccontextmanager
async def dripping(client, octet):
    """The client sends one octet every few milliseconds, and never what would end them."""

    async def drip():
        while True:
            client.send(octet)
            await asyncio.sleep(SHORT / 10)  # the attack itself

    task = asyncio.ensure_future(drip())
    try:
        yield
    finally:
        task.cancel()


async def walk(client, state):
    await client.reply()
    for line in STATES[state]:
        assert await client.say(line.decode())


async def assert_sent_away(client, since):
    reply = await client.reply()
    assert reply[:9] == b"421 4.4.2", reply
    assert SHORT * 0.9 <= time.monotonic() - since <= SLOWEST
    assert await client.rest() == b""


@pytest.mark.scenario(
    "A30",
    "a client that stands still after connecting, at each verb, inside DATA and after the dot",
    "421 4.4.2 when its time is over; nothing is delivered; the next hop's connection is free",
)
@pytest.mark.parametrize("state", STATES)
async def test_a_client_that_stands_still_is_sent_away(state):
    clocks = {"command_timeout": SHORT, "data_timeout": SHORT}
    async with (
        FakeNextHop() as hop,
        relaying(hop.url, limits=clocks) as relay,
        relay.client() as client,
    ):
        await walk(client, state)
        await assert_sent_away(client, time.monotonic())
        assert relay.server.connections == 0
    assert len(hop.messages) == (state == "dot")


@pytest.mark.scenario(
    "A31",
    "a client that drips one octet at a time, at each verb and inside DATA",
    "it gets no more time for that: 421 4.4.2, nothing is delivered",
)
@pytest.mark.parametrize("state", STATES)
async def test_a_client_that_drips_gets_no_more_time(state):
    clocks = {"command_timeout": SHORT, "data_timeout": SHORT}
    async with (
        FakeNextHop() as hop,
        relaying(hop.url, limits=clocks) as relay,
        relay.client() as client,
    ):
        await walk(client, state)
        since = time.monotonic()
        async with dripping(client, b"x"):
            with contextlib.suppress(ConnectionResetError):  # what dripped last was never read
                await assert_sent_away(client, since)
    assert len(hop.messages) == (state == "dot")


@pytest.mark.scenario(
    "A32",
    "a client that says STARTTLS and then nothing, or drips its handshake",
    "the connection is closed when command_timeout is over",
)
@pytest.mark.parametrize("drips", [False, True], ids=["silent", "drips"])
async def test_a_handshake_has_an_end(drips, tls):
    async with (
        FakeNextHop() as hop,
        relaying(hop.url, tls=tls, limits={"command_timeout": SHORT}) as relay,
        relay.client() as client,
    ):
        await client.greet()
        assert (await client.say("STARTTLS")).startswith(b"220 ")
        since = time.monotonic()
        # A record header that announces more than will ever come.
        client.send(b"\x16\x03\x01\x3f\xff")
        async with dripping(client, b"\x01") if drips else contextlib.nullcontext():
            await client.rest()
        assert SHORT * 0.9 <= time.monotonic() - since <= SLOWEST
        assert relay.server.connections == 0


@pytest.mark.scenario(
    "A33",
    "a client that sends commands and never reads the replies",
    "the connection is dropped when command_timeout is over",
)
async def test_a_client_that_does_not_read_is_dropped():
    long = b"550-" + b"x" * 500 + b"\r\n"
    refusal = long * 20 + b"550 " + b"x" * 500 + b"\r\n"
    async with (
        FakeNextHop({"RCPT": [refusal] * 5000}) as hop,
        relaying(hop.url, limits={"command_timeout": SHORT}) as relay,
        relay.client() as client,
    ):
        await client.greet()
        await client.say("MAIL FROM:<a@sender.example>")
        client.writer.transport.pause_reading()
        client.send(b"RCPT TO:<r@hop.example>\r\n" * 5000)
        await asyncio.wait_for(hop.saw("disconnect"), SLOWEST)
        assert relay.server.connections == 0


@pytest.mark.scenario(
    "A34",
    "silent connections take every place; then others come with mail",
    "who was silent longest makes room (421 4.4.2); every mail is delivered",
)
async def test_the_silent_make_room_for_those_with_mail(record_property):
    places = 200
    async with (
        FakeNextHop() as hop,
        relaying(hop.url, max_connections=places, silence=0.0) as relay,
        contextlib.AsyncExitStack() as stack,
    ):
        silent = [await stack.enter_async_context(relay.client()) for _ in range(places)]
        for client in silent:
            await client.reply()
        for _ in range(places):
            async with relay.client() as honest:
                await honest.greet()
                await honest.envelope()
                assert await honest.data(MESSAGE + END) == ACCEPTED
                assert await honest.say("QUIT") == b"221 2.0.0 Bye\r\n"
        assert (await silent[0].reply())[:9] == b"421 4.4.2"
        assert await silent[0].rest() == b""
        # One had to go; the others hold what they have until somebody needs it.
        assert (await silent[1].say("NOOP")).startswith(b"250 ")
        assert relay.server.connections <= places
    assert len(hop.messages) == places
    record_property("figure", f"{places} silent, {places} mails delivered beside them")


@pytest.mark.scenario(
    "A35",
    "every place is taken by clients that have just spoken or are sending a message",
    "nobody is cut off; the newcomer is answered 421 4.7.0",
)
async def test_nobody_who_works_makes_room():
    async with (
        FakeNextHop() as hop,
        relaying(hop.url, max_connections=2, silence=0.0) as relay,
        relay.client() as first,
        relay.client() as second,
    ):
        for client in (first, second):
            await client.greet()
            await client.envelope()
            assert (await client.say("DATA")).startswith(b"354 ")
        async with relay.client() as third:
            assert (await third.reply())[:9] == b"421 4.7.0"
        for client in (first, second):
            client.send(MESSAGE + END)
            assert await client.reply() == ACCEPTED
    async with (
        FakeNextHop() as hop,
        relaying(hop.url, max_connections=1) as relay,
        relay.client() as first,
    ):
        await first.greet()
        async with RawClient(relay.port) as second:
            assert (await second.reply())[:9] == b"421 4.7.0"
        await first.envelope()
        assert await first.data(MESSAGE + END) == ACCEPTED
