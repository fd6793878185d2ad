"""Every verb is mirrored to the next hop and its reply comes back exactly."""

import pytest
from smtp_peers import EHLO, NOBODY, Close, FakeNextHop, relaying

MESSAGE = b"Subject: hello\r\n\r\nText.\r\n"
END = b".\r\n"


async def test_a_message_passes_and_its_reply_is_the_next_hops():
    async with FakeNextHop() as hop, relaying(hop.url) as relay, relay.client() as client:
        await client.greet()
        await client.envelope()
        assert await client.data(MESSAGE + END) == b"250 2.0.0 Ok: queued as 4F00\r\n"
        assert await client.say("QUIT") == b"221 2.0.0 Bye\r\n"
        assert await client.rest() == b""
    assert [message.content for message in hop.messages] == [MESSAGE]
    assert hop.messages[0].mail == "MAIL FROM:<a@sender.example>"
    assert hop.messages[0].rcpts == ["RCPT TO:<r0@hop.example>"]
    assert relay.examiner.records == [(1, (250,))]
    envelope = relay.examiner.envelopes[0]
    assert envelope.sender == "a@sender.example"
    assert envelope.recipients == ("r0@hop.example",)
    assert envelope.client_address == "127.0.0.1"
    assert envelope.helo == "client.example"


async def test_one_of_three_recipients_is_rejected_and_the_client_sees_exactly_that():
    refusal = b"550-5.1.1 <r1@hop.example>:\r\n550 5.1.1 no such user\r\n"
    accepted = b"250 2.1.5 Ok\r\n"
    script = {"RCPT": [accepted, refusal, accepted]}
    async with FakeNextHop(script) as hop, relaying(hop.url) as relay, relay.client() as client:
        await client.greet()
        await client.say("MAIL FROM:<a@sender.example>")
        replies = [await client.say(f"RCPT TO:<r{n}@hop.example>") for n in range(3)]
        assert replies == [accepted, refusal, accepted]
        assert (await client.data(MESSAGE + END)).startswith(b"250 ")
    assert len(hop.messages) == 1
    assert relay.examiner.envelopes[0].recipients == ("r0@hop.example", "r2@hop.example")


@pytest.mark.parametrize(
    "reply",
    [
        b"452 4.3.1 Insufficient system storage\r\n",
        b"554 5.7.1 Rejected for policy reasons\r\n",
        b"550-5.7.1 This message\r\n550-5.7.1 was not\r\n550 5.7.1 wanted\r\n",
        b"451 no enhanced code here\r\n",
    ],
)
async def test_a_refusal_at_the_end_of_data_is_seen_exactly(reply):
    async with (
        FakeNextHop({".": reply}) as hop,
        relaying(hop.url) as relay,
        relay.client() as client,
    ):
        await client.greet()
        await client.envelope()
        assert await client.data(MESSAGE + END) == reply
        assert await client.say("NOOP") == b"250 2.0.0 OK\r\n"
    assert relay.examiner.records == [(1, (int(reply[:3]),))]


@pytest.mark.parametrize("step", ["RCPT", "DATA", "."])
async def test_421_is_passed_on_and_ends_both_connections(step):
    reply = b"421-4.3.2 Going\r\n421 4.3.2 down\r\n"
    async with (
        FakeNextHop({step: reply}) as hop,
        relaying(hop.url) as relay,
        relay.client() as client,
    ):
        await client.greet()
        client.send(b"MAIL FROM:<a@sender.example>\r\nRCPT TO:<r@hop.example>\r\n")
        replies = [await client.reply(), await client.reply()]
        if step in ("DATA", "."):
            replies.append(await client.say("DATA"))
        if step == ".":
            client.send(MESSAGE + END)
            replies.append(await client.reply())
        assert replies[-1] == reply
        assert await client.rest() == b""
        await hop.saw("disconnect")
    assert hop.connections == 1
    assert len(hop.messages) == (step == ".")


