"""Content: what goes in comes out, once, and whatever the examiner wants done is done."""

import asyncio
import re

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from smtp_peers import FakeNextHop, RememberingExaminer, Wait, relaying

from filterd.smtp import Outcome, Reply

MESSAGE = b"Subject: hello\r\n\r\nText.\r\n"
END = b".\r\n"
ACCEPTED = b"250 2.0.0 Ok: queued as 4F00\r\n"

SMUGGLED = b"MAIL FROM:<evil@x.example>\r\nRCPT TO:<victim@hop.example>\r\nDATA\r\n"
FALSE_ENDS = [
    b"\n.\n", b"\n.\r\n", b"\r.\r\n", b"\r.\r", b"\r\n.\n", b"\r\n.\r", b"\n.\r",
    b"\r\n.\x00\r\n", b"\r\r\n.\r\r\n", b"\n\n.\n\n", b"\r\n.\r\r\n",
]  # fmt: skip


async def send(client, stuffed):
    await client.greet()
    await client.envelope()
    return await client.data(stuffed)


@pytest.mark.scenario(
    "A05",
    "11 false ends of data before a next hop that takes any line end, and before a strict one",
    "one message in is one message out; what was smuggled is content",
)
@pytest.mark.parametrize("lax", [False, True], ids=["strict hop", "lax hop"])
@pytest.mark.parametrize("false_end", FALSE_ENDS, ids=repr)
async def test_one_smuggled_message_in_is_one_message_out(false_end, lax):
    raw = b"Subject: outer\r\n\r\ntext" + false_end + SMUGGLED + b"Subject: inner\r\n\r\nx\r\n"
    async with (
        FakeNextHop(lax=lax) as hop,
        relaying(hop.url) as relay,
        relay.client() as client,
    ):
        assert await send(client, raw + END) == ACCEPTED
        assert await client.say("QUIT") == b"221 2.0.0 Bye\r\n"
    assert len(hop.messages) == len(relay.examiner.messages) == 1
    assert b"victim" in hop.messages[0].content
    assert len([command for command in hop.commands if command.startswith("MAIL")]) == 1


@pytest.mark.scenario(
    "A06",
    "false ends of data and bare LF behind commands with bare_newline = reject",
    "550 5.6.11 and 500 5.5.2; nothing is delivered",
)
@pytest.mark.parametrize("false_end", FALSE_ENDS[:7], ids=repr)
async def test_bare_line_ends_can_be_rejected_instead(false_end):
    raw = b"Subject: outer\r\n\r\ntext" + false_end + b"more\r\n"
    async with (
        FakeNextHop() as hop,
        relaying(hop.url, limits={"bare_newline": "reject"}) as relay,
        relay.client() as client,
    ):
        assert (await send(client, raw + END))[:10] == b"550 5.6.11"
        client.send(b"NOOP\n")
        assert (await client.reply())[:9] == b"500 5.5.2"
        await client.envelope()
        assert await client.data(MESSAGE + END) == ACCEPTED
    assert [message.content for message in hop.messages] == [MESSAGE]


async def test_an_empty_message_is_a_message():
    async with FakeNextHop() as hop, relaying(hop.url) as relay, relay.client() as client:
        assert await send(client, END) == ACCEPTED
    assert [message.content for message in hop.messages] == [b""]
    assert relay.examiner.messages == [b""]


async def test_the_examiner_sees_the_message_without_stuffing():
    async with FakeNextHop() as hop, relaying(hop.url) as relay, relay.client() as client:
        assert await send(client, b"..\r\n...x\r\n.y\r\n.\r\n") == ACCEPTED
    assert relay.examiner.messages == [b".\r\n..x\r\ny\r\n"]
    assert hop.messages[0].stuffed == b"..\r\n...x\r\ny\r\n"


