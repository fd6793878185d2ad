"""The next hop misbehaves: nothing is claimed that it did not say, nothing arrives twice."""

import asyncio
import socket

import pytest
import structlog
from smtp_peers import Close, FakeNextHop, Wait, relaying

from filterd.errors import NextHopError
from filterd.smtp import NextHopOptions, open_next_hop

MESSAGE = b"Subject: hello\r\n\r\nText.\r\n"
END = b".\r\n"
ACCEPTED = b"250 2.0.0 Ok: queued as 4F00\r\n"
OK = b"250 2.1.5 Ok\r\n"


async def send(client, stuffed=MESSAGE + END):
    await client.greet()
    await client.envelope()
    return await client.data(stuffed)


def unused_port():
    with socket.create_server(("127.0.0.1", 0)) as sock:
        return sock.getsockname()[1]


async def test_a_next_hop_that_is_down_means_451():
    async with (
        relaying(f"smtp://127.0.0.1:{unused_port()}") as relay,
        relay.client() as client,
    ):
        await client.greet("HELO client.example")
        for _ in range(2):
            assert (await client.say("MAIL FROM:<a@b.example>"))[:9] == b"451 4.4.1"
            assert (await client.say("RCPT TO:<r@hop.example>"))[:9] == b"503 5.5.1"
        assert await client.say("QUIT") == b"221 2.0.0 Bye\r\n"


async def test_no_extensions_are_denied_while_those_of_the_next_hop_are_unknown():
    # A client that is not offered SMTPUTF8 bounces mail that needs it; 4xx makes it come again.
    async with FakeNextHop() as hop, relaying(hop.url) as relay:
        await hop.stop()
        async with relay.client() as client:
            down = b"421 4.4.1 The mail server behind this filter cannot be reached\r\n"
            assert await client.greet() == down
            assert await client.reply() == b""
        hop._server = await asyncio.start_server(hop._serve, "127.0.0.1", hop.port)
        async with relay.client() as client:
            assert b"SMTPUTF8" in await client.greet()


async def test_a_next_hop_that_comes_back_is_used_again():
    async with FakeNextHop() as hop, relaying(hop.url) as relay, relay.client() as client:
        await client.greet()
        await hop.stop()
        assert (await client.say("MAIL FROM:<a@b.example>"))[:9] == b"451 4.4.1"
        hop._server = await asyncio.start_server(hop._serve, "127.0.0.1", hop.port)
        await client.envelope()
        assert await client.data(MESSAGE + END) == ACCEPTED


@pytest.mark.parametrize(
    "greeting", [b"554 5.3.2 Go away\r\n", b"421 4.7.0 Busy\r\n", b"hello\r\n"]
)
async def test_a_next_hop_that_greets_us_badly_means_451(greeting):
    async with (
        FakeNextHop({"connect": [greeting] * 2}) as hop,
        relaying(hop.url) as relay,
        relay.client() as client,
    ):
        await client.greet("HELO client.example")
        assert (await client.say("MAIL FROM:<a@b.example>"))[:9] == b"451 4.4.1"
    assert hop.commands == []


async def test_a_next_hop_that_never_greets_means_451_in_good_time():
    silence = [Wait(b""), Wait(b"")]
    async with (
        FakeNextHop({"connect": silence}) as hop,
        relaying(hop.url, options={"connect_timeout": 0.2}) as relay,
        relay.client() as client,
    ):
        await client.greet("HELO client.example")
        assert (await client.say("MAIL FROM:<a@b.example>"))[:9] == b"451 4.4.1"


@pytest.mark.parametrize("act", [Close(), Close(b"250 2.1"), b"garbage\r\n", b"354 What?\r\n"])
@pytest.mark.parametrize("step", ["RCPT", "DATA"])
async def test_a_next_hop_lost_in_the_envelope_means_451_until_the_next_mail(step, act):
    async with (
        FakeNextHop({step: [OK, act] if step == "RCPT" else act}) as hop,
        relaying(hop.url) as relay,
        relay.client() as client,
    ):
        if step == "DATA" and act == b"354 What?\r\n":
            hop.script["DATA"] = [b"250 2.0.0 Sure\r\n"]
        await client.greet()
        await client.envelope()
        if step == "RCPT":
            assert (await client.say("RCPT TO:<r1@hop.example>"))[:9] == b"451 4.4.1"
        assert (await client.say("DATA"))[:9] == b"451 4.4.1"
        assert (await client.say("RCPT TO:<r2@hop.example>"))[:9] == b"451 4.4.1"
        assert await client.say("RSET") == b"250 2.0.0 OK\r\n"
        await client.envelope()
        assert await client.data(MESSAGE + END) == ACCEPTED
    assert len(hop.messages) == 1
    assert hop.connections == 2


