"""The server around the sessions: who may in, TLS, PROXY, clocks, drain, and real peers."""

import asyncio
import smtplib
import socket
import ssl
import struct

import aiosmtplib
import pytest
import trustme
from aiosmtpd.smtp import SMTP
from smtp_peers import EHLO, LOOPBACK, NOBODY, PATIENCE, FakeNextHop, RawClient, Wait, relaying

from filterd.smtp import Outcome

MESSAGE = b"Subject: hello\r\n\r\nText.\r\n"
END = b".\r\n"
ACCEPTED = b"250 2.0.0 Ok: queued as 4F00\r\n"
STARTTLS = EHLO.replace(b"XFORWARD NAME ADDR PROTO HELO SOURCE", b"STARTTLS")


@pytest.fixture(scope="module")
def authority():
    return trustme.CA()


@pytest.fixture(scope="module")
def server_context(authority):
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("localhost", "127.0.0.1").configure_cert(context)
    return context


@pytest.fixture(scope="module")
def client_context(authority):
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return context


# Who may in


async def test_a_client_that_is_not_allowed_is_refused_at_connect():
    async with (
        FakeNextHop() as hop,
        relaying(hop.url, allowed_clients=NOBODY) as relay,
        relay.client() as client,
    ):
        assert (await client.reply())[:9] == b"554 5.7.1"
        assert await client.rest() == b""
    assert hop.connections == 0


@pytest.mark.scenario(
    "A36",
    "more connections than max_connections, none of them silent for long",
    "421 4.7.0 for the newcomer; a place that becomes free is used",
)
async def test_connections_over_the_limit_are_told_to_come_later():
    async with (
        FakeNextHop() as hop,
        relaying(hop.url, max_connections=2) as relay,
        relay.client() as first,
        relay.client() as second,
    ):
        await first.greet()
        await second.greet()
        assert relay.server.connections == 2
        async with relay.client() as third:
            assert (await third.reply())[:9] == b"421 4.7.0"
            assert await third.rest() == b""
        assert await first.say("QUIT") == b"221 2.0.0 Bye\r\n"
        assert await first.rest() == b""
        async with relay.client() as third:
            await third.greet()


@pytest.mark.scenario(
    "A37",
    "200 connections that are reset at once",
    "none stays; the next client is served",
)
async def test_clients_that_come_and_go_leave_nothing_behind():
    async with FakeNextHop() as hop, relaying(hop.url) as relay:
        for _ in range(200):
            client = await relay.client().__aenter__()
            client.reset()
        async with relay.client() as other:
            await other.greet()
            assert relay.server.connections == 1
    assert hop.connections == 1


# Clocks


async def test_a_client_that_says_nothing_is_sent_away():
    async with (
        FakeNextHop() as hop,
        relaying(hop.url, limits={"command_timeout": 0.1}) as relay,
        relay.client() as client,
    ):
        await client.greet()
        await client.envelope()
        assert (await client.reply())[:9] == b"421 4.4.2"
        assert await client.rest() == b""
        await hop.saw("disconnect")


async def test_a_client_that_drips_its_command_gets_no_more_time():
    async with (
        FakeNextHop() as hop,
        relaying(hop.url, limits={"command_timeout": 0.2}) as relay,
        relay.client() as client,
    ):
        await client.greet()

        async def drip():
            while True:
                client.send(b"N")
                await asyncio.sleep(0.02)

        dripping = asyncio.ensure_future(drip())
        assert (await client.reply())[:9] == b"421 4.4.2"
        dripping.cancel()


async def test_content_that_takes_too_long_is_given_up():
    async with (
        FakeNextHop() as hop,
        relaying(hop.url, limits={"data_timeout": 0.1}) as relay,
        relay.client() as client,
    ):
        await client.greet()
        await client.envelope()
        assert (await client.data(MESSAGE))[:9] == b"421 4.4.2"
        assert await client.rest() == b""
        await hop.saw("disconnect")
    assert hop.messages == []


async def test_a_command_without_an_end_is_cut_off():
    async with FakeNextHop() as hop, relaying(hop.url) as relay, relay.client() as client:
        await client.greet()
        client.send(b"x" * 200_000)
        assert (await client.reply())[:9] == b"500 5.5.2"
        assert await client.rest() == b""


async def test_a_session_that_breaks_says_451_and_no_more(monkeypatch):
    async with FakeNextHop() as hop, relaying(hop.url) as relay, relay.client() as client:
        await client.greet()
        monkeypatch.setattr(relay.next_hop, "begin", lambda: 1 / 0)
        assert await client.say("MAIL FROM:<a@b.example>") == (
            b"451 4.3.0 Internal error, try again later\r\n"
        )
        assert await client.rest() == b""