def wire_messages():
    piece = st.sampled_from(
        [b"\r", b"\n", b"\r\n", b".", b"a", b"\x00", b"\xff", b"Subject: x\r\n", b"\r\n\r\n"]
    )
    return st.one_of(st.lists(piece, max_size=20).map(b"".join), st.binary(max_size=2000))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(wire_messages(), st.booleans())
def test_bytes_in_are_bytes_out_but_for_line_ends(message, lax):
    assume(not re.search(rb"(?:\A|[\r\n])\x00+\.\x00*(?:[\r\n]|\Z)", message))  # refused
    stuffed = (b"\r\n" + message).replace(b"\r\n.", b"\r\n..")[2:] + b"\r\n" + END

    async def run():
        async with (
            FakeNextHop(lax=lax) as hop,
            relaying(hop.url) as relay,
            relay.client() as client,
        ):
            assert await send(client, stuffed) == ACCEPTED
            return hop.messages

    (received,) = asyncio.run(run())
    expected = message + b"\r\n"
    for old, new in ((b"\r\n", b"\n"), (b"\r", b"\n"), (b"\n", b"\r\n")):
        expected = expected.replace(old, new)
    assert received.content == expected


async def test_a_large_message_arrives_whole_in_whatever_pieces_it_comes():
    message = b"Subject: large\r\n\r\n" + b".0123456789\r\n" * 300_000
    stuffed = message.replace(b"\r\n.", b"\r\n..")
    async with (
        FakeNextHop() as hop,
        relaying(hop.url) as relay,
        relay.client() as client,
    ):
        await client.greet()
        await client.envelope()
        assert (await client.say("DATA")).startswith(b"354 ")
        for start in range(0, len(stuffed), 99_991):
            client.send(stuffed[start : start + 99_991])
            await client.writer.drain()
        client.send(END)
        assert await client.reply() == ACCEPTED
    assert hop.messages[0].content == message


@pytest.mark.scenario(
    "A22",
    "SIZE over the limit at MAIL",
    "552 5.3.4 before any content; the next hop is not asked",
)
async def test_a_declared_size_over_the_limit_is_refused_at_mail():
    async with (
        FakeNextHop() as hop,
        relaying(hop.url, limits={"max_message_size": 5000}) as relay,
        relay.client() as client,
    ):
        assert b"SIZE 5000\r\n" in await client.greet()
        assert (await client.say("MAIL FROM:<a@b.example> SIZE=5001"))[:9] == b"552 5.3.4"
    assert hop.commands == ["EHLO filter.example"]


@pytest.mark.scenario(
    "A23",
    "SIZE=10 and then 8 MB, at a limit of 5,000 bytes",
    "552 5.3.4 at the end; nothing is delivered; the session goes on",
)
async def test_a_client_that_lies_about_its_size_is_refused_at_the_end():
    async with (
        FakeNextHop() as hop,
        relaying(hop.url, limits={"max_message_size": 5000}) as relay,
        relay.client() as client,
    ):
        await client.greet()
        assert (await client.say("MAIL FROM:<a@b.example> SIZE=10")).startswith(b"250 ")
        assert (await client.say("RCPT TO:<r@hop.example>")).startswith(b"250 ")
        too_large = b"Subject: x\r\n\r\n" + (b"x" * 78 + b"\r\n") * 100_000
        assert (await client.data(too_large + END))[:9] == b"552 5.3.4"
        await hop.saw("disconnect")
        await client.envelope()
        assert await client.data(MESSAGE + END) == ACCEPTED
    assert [message.content for message in hop.messages] == [MESSAGE]
    assert relay.examiner.messages == [MESSAGE]


@pytest.mark.scenario(
    "A24",
    "a line of 70,000 octets; a header of 1.2 MB",
    "554 5.6.0 and 552 5.3.4; nothing is delivered",
)
@pytest.mark.parametrize(
    ("content", "reply"),
    [
        (b"Subject: x\r\n\r\n" + b"y" * 70_000 + b"\r\n", b"554 5.6.0"),
        (b"X: y\r\n" * 200_000 + b"\r\nbody\r\n", b"552 5.3.4"),
    ],
    ids=["line", "header"],
)
async def test_content_out_of_bounds_is_refused(content, reply):
    async with FakeNextHop() as hop, relaying(hop.url) as relay, relay.client() as client:
        assert (await send(client, content + END))[:9] == reply
        await hop.saw("disconnect")
        assert await client.say("NOOP") == b"250 2.0.0 OK\r\n"
    assert hop.messages == relay.examiner.messages == []