async def test_421_to_mail_on_an_idle_connection_is_passed_on_if_a_new_one_gets_it_too():
    going = b"421 4.3.2 Going down\r\n"
    async with (
        FakeNextHop({"MAIL": [going, going]}) as hop,
        relaying(hop.url) as relay,
        relay.client() as client,
    ):
        await client.greet()
        assert await client.say("MAIL FROM:<a@sender.example>") == going
        assert await client.rest() == b""
    assert hop.connections == 2


async def test_control_characters_in_a_reply_do_not_reach_the_client():
    script = {".": b"550 5.7.1 a\x1b[31mb\x00c\rd\r\n"}
    async with FakeNextHop(script) as hop, relaying(hop.url) as relay, relay.client() as client:
        await client.greet()
        await client.envelope()
        assert await client.data(MESSAGE + END) == b"550 5.7.1 a [31mb c d\r\n"


async def test_mail_refused_by_the_next_hop_is_refused_to_the_client():
    refusal = b"553 5.1.8 Sender domain not found\r\n"
    async with (
        FakeNextHop({"MAIL": refusal}) as hop,
        relaying(hop.url) as relay,
        relay.client() as client,
    ):
        await client.greet()
        assert await client.say("MAIL FROM:<a@sender.example>") == refusal
        assert (await client.say("RCPT TO:<r@hop.example>")).startswith(b"503 5.5.1 ")
        await client.envelope()
        assert (await client.data(MESSAGE + END)).startswith(b"250 ")
    assert hop.connections == 1


async def test_data_refused_by_the_next_hop_is_refused_to_the_client():
    refusal = b"451 4.7.1 Greylisted\r\n"
    async with (
        FakeNextHop({"DATA": refusal}) as hop,
        relaying(hop.url) as relay,
        relay.client() as client,
    ):
        await client.greet()
        await client.envelope()
        assert await client.say("DATA") == refusal
        assert await client.say("RSET") == b"250 2.0.0 Ok\r\n"
    assert hop.messages == []
    assert relay.examiner.messages == []


async def test_the_next_hops_own_354_is_passed_on():
    async with (
        FakeNextHop({"DATA": b"354 Come on\r\n"}) as hop,
        relaying(hop.url) as relay,
        relay.client() as client,
    ):
        await client.greet()
        await client.envelope()
        assert await client.say("DATA") == b"354 Come on\r\n"


async def test_ehlo_offers_what_both_sides_can():
    async with FakeNextHop() as hop, relaying(hop.url) as relay, relay.client() as client:
        assert await client.greet() == (
            b"250-filter.example\r\n250-PIPELINING\r\n250-SIZE 10000000\r\n250-8BITMIME\r\n"
            b"250-SMTPUTF8\r\n250-DSN\r\n250-ENHANCEDSTATUSCODES\r\n"
            b"250 XFORWARD NAME ADDR PROTO HELO SOURCE\r\n"
        )


async def test_ehlo_offers_no_more_than_the_next_hop_has():
    plain = b"250-hop.example\r\n250-CHUNKING\r\n250-AUTH PLAIN\r\n250 SIZE 5000\r\n"
    async with (
        FakeNextHop({"EHLO": plain}) as hop,
        relaying(hop.url) as relay,
        relay.client() as client,
    ):
        assert await client.greet() == (
            b"250-filter.example\r\n250-PIPELINING\r\n250 SIZE 5000\r\n"
        )
        refusals = [
            await client.say(f"MAIL FROM:<a@b.example> {parameter}")
            for parameter in ("BODY=8BITMIME", "SMTPUTF8", "RET=FULL", "AUTH=<>")
        ]
        assert [refusal[:9] for refusal in refusals] == [b"555 5.5.4"] * 4
        assert (await client.say("MAIL FROM:<a@b.example> SIZE=5001"))[:9] == b"552 5.3.4"
    assert hop.commands == ["EHLO filter.example"]