@pytest.mark.parametrize(
    "act",
    [Close(), Close(b"250 2.0.0 O"), b"hello\r\n", b"354 Go on\r\n", b"150 soon\r\n"],
    ids=["close", "half a reply", "garbage", "354", "150"],
)
async def test_a_reply_lost_after_the_content_means_451_and_a_record(act):
    async with FakeNextHop({".": act}) as hop, relaying(hop.url) as relay, relay.client() as client:
        assert (await send(client))[:9] == b"451 4.4.2"
        assert await client.say("NOOP") == b"250 2.0.0 OK\r\n"
        await hop.saw("disconnect")
    assert relay.examiner.records == [(1, (451,))]
    assert len(hop.messages) == hop.connections == 1


async def test_a_next_hop_that_hangs_after_the_content_means_451_in_good_time():
    async with (
        FakeNextHop({".": Wait(b"")}) as hop,
        relaying(hop.url, options={"timeout": 0.2}) as relay,
        relay.client() as client,
    ):
        assert (await send(client))[:9] == b"451 4.4.2"
    assert len(hop.messages) == 1


async def test_a_reply_before_the_next_hop_half_closes_counts():
    async with (
        FakeNextHop({".": Close(ACCEPTED, half=True)}) as hop,
        relaying(hop.url) as relay,
        relay.client() as client,
    ):
        assert await send(client) == ACCEPTED
        await client.envelope()
        assert await client.data(MESSAGE + END) == ACCEPTED
    assert hop.connections == 2


async def test_a_next_hop_that_dies_inside_the_content_means_451():
    class Dying(FakeNextHop):
        async def _content(self, reader):
            await reader.readexactly(100_000)
            raise ConnectionResetError

    async with Dying() as hop, relaying(hop.url) as relay, relay.client() as client:
        assert (await send(client, MESSAGE * 200_000 + END))[:9] == b"451 4.4.2"
    assert hop.messages == []
    assert relay.examiner.records == [(1, (451,))]


@pytest.mark.scenario(
    "F24",
    "the next hop refuses inside the content and closes",
    "its refusal is passed on, or 451; nothing is delivered",
)
async def test_a_next_hop_that_refuses_inside_the_content_is_heard():
    refusal = b"552 5.3.4 Too much\r\n"

    class Full(FakeNextHop):
        async def _content(self, reader):
            await reader.readexactly(100_000)
            self.writer.write(refusal)
            self.events.put_nowait("refused")
            while await reader.read(65_536):
                pass
            raise ConnectionResetError

        async def _converse(self, reader, writer):
            self.writer = writer
            await super()._converse(reader, writer)

    async with Full() as hop, relaying(hop.url) as relay, relay.client() as client:
        reply = await send(client, MESSAGE * 300_000 + END)
        assert reply in (
            refusal,
            b"451 4.4.2 The mail server behind this filter did not answer\r\n",
        )
    assert hop.messages == []


@pytest.mark.scenario(
    "F23",
    "the next hop says 250 before it has the content",
    "it is not believed: 451",
)
async def test_a_premature_250_is_not_believed():
    class Eager(FakeNextHop):
        async def _act(self, step, writer):
            if step == "DATA":
                writer.write(b"354 go\r\n250 2.0.0 Got it already\r\n")
                return b"354 go\r\n"
            return await super()._act(step, writer)

    async with Eager() as hop, relaying(hop.url) as relay, relay.client() as client:
        assert (await send(client))[:9] == b"451 4.4.2"


@pytest.mark.scenario(
    "F25",
    "the next hop answers one command twice",
    "no reply is taken for that to another command: 451",
)
async def test_a_stray_reply_is_never_taken_for_an_answer():
    script = {"MAIL": b"250 2.1.0 Ok\r\n250 2.1.5 Ok\r\n", "RCPT": b"550 5.1.1 No such user\r\n"}
    async with FakeNextHop(script) as hop, relaying(hop.url) as relay, relay.client() as client:
        await client.greet()
        assert await client.say("MAIL FROM:<a@sender.example>") == b"250 2.1.0 Ok\r\n"
        assert (await client.say("RCPT TO:<nobody@hop.example>"))[:9] == b"451 4.4.1"
    assert hop.messages == []