async def test_what_the_examiner_returns_is_what_goes_on():
    examiner = RememberingExaminer(lambda message: Outcome(b"X-Mark: 1\r\n" + message, None))
    async with (
        FakeNextHop() as hop,
        relaying(hop.url, examiner=examiner) as relay,
        relay.client() as client,
    ):
        assert await send(client, MESSAGE + END) == ACCEPTED
    assert hop.messages[0].content == b"X-Mark: 1\r\n" + MESSAGE


async def test_an_examiner_cannot_end_a_message_early():
    examiner = RememberingExaminer(lambda message: Outcome(message + b"a\n.\nMAIL FROM:<>", None))
    async with (
        FakeNextHop(lax=True) as hop,
        relaying(hop.url, examiner=examiner) as relay,
        relay.client() as client,
    ):
        assert await send(client, MESSAGE + END) == ACCEPTED
    assert hop.messages[0].content == MESSAGE + b"a\r\n.\r\nMAIL FROM:<>\r\n"


async def test_a_refusal_by_the_examiner_is_answered_and_nothing_is_delivered():
    refusal = Reply(550, "5.7.1 This looks like spam\nWrite to postmaster if it is not")
    examiner = RememberingExaminer(lambda _: Outcome(None, refusal))
    async with (
        FakeNextHop() as hop,
        relaying(hop.url, examiner=examiner) as relay,
        relay.client() as client,
    ):
        assert await send(client, MESSAGE + END) == refusal.encode()
        await hop.saw("disconnect")
        assert await client.say("NOOP") == b"250 2.0.0 OK\r\n"
    assert hop.messages == []
    assert examiner.records == [(1, (550,))]


async def test_an_examiner_that_raises_costs_nobody_a_mail():
    def fail(message):
        raise RuntimeError("secret detail")

    async with (
        FakeNextHop() as hop,
        relaying(hop.url, examiner=RememberingExaminer(fail)) as relay,
        relay.client() as client,
    ):
        reply = await send(client, MESSAGE + END)
        assert reply[:9] == b"451 4.3.0"
        assert b"secret" not in reply
        await hop.saw("disconnect")
        assert await client.say("NOOP") == b"250 2.0.0 OK\r\n"
    assert hop.messages == []


async def test_an_examiner_whose_record_fails_does_not_change_the_reply():
    examiner = RememberingExaminer()
    examiner.delivered = None
    async with (
        FakeNextHop() as hop,
        relaying(hop.url, examiner=examiner) as relay,
        relay.client() as client,
    ):
        assert await send(client, MESSAGE + END) == ACCEPTED
        assert await client.say("NOOP") == b"250 2.0.0 OK\r\n"


async def test_quarantined_mail_goes_to_the_other_hop_only():
    examiner = RememberingExaminer(lambda message: Outcome(message, None, quarantine=True))
    queued = b"250 2.0.0 Kept apart\r\n"
    async with (
        FakeNextHop() as hop,
        FakeNextHop({".": queued}) as jail,
        relaying(hop.url, examiner=examiner, quarantine=jail.url) as relay,
        relay.client() as client,
    ):
        await client.greet()
        await client.say("XFORWARD ADDR=192.0.2.7")
        await client.say("MAIL FROM:<a@sender.example> SIZE=30 RET=FULL")
        await client.say("RCPT TO:<r0@hop.example> NOTIFY=NEVER")
        await client.say("RCPT TO:<r1@hop.example>")
        assert await client.data(MESSAGE + END) == queued
        await hop.saw("disconnect")
    assert hop.messages == []
    assert [message.content for message in jail.messages] == [MESSAGE]
    assert jail.messages[0].mail == "MAIL FROM:<a@sender.example> SIZE=30 RET=FULL"
    assert jail.messages[0].rcpts == [
        "RCPT TO:<r0@hop.example> NOTIFY=NEVER",
        "RCPT TO:<r1@hop.example>",
    ]
    assert "XFORWARD ADDR=192.0.2.7" in jail.commands
    assert examiner.records == [(1, (250,))]