async def test_a_next_hop_that_knows_only_helo_is_spoken_to_in_helo():
    async with (
        FakeNextHop({"EHLO": b"502 5.5.1 What?\r\n"}) as hop,
        relaying(hop.url) as relay,
        relay.client() as client,
    ):
        assert await client.greet() == (
            b"250-filter.example\r\n250-PIPELINING\r\n250 SIZE 10000000\r\n"
        )
        assert (await client.say("MAIL FROM:<a@b.example> SIZE=100")).startswith(b"250 ")
    assert hop.commands[1:3] == ["HELO filter.example", "MAIL FROM:<a@b.example>"]


async def test_helo_works_and_offers_nothing():
    async with FakeNextHop() as hop, relaying(hop.url) as relay, relay.client() as client:
        assert await client.greet("HELO client.example") == b"250 filter.example\r\n"
        assert (await client.say("MAIL FROM:<a@b.example> SIZE=1"))[:9] == b"555 5.5.4"
        await client.envelope()
        assert (await client.data(MESSAGE + END)).startswith(b"250 ")
    assert len(hop.messages) == 1


async def test_dsn_parameters_pass_through():
    async with FakeNextHop() as hop, relaying(hop.url) as relay, relay.client() as client:
        await client.greet()
        mail = "MAIL FROM:<a@b.example> RET=HDRS ENVID=QQ314159+2B SIZE=30 BODY=8BITMIME"
        rcpt = "RCPT TO:<r@hop.example> NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;r+2B@old.example"
        assert (await client.say(mail)).startswith(b"250 ")
        assert (await client.say(rcpt)).startswith(b"250 ")
        assert (await client.data(MESSAGE + END)).startswith(b"250 ")
    assert hop.messages[0].mail == mail
    assert hop.messages[0].rcpts == [rcpt]


async def test_an_unknown_recipient_parameter_is_refused():
    async with FakeNextHop() as hop, relaying(hop.url) as relay, relay.client() as client:
        await client.greet()
        await client.say("MAIL FROM:<a@b.example>")
        assert (await client.say("RCPT TO:<r@hop.example> HOLD=1"))[:9] == b"555 5.5.4"
    assert not [command for command in hop.commands if command.startswith("RCPT")]


async def test_the_null_sender_stays_null():
    async with FakeNextHop() as hop, relaying(hop.url) as relay, relay.client() as client:
        await client.greet()
        assert (await client.say("MAIL FROM:<>")).startswith(b"250 ")
        assert (await client.say("MAIL FROM:<>")).startswith(b"503 5.5.1 ")
        assert (await client.say("RCPT TO:<r@hop.example>")).startswith(b"250 ")
        assert (await client.data(MESSAGE + END)).startswith(b"250 ")
    assert hop.messages[0].mail == "MAIL FROM:<>"
    assert relay.examiner.envelopes[0].sender == ""


async def test_an_address_beyond_ascii_needs_smtputf8():
    async with FakeNextHop() as hop, relaying(hop.url) as relay, relay.client() as client:
        await client.greet()
        assert (await client.say("MAIL FROM:<jürgen@b.example>"))[:9] == b"553 5.6.7"
        assert (await client.say("MAIL FROM:<jürgen@b.example> SMTPUTF8")).startswith(b"250 ")
        assert (await client.say("RCPT TO:<用户@hop.example>")).startswith(b"250 ")
        client.send(b"RCPT TO:<\xff\xfe@hop.example>\r\n")
        assert (await client.reply())[:9] == b"553 5.6.7"
        assert (await client.data(MESSAGE + END)).startswith(b"250 ")
    assert hop.messages[0].mail == "MAIL FROM:<jürgen@b.example> SMTPUTF8"
    assert hop.messages[0].rcpts == ["RCPT TO:<用户@hop.example>"]
    assert relay.examiner.envelopes[0].smtputf8