@pytest.mark.scenario(
    "F21",
    "the next hop says 421 unasked, in the middle of a transaction",
    "the client is told 421 and the session ends; nothing is delivered",
)
async def test_421_said_unasked_is_the_next_reply():
    going = b"421 4.3.2 Shutting down\r\n"
    script = {"MAIL": b"250 2.1.0 Ok\r\n" + going}
    async with FakeNextHop(script) as hop, relaying(hop.url) as relay, relay.client() as client:
        await client.greet()
        assert await client.say("MAIL FROM:<a@sender.example>") == b"250 2.1.0 Ok\r\n"
        assert await client.say("RCPT TO:<r@hop.example>") == going
        assert await client.rest() == b""


async def test_an_endless_reply_is_no_reply():
    endless = b"250-" + b"x" * 100_000
    async with (
        FakeNextHop({"RCPT": endless}) as hop,
        relaying(hop.url) as relay,
        relay.client() as client,
    ):
        await client.greet()
        await client.say("MAIL FROM:<a@sender.example>")
        assert (await client.say("RCPT TO:<r@hop.example>"))[:9] == b"451 4.4.1"


@pytest.mark.parametrize("parting", [b"", b"421 4.4.2 Idle too long\r\n"])
@pytest.mark.scenario(
    "F22",
    "the next hop closes a connection that lies idle, with a 421 or without a word",
    "the next mail goes over a new one; the client notices nothing",
)
async def test_an_idle_connection_that_the_next_hop_closed_is_replaced_silently(parting):
    class Parting(FakeNextHop):
        async def _converse(self, reader, writer):
            self.writer = writer
            await super()._converse(reader, writer)

    async with Parting() as hop, relaying(hop.url) as relay, relay.client() as client:
        assert await send(client) == ACCEPTED
        hop.writer.write(parting)
        hop.writer.close()
        await hop.saw("disconnect")
        await client.envelope()
        assert await client.data(MESSAGE + END) == ACCEPTED
    assert len(hop.messages) == hop.connections == 2


@pytest.mark.parametrize("act", [Close(), b"421 4.4.2 Idle too long\r\n", b"nonsense\r\n"])
async def test_a_connection_found_dead_at_mail_is_replaced(act):
    async with FakeNextHop() as hop, relaying(hop.url) as relay, relay.client() as client:
        assert await send(client) == ACCEPTED
        hop.script["MAIL"] = [act]
        await client.envelope()
        assert await client.data(MESSAGE + END) == ACCEPTED
    assert len(hop.messages) == hop.connections == 2


async def test_a_connection_found_dead_at_mail_is_replaced_only_once():
    async with FakeNextHop() as hop, relaying(hop.url) as relay, relay.client() as client:
        assert await send(client) == ACCEPTED
        hop.script["MAIL"] = [Close(), Close()]
        assert (await client.say("MAIL FROM:<a@sender.example>"))[:9] == b"451 4.4.1"
    assert hop.connections == 2


async def test_a_connection_found_dead_at_xforward_is_replaced_too():
    async with FakeNextHop() as hop, relaying(hop.url) as relay, relay.client() as client:
        assert await send(client) == ACCEPTED
        hop.script["XFORWARD"] = [Close()]
        assert await client.say("XFORWARD ADDR=192.0.2.7") == b"250 2.0.0 Ok\r\n"
        await client.envelope()
        assert await client.data(MESSAGE + END) == ACCEPTED
    forwarded = [command for command in hop.commands if command.startswith("XFORWARD")]
    assert len(forwarded) == hop.connections == 2


async def test_idle_connections_are_closed_after_their_time():
    async with (
        FakeNextHop() as hop,
        relaying(hop.url, options={"idle": 0.05}) as relay,
        relay.client() as client,
    ):
        assert await send(client) == ACCEPTED
        await hop.saw("QUIT")
        await client.envelope()
        assert await client.data(MESSAGE + END) == ACCEPTED
    assert hop.connections == 2