@pytest.mark.parametrize("step", ["MAIL", "RCPT", "DATA", "."])
async def test_a_refusal_by_the_quarantine_is_the_answer(step):
    refusal = b"452 4.2.2 Full\r\n"
    examiner = RememberingExaminer(lambda message: Outcome(message, None, quarantine=True))
    async with (
        FakeNextHop() as hop,
        FakeNextHop({step: refusal}) as jail,
        relaying(hop.url, examiner=examiner, quarantine=jail.url) as relay,
        relay.client() as client,
    ):
        assert await send(client, MESSAGE + END) == refusal
    assert hop.messages == []
    assert examiner.records == [(1, (452,))]


async def test_a_quarantine_that_is_down_or_missing_means_come_again():
    examiner = RememberingExaminer(lambda message: Outcome(message, None, quarantine=True))
    async with FakeNextHop() as hop:
        async with FakeNextHop() as jail:
            gone = jail.url
        async with (
            relaying(hop.url, examiner=examiner, quarantine=gone) as relay,
            relay.client() as client,
        ):
            assert (await send(client, MESSAGE + END))[:9] == b"451 4.4.1"
        async with relaying(hop.url, examiner=examiner) as relay, relay.client() as client:
            assert (await send(client, MESSAGE + END))[:9] == b"451 4.3.5"
    assert hop.messages == []


async def test_a_client_that_leaves_while_its_message_is_judged_still_has_it():
    judging = asyncio.Event()

    async def never(message):
        judging.set()
        await asyncio.Event().wait()

    async with (
        FakeNextHop() as hop,
        relaying(hop.url, examiner=RememberingExaminer(never)) as relay,
    ):
        async with relay.client() as client:
            await client.greet()
            await client.envelope()
            await client.say("DATA")
            client.send(MESSAGE + END)
            await judging.wait()
        await hop.saw("disconnect")
    assert hop.messages == []
    assert relay.examiner.records == []


async def test_a_client_that_leaves_after_the_hand_over_gets_its_mail_delivered_once():
    slow = Wait(ACCEPTED)
    async with FakeNextHop({".": slow}) as hop, relaying(hop.url) as relay:
        async with relay.client() as client:
            await client.greet()
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
        assert [message.content for message in hop.messages] == [MESSAGE]
        async with relay.client() as client:
            assert await send(client, MESSAGE + END) == ACCEPTED
    assert hop.connections == 1


async def test_a_client_that_closed_only_its_sending_side_hears_the_reply():
    slow = Wait(ACCEPTED)
    async with (
        FakeNextHop({".": slow}) as hop,
        relaying(hop.url) as relay,
        relay.client() as client,
    ):
        await client.greet()
        await client.envelope()
        await client.say("DATA")
        client.send(MESSAGE + END)
        await slow.reached.wait()
        client.writer.write_eof()
        async with relay.client() as other:
            await other.greet()  # by now the end of the first client has been seen
        slow.gate.set()
        assert await client.rest() == ACCEPTED
    assert len(hop.messages) == 1


async def test_a_client_that_leaves_inside_its_content_has_sent_nothing():
    async with FakeNextHop() as hop, relaying(hop.url) as relay:
        async with relay.client() as client:
            await client.greet()
            await client.envelope()
            await client.say("DATA")
            client.send(MESSAGE + b".")
        await hop.saw("disconnect")
    assert hop.messages == relay.examiner.messages == []