@pytest.mark.parametrize(
    ("line", "reply"),
    [
        (b"MAIL FROM:<a\rb@c.example>", b"501 5.1.7"),
        (b"MAIL FROM:<a\x00@c.example>", b"501 5.1.7"),
        (b"MAIL FROM:<a@c.example", b"501 5.1.7"),
        (b"MAIL <a@c.example>", b"501 5.5.4"),
        (b"MAIL", b"501 5.5.4"),
        (b"MAIL FROM:<" + b"a" * 400 + b"@c.example>", b"501 5.1.7"),
        (b"MAIL FROM:<a@c.example> " + b"x" * 700, b"500 5.5.2"),
        (b"RCPT TO:<a@c.example>", b"503 5.5.1"),
        (b"DATA", b"503 5.5.1"),
        (b"EHLO", b"501 5.5.4"),
        (b"EHLO a\x07b", b"500 5.5.2"),
        (b"FROB", b"500 5.5.1"),
        (b"", b"500 5.5.1"),
        (b"\xff\xfe", b"500 5.5.1"),
        (b"AUTH PLAIN AGEAYg==", b"502 5.5.1"),
        (b"STARTTLS", b"502 5.5.1"),
        (b"EXPN list", b"502 5.5.1"),
        (b"VRFY someone", b"252 2.5.0"),
        (b"HELP", b"214 2.0.0"),
        (b"NOOP", b"250 2.0.0"),
        (b"RSET", b"250 2.0.0"),
        (b"RSET now", b"501 5.5.4"),
        (b"noop " + b"x" * 600, b"500 5.5.2"),
    ],
)
async def test_commands_that_get_our_own_reply(line, reply):
    async with FakeNextHop() as hop, relaying(hop.url) as relay, relay.client() as client:
        await client.greet()
        client.send(line + b"\r\n")
        assert (await client.reply())[:9] == reply
        assert await client.say("NOOP") == b"250 2.0.0 OK\r\n"
    assert not [command for command in hop.commands if command.startswith("MAIL")]


async def test_mail_before_hello_is_out_of_order():
    async with FakeNextHop() as hop, relaying(hop.url) as relay, relay.client() as client:
        await client.reply()
        assert (await client.say("MAIL FROM:<a@b.example>"))[:9] == b"503 5.5.1"


async def test_no_accepted_recipient_means_no_data():
    script = {"RCPT": b"550 5.1.1 No such user\r\n"}
    async with FakeNextHop(script) as hop, relaying(hop.url) as relay, relay.client() as client:
        await client.greet()
        await client.say("MAIL FROM:<a@sender.example>")
        await client.say("RCPT TO:<r@hop.example>")
        assert (await client.say("DATA"))[:9] == b"554 5.5.1"
    assert "DATA" not in hop.commands


async def test_recipients_over_the_limit_are_told_to_come_in_another_transaction():
    async with (
        FakeNextHop() as hop,
        relaying(hop.url, limits={"max_recipients": 2}) as relay,
        relay.client() as client,
    ):
        await client.greet()
        await client.envelope(recipients=2)
        assert (await client.say("RCPT TO:<r2@hop.example>"))[:9] == b"452 4.5.3"
        assert (await client.data(MESSAGE + END)).startswith(b"250 ")
    assert len(hop.messages[0].rcpts) == 2


async def test_rset_is_mirrored_and_the_connection_serves_the_next_message():
    async with FakeNextHop() as hop, relaying(hop.url) as relay, relay.client() as client:
        await client.greet()
        await client.envelope()
        assert await client.say("RSET") == b"250 2.0.0 Ok\r\n"
        await client.envelope()
        assert (await client.data(MESSAGE + END)).startswith(b"250 ")
    assert hop.connections == 1
    verbs = [command.split(" ")[0] for command in hop.commands]
    assert verbs[:7] == ["EHLO", "MAIL", "RCPT", "RSET", "MAIL", "RCPT", "DATA"]