# TLS


async def test_starttls_is_offered_used_and_not_offered_again(server_context, client_context):
    async with FakeNextHop() as hop, relaying(hop.url, tls=server_context) as relay:
        client = aiosmtplib.SMTP(
            hostname="127.0.0.1", port=relay.port, tls_context=client_context, start_tls=True
        )
        async with client:
            await client.ehlo()
            assert not client.supports_extension("STARTTLS")
            assert client.supports_extension("8BITMIME")
            assert client.get_transport_info("cipher")
            large = "Subject: x\r\n\r\n" + "0123456789\r\n" * 100_000
            _, text = await client.sendmail("a@b.example", ["r@hop.example"], large)
            assert text == "2.0.0 Ok: queued as 4F00"
            _, text = await client.sendmail("a@b.example", ["r@hop.example"], MESSAGE)
    assert [message.content for message in hop.messages] == [large.encode(), MESSAGE]


async def test_commands_injected_before_the_handshake_are_discarded(server_context, client_context):
    async with (
        FakeNextHop() as hop,
        relaying(hop.url, tls=server_context) as relay,
        relay.client() as client,
    ):
        assert b"250-STARTTLS\r\n" in await client.greet()
        await client.envelope()
        client.send(b"STARTTLS\r\nEHLO evil.example\r\nMAIL FROM:<evil@x.example>\r\n")
        assert await client.reply() == b"220 2.0.0 Ready to start TLS\r\n"
        await client.writer.start_tls(client_context, server_hostname="localhost")
        assert (await client.say("MAIL FROM:<a@b.example>"))[:9] == b"503 5.5.1"
        assert b"STARTTLS" not in await client.say("EHLO again.example")
        assert (await client.say("STARTTLS"))[:9] == b"502 5.5.1"
        await client.envelope()
        assert await client.data(MESSAGE + END) == ACCEPTED
        assert await client.say("QUIT") == b"221 2.0.0 Bye\r\n"
    assert not [command for command in hop.commands if "evil" in command]
    assert relay.examiner.envelopes[0].helo == "again.example"


async def test_a_handshake_that_fails_ends_the_session(server_context):
    async with (
        FakeNextHop() as hop,
        relaying(hop.url, tls=server_context) as relay,
        relay.client() as client,
    ):
        await client.greet()
        assert (await client.say("STARTTLS now"))[:9] == b"501 5.5.4"
        assert (await client.say("STARTTLS")).startswith(b"220 ")
        client.send(b"this is no handshake\r\n" * 10)
        await client.rest()
        await asyncio.wait_for(relay.server.drain(PATIENCE), PATIENCE / 2)


async def test_a_tls_client_that_leaves_during_the_hand_over_gets_its_mail_delivered_once(
    server_context, client_context
):
    slow = Wait(ACCEPTED)
    async with (
        FakeNextHop({".": slow}) as hop,
        relaying(hop.url, tls=server_context) as relay,
    ):
        async with relay.client() as client:
            await client.greet()
            await client.say("STARTTLS")
            await client.writer.start_tls(client_context, server_hostname="localhost")
            await client.say("EHLO client.example")
            await client.envelope()
            await client.say("DATA")
            client.send(MESSAGE + END)
            await slow.reached.wait()
            client.reset()
        async with relay.client() as other:
            await other.greet()
            assert relay.server.connections == 1  # the first client is known to be gone
        slow.gate.set()
        await asyncio.wait_for(relay.examiner.recorded.wait(), 10)
    assert relay.examiner.records == [(1, (250,))]
    assert len(hop.messages) == 1


@pytest.mark.parametrize("tls", ["opportunistic", "required"])
async def test_starttls_towards_the_next_hop(tls, server_context, client_context):
    hop = FakeNextHop({"EHLO": [STARTTLS]}, context=server_context)
    options = {"tls": tls, "tls_context": client_context}
    async with hop, relaying(hop.url, options=options) as relay, relay.client() as client:
        await client.greet()
        await client.envelope()
        assert await client.data(MESSAGE + END) == ACCEPTED
    assert hop.commands[:3] == ["EHLO filter.example", "STARTTLS", "EHLO filter.example"]


async def test_opportunistic_tls_goes_without_where_it_is_not_offered():
    async with (
        FakeNextHop() as hop,
        relaying(hop.url, options={"tls": "opportunistic"}) as relay,
        relay.client() as client,
    ):
        await client.greet()
        await client.envelope()
        assert await client.data(MESSAGE + END) == ACCEPTED
    assert "STARTTLS" not in hop.commands