async def test_no_more_connections_idle_than_the_pool_holds():
    async with FakeNextHop() as hop, relaying(hop.url, options={"pool_size": 2}) as relay:
        clients = [relay.client() for _ in range(5)]
        for client in clients:
            await client.__aenter__()
            await client.greet()
            await client.envelope()
        assert hop.open == 5
        for client in clients:
            assert await client.data(MESSAGE + END) == ACCEPTED
        for _ in range(3):
            await hop.saw("disconnect")
        for client in clients:
            await client.__aexit__()
        assert hop.open == 2


@pytest.mark.scenario(
    "F26",
    "the next hop takes the content slower than it comes",
    "all of it arrives, unaltered",
)
async def test_a_next_hop_that_is_slow_to_take_content_gets_it_all():
    class Slow(FakeNextHop):
        async def _content(self, reader):
            self.taking = asyncio.Event()
            await self.taking.wait()
            return await super()._content(reader)

    message = MESSAGE * 300_000
    async with (
        Slow() as hop,
        relaying(hop.url, limits={"max_message_size": 20_000_000}) as relay,
        relay.client() as client,
    ):
        await client.greet()
        await client.envelope()
        await client.say("DATA")
        client.send(message + END)
        await client.writer.drain()
        await relay.examiner.arrived.wait()
        hop.taking.set()
        assert await client.reply() == ACCEPTED
    assert hop.messages[0].content == message


async def test_capabilities_of_a_next_hop_that_is_down_are_an_error_for_the_person():
    hop = open_next_hop(f"smtp://127.0.0.1:{unused_port()}", NextHopOptions(hostname="x.example"))
    with pytest.raises(NextHopError, match=r"^smtp://127.0.0.1:\d+: Connection refused$"):
        await hop.capabilities()


async def test_a_next_hop_that_refuses_our_hello_is_an_error_that_says_so():
    script = {"EHLO": b"550 5.7.1 Not you\r\n", "HELO": b"550 5.7.1 Not you\r\n"}
    async with FakeNextHop(script) as fake:
        hop = open_next_hop(fake.url, NextHopOptions(hostname="x.example"))
        with pytest.raises(NextHopError, match=r"refused us: 550 5\.7\.1 Not you"):
            await hop.capabilities()


@pytest.mark.parametrize(
    "url",
    [
        "",
        "smtp:",
        "smtp://",
        "smtp://:25",
        "smtp:///socket",
        "smtp://host:port",
        "smtp://host:99999",
        "smtp://host/path",
        "smtp://user@host",
        "smtp://host?x=1",
        "lmtp://",
        "lmtp:///",
        "maildir:",
        "http://host",
        "host:25",
    ],
)
def test_a_next_hop_that_cannot_be_understood_is_named(url):
    with pytest.raises(NextHopError, match="next hop") as error:
        open_next_hop(url, NextHopOptions(hostname="x.example"))
    assert repr(url) in str(error.value)


def test_a_hostname_that_cannot_be_said_is_refused():
    with pytest.raises(NextHopError, match="hostname"):
        open_next_hop("smtp://host", NextHopOptions(hostname="two words"))


@pytest.mark.parametrize("url", ["smtp://host", "smtp://[::1]:2525", "lmtp://host:24", "lmtp:///s"])
def test_next_hops_by_url(url):
    hop = open_next_hop(url, NextHopOptions(hostname="x.example"))
    assert hop.url == url
    assert hop.per_recipient is url.startswith("lmtp")


async def test_logs_hold_neither_addresses_nor_content(caplog):
    caplog.set_level("DEBUG")
    secret = b"Subject: secret\r\n\r\nsecret\r\n"
    with structlog.testing.capture_logs() as logs:
        async with (
            FakeNextHop({"RCPT": [OK, Close()], ".": [Close()]}) as hop,
            relaying(hop.url) as relay,
            relay.client() as client,
        ):
            await client.greet("EHLO secret.example")
            await client.say("MAIL FROM:<secret@sender.example>")
            await client.say("RCPT TO:<secret@hop.example>")
            await client.say("RCPT TO:<secret2@hop.example>")
            await client.say("RSET")
            await client.say("MAIL FROM:<secret@sender.example")
            await client.say("MAIL FROM:<secret@sender.example>")
            await client.say("RCPT TO:<secret@hop.example>")
            assert (await client.data(secret + END))[:9] == b"451 4.4.2"
            await hop.stop()
            await client.say("MAIL FROM:<secret@sender.example>")
    assert {"next_hop_failed", "next_hop_reply_lost"} <= {log["event"] for log in logs}
    assert "secret" not in repr(logs) + caplog.text