@pytest.mark.parametrize("hello", ["EHLO again.example", "HELO again.example"])
async def test_hello_within_a_transaction_ends_it(hello):
    async with FakeNextHop() as hop, relaying(hop.url) as relay, relay.client() as client:
        await client.greet()
        await client.envelope()
        assert (await client.say(hello)).startswith(b"250")
        assert (await client.say("RCPT TO:<r@hop.example>"))[:9] == b"503 5.5.1"
        await client.envelope()
        assert (await client.data(MESSAGE + END)).startswith(b"250 ")
    assert "RSET" in hop.commands
    assert relay.examiner.envelopes[0].helo == "again.example"


async def test_connections_to_the_next_hop_are_used_again():
    async with FakeNextHop() as hop, relaying(hop.url) as relay:
        for _ in range(3):
            async with relay.client() as client:
                await client.greet()
                await client.envelope()
                assert (await client.data(MESSAGE + END)).startswith(b"250 ")
                await client.say("QUIT")
    assert hop.connections == 1
    assert len(hop.messages) == 3
    assert "RSET" not in hop.commands


async def test_a_client_may_pipeline():
    async with FakeNextHop() as hop, relaying(hop.url) as relay, relay.client() as client:
        await client.greet()
        envelope = b"MAIL FROM:<a@b.example>\r\nRCPT TO:<r@hop.example>\r\nDATA\r\n"
        client.send(envelope)
        assert [(await client.reply())[:3] for _ in range(3)] == [b"250", b"250", b"354"]
        client.send(MESSAGE + END + envelope)
        replies = [(await client.reply())[:3] for _ in range(4)]
        assert replies == [b"250", b"250", b"250", b"354"]
        client.send(MESSAGE + END + b"QUIT\r\n")
        assert [(await client.reply())[:3] for _ in range(2)] == [b"250", b"221"]
    assert len(hop.messages) == 2


@pytest.mark.scenario(
    "A26",
    "content sent in one packet with DATA",
    "503 5.5.1 and the end of the session; neither delivered nor obeyed",
)
async def test_content_sent_before_the_354_is_refused_and_ends_the_session():
    async with FakeNextHop() as hop, relaying(hop.url) as relay, relay.client() as client:
        await client.greet()
        await client.envelope()
        client.send(b"DATA\r\n" + MESSAGE + END + b"QUIT\r\n")
        assert (await client.reply())[:9] == b"503 5.5.1"
        assert await client.rest() == b""
        await hop.saw("disconnect")
    assert hop.messages == []


XFORWARD = "XFORWARD NAME=spike.example ADDR=192.0.2.7 PROTO=ESMTP"


async def test_xforward_of_a_trusted_peer_goes_with_the_mail_that_follows():
    async with FakeNextHop() as hop, relaying(hop.url) as relay, relay.client() as client:
        await client.greet()
        assert await client.say(XFORWARD) == b"250 2.0.0 Ok\r\n"
        assert await client.say("XFORWARD HELO=spike+2Eexample") == b"250 2.0.0 Ok\r\n"
        await client.envelope()
        assert (await client.say(XFORWARD))[:9] == b"503 5.5.1"
        assert (await client.data(MESSAGE + END)).startswith(b"250 ")
        await client.envelope()
        assert (await client.data(MESSAGE + END)).startswith(b"250 ")
    assert hop.commands[1:4] == [
        XFORWARD,
        "XFORWARD HELO=spike+2Eexample",
        "MAIL FROM:<a@sender.example>",
    ]
    first, second = relay.examiner.envelopes
    assert first.xforward["ADDR"] == "192.0.2.7"
    assert first.xforward["HELO"] == "spike.example"
    assert second.xforward == {}
    assert hop.connections == 1


@pytest.mark.scenario(
    "A28",
    "XFORWARD from a client that is not trusted",
    "not offered, 550 5.7.0; the next hop hears nothing",
)
async def test_xforward_is_neither_offered_to_nor_taken_from_others():
    async with (
        FakeNextHop() as hop,
        relaying(hop.url, trusted_peers=NOBODY) as relay,
        relay.client() as client,
    ):
        assert b"XFORWARD" not in await client.greet()
        assert (await client.say(XFORWARD))[:9] == b"550 5.7.0"
    assert hop.commands == ["EHLO filter.example"]