async def test_opportunistic_tls_goes_without_where_it_fails():
    async with (
        FakeNextHop({"EHLO": [STARTTLS]}) as hop,  # without a certificate
        relaying(hop.url, options={"tls": "opportunistic"}) as relay,
        relay.client() as client,
    ):
        await client.greet()
        await client.envelope()
        assert await client.data(MESSAGE + END) == ACCEPTED
    assert hop.commands.count("STARTTLS") == 1
    assert len(hop.messages) == 1


@pytest.mark.parametrize("offer", [EHLO, STARTTLS], ids=["not offered", "not trusted"])
async def test_required_tls_sends_nothing_without_it(offer, server_context):
    hop = FakeNextHop({"EHLO": [offer, offer]}, context=server_context)
    options = {"tls": "required"}
    async with hop, relaying(hop.url, options=options) as relay, relay.client() as client:
        await client.greet("HELO client.example")
        assert (await client.say("MAIL FROM:<a@b.example>"))[:9] == b"451 4.4.1"
    assert not [command for command in hop.commands if command.startswith("MAIL")]


# PROXY


V1 = b"PROXY TCP4 192.0.2.9 127.0.0.1 4711 25\r\n"
V2_SIGNATURE = b"\r\n\r\n\x00\r\nQUIT\n"
V2 = (
    V2_SIGNATURE
    + b"\x21\x11"
    + struct.pack(
        "!H4s4sHH", 12, socket.inet_aton("192.0.2.9"), socket.inet_aton("127.0.0.1"), 4711, 25
    )
)


@pytest.mark.parametrize("header", [V1, V2], ids=["v1", "v2"])
async def test_the_address_from_proxy_is_the_clients(header):
    async with (
        FakeNextHop() as hop,
        relaying(hop.url, proxy_protocol=True, allowed_clients=(*LOOPBACK, *NOBODY)) as relay,
        relay.client() as client,
    ):
        client.send(header)
        # Not trusted for XFORWARD: that is for the client, not for the proxy.
        assert b"XFORWARD" not in await client.greet()
        await client.envelope()
        assert await client.data(MESSAGE + END) == ACCEPTED
    assert relay.examiner.envelopes[0].client_address == "192.0.2.9"


@pytest.mark.parametrize("header", [V1, V2], ids=["v1", "v2"])
async def test_a_client_behind_proxy_must_be_allowed(header):
    async with (
        FakeNextHop() as hop,
        relaying(hop.url, proxy_protocol=True) as relay,
        relay.client() as client,
    ):
        client.send(header)
        assert (await client.reply())[:9] == b"554 5.7.1"


@pytest.mark.parametrize(
    "header", [b"PROXY UNKNOWN\r\n", V2_SIGNATURE + b"\x20\x00\x00\x00"], ids=["v1", "v2 local"]
)
async def test_a_proxy_may_speak_for_itself(header):
    async with (
        FakeNextHop() as hop,
        relaying(hop.url, proxy_protocol=True) as relay,
        relay.client() as client,
    ):
        client.send(header)
        assert (await client.reply()).startswith(b"220 ")


@pytest.mark.scenario(
    "A67",
    "no PROXY header or a broken one where one is expected",
    "554 5.7.1",
)
@pytest.mark.parametrize(
    "header", [b"EHLO x\r\n", b"PROXY TCP4 x\r\n", V2_SIGNATURE[:6] + b"x" * 30]
)
async def test_no_proxy_header_no_service(header):
    async with (
        FakeNextHop() as hop,
        relaying(hop.url, proxy_protocol=True) as relay,
        relay.client() as client,
    ):
        client.send(header)
        assert (await client.rest())[:9] == b"554 5.7.1"


@pytest.mark.scenario(
    "A68",
    "a PROXY header with an allowed address, from a peer that is not trusted",
    "554 5.7.1, the next hop is not asked",
)
async def test_a_proxy_header_of_a_stranger_is_not_believed():
    async with (
        FakeNextHop() as hop,
        relaying(hop.url, proxy_protocol=True, trusted_peers=NOBODY) as relay,
        relay.client() as client,
    ):
        client.send(b"PROXY TCP4 127.0.0.1 127.0.0.1 4711 25\r\n")
        # We hang up with its header unread, so the kernel may reset before the reply is read.
        assert (await client.rest())[:9] in (b"554 5.7.1", b"")
    assert hop.connections == 0


# Drain


