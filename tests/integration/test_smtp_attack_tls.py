"""Plain text smuggled into a TLS session, on either side: it is never obeyed, never believed."""

import ssl

import pytest
import trustme
from smtp_codes import assert_proper
from smtp_peers import EHLO, FakeNextHop, relaying

MESSAGE = b"Subject: hello\r\n\r\nText.\r\n"
END = b".\r\n"
ACCEPTED = b"250 2.0.0 Ok: queued as 4F00\r\n"
EVIL = (
    b"EHLO evil.example\r\nMAIL FROM:<evil@x.example>\r\nRCPT TO:<victim@hop.example>\r\nDATA\r\n"
)


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


@pytest.mark.scenario(
    "A70",
    "commands in plain text behind STARTTLS: in its packet, without their end, as a whole mail, as half a handshake",
    "none is obeyed inside TLS; what was said before TLS is forgotten; the TLS client's own mail arrives",
)
@pytest.mark.parametrize(
    "injected",
    [EVIL, EVIL.rstrip(), EVIL + MESSAGE + END, b"RSET\r\n", b"\r\n", b"M", b"\x00" * 100],
    ids=["commands", "half", "mail", "RSET", "line", "octet", "NUL"],
)
async def test_what_is_injected_before_the_handshake_is_gone(
    injected, server_context, client_context
):
    async with (
        FakeNextHop() as hop,
        relaying(hop.url, tls=server_context) as relay,
        relay.client() as client,
    ):
        await client.greet("EHLO plain.example")
        await client.envelope()
        client.send(b"STARTTLS\r\n" + injected)
        assert (await client.reply()).startswith(b"220 2.0.0 ")
        await client.writer.start_tls(client_context, server_hostname="localhost")
        assert (await client.say("DATA"))[:9] == b"503 5.5.1"
        assert (await client.say("MAIL FROM:<a@sender.example>"))[:9] == b"503 5.5.1"
        assert b"STARTTLS" not in await client.say("EHLO safe.example")
        await client.envelope()
        assert await client.data(MESSAGE + END) == ACCEPTED
        assert await client.say("QUIT") == b"221 2.0.0 Bye\r\n"
    assert [one.content for one in hop.messages] == [MESSAGE]
    assert not any("evil" in line or "victim" in line for line in hop.commands)
    assert relay.examiner.envelopes[0].helo == "safe.example"


@pytest.mark.scenario(
    "A71",
    "STARTTLS where it is not offered: without a certificate, a second time inside TLS, with an argument",
    "502 5.5.1 or 501 5.5.4, no handshake, nothing that follows is lost or obeyed twice",
)
@pytest.mark.parametrize("injected", [b"", EVIL[: EVIL.index(b"DATA")]], ids=["alone", "pipelined"])
async def test_starttls_that_is_not_offered_is_refused(injected):
    async with FakeNextHop() as hop, relaying(hop.url) as relay, relay.client() as client:
        assert b"STARTTLS" not in await client.greet()
        client.send(b"STARTTLS\r\nSTARTTLS now\r\n" + injected + b"NOOP\r\n")
        replies = [await client.reply() for _ in range(3 + injected.count(b"\n"))]
        for reply in replies:
            assert_proper(reply)
        assert [reply[:9] for reply in replies[:2]] == [b"502 5.5.1", b"501 5.5.4"]
        assert replies[-1] == b"250 2.0.0 OK\r\n"
    # Plain commands behind it are just that.
    assert len([line for line in hop.commands if "evil@" in line]) == bool(injected)


@pytest.mark.scenario(
    "A72",
    "a man in the middle puts replies behind the next hop's 220 to STARTTLS",
    "they are discarded: extensions and replies are those said inside TLS",
)
async def test_replies_injected_before_our_handshake_are_not_believed(
    server_context, client_context
):
    offers = EHLO.replace(b"XFORWARD NAME ADDR PROTO HELO SOURCE", b"STARTTLS")
    modest = b"250-hop.example\r\n250 8BITMIME\r\n"
    hop = FakeNextHop({"EHLO": [offers, modest]}, context=server_context)
    hop.go_ahead = (
        b"220 2.0.0 Go ahead\r\n250-evil.example\r\n250 XFORWARD ADDR\r\n250 2.1.0 Ok\r\n"
    )
    options = {"tls": "required", "tls_context": client_context}
    refusal = b"550 5.1.1 No such user\r\n"
    hop.script["RCPT"] = [refusal]
    async with hop, relaying(hop.url, options=options) as relay, relay.client() as client:
        greeting = await client.greet()
        assert b"8BITMIME" in greeting
        assert b"XFORWARD" not in greeting
        assert b"SMTPUTF8" not in greeting
        assert await client.say("MAIL FROM:<a@sender.example>") == b"250 2.1.0 Ok\r\n"
        assert await client.say("RCPT TO:<nobody@hop.example>") == refusal
        assert await client.say("RCPT TO:<r@hop.example>") == b"250 2.1.5 Ok\r\n"
        assert await client.data(MESSAGE + END) == ACCEPTED
    assert len(hop.messages) == 1