async def test_xforward_needs_a_next_hop_that_takes_it():
    plain = EHLO.replace(b"XFORWARD NAME ADDR PROTO HELO SOURCE", b"VRFY")
    async with (
        FakeNextHop({"EHLO": plain}) as hop,
        relaying(hop.url) as relay,
        relay.client() as client,
    ):
        assert b"XFORWARD" not in await client.greet()
        assert (await client.say(XFORWARD))[:9] == b"502 5.5.1"


async def test_xforward_attributes_do_not_stick_to_another_clients_mail():
    async with FakeNextHop() as hop, relaying(hop.url) as relay:
        async with relay.client() as client:
            await client.greet()
            await client.say(XFORWARD)
            await client.say("QUIT")
        await hop.saw("disconnect")
        async with relay.client() as client:
            await client.greet()
            await client.envelope()
    assert hop.connections == 2


@pytest.mark.scenario(
    "A25",
    "an HTTP POST with mail commands in its body",
    "502 5.5.1 and the end of the session; nothing is obeyed",
)
async def test_a_browser_is_shown_the_door():
    async with FakeNextHop() as hop, relaying(hop.url) as relay, relay.client() as client:
        await client.reply()
        client.send(b"POST / HTTP/1.1\r\nHost: x\r\n\r\nEHLO x\r\nMAIL FROM:<a@b.example>\r\n")
        assert (await client.reply())[:9] == b"502 5.5.1"
        assert await client.rest() == b""
    assert hop.commands == []


@pytest.mark.scenario(
    "A27",
    "the same command again and again, wrong or without effect",
    "421 4.7.0 after 10 errors or 100 idle commands",
)
@pytest.mark.parametrize(
    ("line", "most"), [("FROB", 10), ("MAIL", 10), ("RSET", 100), ("DATA", 100), ("EHLO x", 100)]
)
async def test_a_client_that_gets_nowhere_is_sent_away(line, most):
    async with FakeNextHop() as hop, relaying(hop.url) as relay, relay.client() as client:
        await client.greet()
        replies = []
        while not replies or not replies[-1].startswith(b"421"):
            replies.append(await client.say(line))
        assert replies[-1][:9] == b"421 4.7.0"
        assert most - 1 <= len(replies) - 1 <= most
        assert await client.rest() == b""


async def test_refusals_by_the_next_hop_do_not_wear_patience_down():
    refusal = b"504 5.5.2 Need a whole address\r\n"
    async with (
        FakeNextHop({"RCPT": [refusal] * 150}) as hop,
        relaying(hop.url) as relay,
        relay.client() as client,
    ):
        await client.greet()
        await client.say("MAIL FROM:<a@sender.example>")
        for _ in range(150):
            assert await client.say("RCPT TO:<r>") == refusal
        assert await client.say("RCPT TO:<r@hop.example>") == b"250 2.1.5 Ok\r\n"


async def test_a_delivered_message_gives_patience_back():
    async with FakeNextHop() as hop, relaying(hop.url) as relay, relay.client() as client:
        await client.greet()
        for _ in range(5):
            for _ in range(60):
                assert (await client.say("RSET")).startswith(b"250 ")
            await client.envelope()
            assert (await client.data(MESSAGE + END)).startswith(b"250 ")
    assert len(hop.messages) == 5


async def test_a_next_hop_that_says_421_and_hangs_up_at_quit_harms_nobody():
    async with FakeNextHop({"QUIT": Close(b"421 bye\r\n")}) as hop:
        async with relaying(hop.url) as relay, relay.client() as client:
            await client.greet()
            await client.envelope()
            assert (await client.data(MESSAGE + END)).startswith(b"250 ")
            assert (await client.say("QUIT")).startswith(b"221 ")
        await hop.saw("QUIT")
    assert len(hop.messages) == 1