async def test_drain_sends_idle_clients_and_newcomers_away_and_lets_transactions_finish():
    slow = Wait(ACCEPTED)
    async with FakeNextHop({".": slow}) as hop, relaying(hop.url) as relay:
        async with relay.client() as idle, relay.client() as busy, relay.client() as half:
            await idle.greet()
            await busy.greet()
            await half.greet()
            await busy.envelope()
            await half.envelope()
            await busy.say("DATA")
            busy.send(MESSAGE + END)
            await slow.reached.wait()
            draining = asyncio.ensure_future(relay.server.drain(10))
            assert (await idle.reply())[:9] == b"421 4.3.2"
            assert await idle.rest() == b""
            async with relay.client() as late:
                assert (await late.reply())[:9] == b"421 4.3.2"
            assert await half.data(MESSAGE + END) == ACCEPTED
            assert (await half.reply())[:9] == b"421 4.3.2"
            assert await half.rest() == b""
            assert not draining.done()
            slow.gate.set()
            assert await busy.reply() == ACCEPTED
            assert (await busy.reply())[:9] == b"421 4.3.2"
            await draining
        assert len(hop.messages) == 2
        with pytest.raises(ConnectionRefusedError):
            await RawClient(relay.port).__aenter__()


async def test_drain_cuts_off_what_does_not_finish_in_time():
    never = Wait(ACCEPTED)
    async with FakeNextHop({".": never}) as hop, relaying(hop.url) as relay:
        async with relay.client() as waiting, relay.client() as lazy:
            await lazy.greet()
            await lazy.envelope()
            await waiting.greet()
            await waiting.envelope()
            await waiting.say("DATA")
            waiting.send(MESSAGE + END)
            await never.reached.wait()
            await relay.server.drain(0.1)
            assert await waiting.rest() == b""
            assert await lazy.rest() == b""
        assert relay.server.connections == 0
    assert relay.examiner.records == [(1, (451,))]


async def test_drain_of_a_server_nobody_uses_is_immediate():
    async with FakeNextHop() as hop, relaying(hop.url) as relay:
        await relay.server.drain(1000)


# Real peers


class RealNextHop:
    def __init__(self):
        self.envelopes = []

    async def handle_DATA(self, server, session, envelope):  # aiosmtpd's name
        self.envelopes.append(envelope)
        return "250 2.0.0 real"


async def test_the_standard_librarys_client_and_aiosmtpd_as_next_hop():
    handler = RealNextHop()
    listener = await asyncio.get_running_loop().create_server(
        lambda: SMTP(handler, enable_SMTPUTF8=True), "127.0.0.1", 0
    )
    port = listener.sockets[0].getsockname()[1]

    def send(to):
        with smtplib.SMTP("127.0.0.1", to, timeout=10) as client:
            assert client.ehlo()[0] == 250
            assert client.has_extn("8bitmime")
            assert not client.has_extn("dsn")
            client.sendmail("a@b.example", ["r@hop.example", "s@hop.example"], MESSAGE)
            with pytest.raises(smtplib.SMTPSenderRefused) as refused:
                client.sendmail("a@b.example", ["r@hop.example"], MESSAGE, ["RET=FULL"])
            assert refused.value.smtp_code == 555

    async with relaying(f"smtp://127.0.0.1:{port}") as relay:
        await asyncio.to_thread(send, relay.port)
        await asyncio.to_thread(send, relay.port)
    listener.close()
    assert [envelope.content for envelope in handler.envelopes] == [MESSAGE] * 2
    assert handler.envelopes[0].rcpt_tos == ["r@hop.example", "s@hop.example"]


async def test_fifty_clients_at_once_each_get_their_own_message_through():
    async with (
        FakeNextHop() as hop,
        relaying(hop.url, limits={"max_message_size": 1_000_000}) as relay,
    ):
        relay.examiner.decide = _yielding

        async def send(number):
            async with relay.client() as client:
                await client.greet()
                for turn in range(4):
                    await client.envelope()
                    content = b"Id: %d.%d\r\n\r\nText\r\n" % (number, turn)
                    assert await client.data(content + END) == ACCEPTED

        await asyncio.gather(*(send(number) for number in range(50)))
        ids = sorted(message.content for message in hop.messages)
    assert len(ids) == len(set(ids)) == 200
    assert hop.connections <= 100


async def _yielding(message):
    await asyncio.sleep(0)
    return Outcome(message, None)


async def test_replies_do_not_wait_for_nagle():
    async with FakeNextHop() as hop, relaying(hop.url) as relay, relay.client() as client:
        await client.greet()
        (session,) = relay.server._sessions
        sock = session.transport.get_extra_info("socket")
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
