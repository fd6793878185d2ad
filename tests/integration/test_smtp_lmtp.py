"""LMTP on either side: every recipient's reply arrives once, at whoever can hear it."""

import asyncio

import pytest
from smtp_peers import Close, FakeNextHop, RememberingExaminer, Wait, relaying

from filterd.smtp import NextHopOptions, Outcome, Reply, open_next_hop

MESSAGE = b"Subject: hello\r\n\r\nText.\r\n"
END = b".\r\n"
KEPT = b"250 2.0.0 <r0@hop.example> Saved\r\n"
FULL = b"452-4.2.2 <r1@hop.example>\r\n452 4.2.2 Mailbox full\r\n"
GONE = b"550 5.2.1 <r2@hop.example> Disabled\r\n"
MANY = b"250 2.0.0 Ok\r\n"


async def test_an_lmtp_client_gets_each_recipients_reply_from_an_lmtp_next_hop():
    script = {".": [KEPT, FULL, GONE]}
    async with (
        FakeNextHop(script, lmtp=True) as hop,
        relaying(hop.url) as relay,
        relay.client() as client,
    ):
        assert (await client.greet("LHLO client.example")).startswith(b"250-filter.example\r\n")
        await client.envelope(recipients=3)
        assert await client.data(MESSAGE + END) == KEPT
        assert await client.reply() == FULL
        assert await client.reply() == GONE
        assert await client.say("NOOP") == b"250 2.0.0 OK\r\n"
    assert hop.commands[0] == "LHLO filter.example"
    assert len(hop.messages) == 1
    assert relay.examiner.records == [(1, (250, 452, 550))]


async def test_replies_are_for_accepted_recipients_only():
    ok, no = b"250 2.1.5 Ok\r\n", b"550 5.1.1 No such user\r\n"
    async with (
        FakeNextHop({"RCPT": [no, ok, no, ok], ".": [KEPT, FULL]}, lmtp=True) as hop,
        relaying(hop.url) as relay,
        relay.client() as client,
    ):
        await client.greet("LHLO client.example")
        await client.say("MAIL FROM:<a@sender.example>")
        replies = [await client.say(f"RCPT TO:<r{n}@hop.example>") for n in range(4)]
        assert replies == [no, ok, no, ok]
        assert await client.data(MESSAGE + END) == KEPT
        assert await client.reply() == FULL
        assert await client.say("NOOP") == b"250 2.0.0 OK\r\n"


async def test_a_thousand_replies_in_one_burst_are_all_heard():
    replies = [b"250 2.0.0 r%d saved\r\n" % number for number in range(1000)]

    class Bursting(FakeNextHop):
        async def _act(self, step, writer):
            if step != ".":
                return await super()._act(step, writer)
            burst, self.burst = self.burst, b""
            writer.write(burst)
            return b"250"

    hop = Bursting(lmtp=True)
    hop.burst = b"".join(replies)
    async with hop, relaying(hop.url) as relay, relay.client() as client:
        await client.greet("LHLO client.example")
        await client.envelope(recipients=1000)
        heard = [await client.data(MESSAGE + END)]
        heard += [await client.reply() for _ in range(999)]
    assert heard == replies


async def test_an_smtp_client_sends_an_lmtp_next_hop_one_recipient_at_a_time():
    async with (
        FakeNextHop({".": [KEPT, FULL]}, lmtp=True) as hop,
        relaying(hop.url) as relay,
        relay.client() as client,
    ):
        await client.greet()
        await client.envelope()
        assert (await client.say("RCPT TO:<r1@hop.example>"))[:9] == b"452 4.5.3"
        assert await client.data(MESSAGE + END) == KEPT
        await client.say("MAIL FROM:<a@sender.example>")
        await client.say("RCPT TO:<r1@hop.example>")
        assert await client.data(MESSAGE + END) == FULL
    assert [message.rcpts for message in hop.messages] == [
        ["RCPT TO:<r0@hop.example>"],
        ["RCPT TO:<r1@hop.example>"],
    ]


async def test_a_recipient_refused_by_lmtp_leaves_room_for_another():
    no = b"550 5.1.1 No such user\r\n"
    async with (
        FakeNextHop({"RCPT": [no]}, lmtp=True) as hop,
        relaying(hop.url) as relay,
        relay.client() as client,
    ):
        await client.greet()
        await client.say("MAIL FROM:<a@sender.example>")
        assert await client.say("RCPT TO:<r0@hop.example>") == no
        assert (await client.say("RCPT TO:<r1@hop.example>")).startswith(b"250 ")
        assert (await client.data(MESSAGE + END)).startswith(b"250 ")
    assert len(hop.messages) == 1


async def test_an_lmtp_client_gets_an_smtp_next_hops_reply_for_each_recipient():
    async with FakeNextHop() as hop, relaying(hop.url) as relay, relay.client() as client:
        await client.greet("LHLO client.example")
        await client.envelope(recipients=3)
        queued = b"250 2.0.0 Ok: queued as 4F00\r\n"
        assert await client.data(MESSAGE + END) == queued
        assert [await client.reply() for _ in range(2)] == [queued, queued]
        assert await client.say("NOOP") == b"250 2.0.0 OK\r\n"
    assert relay.examiner.records == [(1, (250, 250, 250))]


@pytest.mark.parametrize(
    ("content", "decide", "code"),
    [
        (MESSAGE, lambda _: Outcome(None, Reply(550, "5.7.1 Spam")), b"550 5.7.1"),
        (MESSAGE, lambda _: 1 / 0, b"451 4.3.0"),
        (b"x" * 80_000 + b"\r\n", None, b"554 5.6.0"),
    ],
)
async def test_our_own_refusal_is_given_for_each_recipient(content, decide, code):
    examiner = RememberingExaminer(decide)
    async with (
        FakeNextHop(lmtp=True) as hop,
        relaying(hop.url, examiner=examiner) as relay,
        relay.client() as client,
    ):
        await client.greet("LHLO client.example")
        await client.envelope(recipients=2)
        assert (await client.data(content + END))[:9] == code
        assert (await client.reply())[:9] == code
        assert await client.say("NOOP") == b"250 2.0.0 OK\r\n"
    assert hop.messages == []


async def test_replies_that_the_next_hop_still_owed_when_it_died_are_451():
    async with (
        FakeNextHop({".": [KEPT, Close()]}, lmtp=True) as hop,
        relaying(hop.url) as relay,
        relay.client() as client,
    ):
        await client.greet("LHLO client.example")
        await client.envelope(recipients=3)
        assert await client.data(MESSAGE + END) == KEPT
        assert (await client.reply())[:9] == b"451 4.4.2"
        assert (await client.reply())[:9] == b"451 4.4.2"
    assert relay.examiner.records == [(1, (250, 451, 451))]


async def test_a_client_that_leaves_during_the_replies_has_them_all_recorded():
    slow = Wait(FULL)
    async with (
        FakeNextHop({".": [KEPT, slow, GONE]}, lmtp=True) as hop,
        relaying(hop.url) as relay,
    ):
        async with relay.client() as client:
            await client.greet("LHLO client.example")
            await client.envelope(recipients=3)
            await client.say("DATA")
            client.send(MESSAGE + END)
            await slow.reached.wait()
            client.reset()
        slow.gate.set()
        await asyncio.wait_for(relay.examiner.recorded.wait(), 10)
    assert relay.examiner.records == [(1, (250, 452, 550))]


async def test_lmtp_over_a_unix_socket(tmp_path):
    path = tmp_path / "lmtp"
    fake = FakeNextHop({".": [KEPT, FULL]}, lmtp=True)
    server = await asyncio.start_unix_server(fake._serve, path)
    async with relaying(f"lmtp://{path}") as relay, relay.client() as client:
        await client.greet("LHLO client.example")
        await client.envelope(recipients=2)
        assert await client.data(MESSAGE + END) == KEPT
        assert await client.reply() == FULL
    server.close()
    assert len(fake.messages) == 1


async def test_a_quarantine_by_lmtp_also_means_one_recipient_at_a_time():
    examiner = RememberingExaminer(lambda message: Outcome(message, None, quarantine=True))
    async with (
        FakeNextHop() as hop,
        FakeNextHop({".": KEPT}, lmtp=True) as jail,
        relaying(hop.url, examiner=examiner, quarantine=jail.url) as relay,
        relay.client() as client,
    ):
        await client.greet()
        await client.envelope()
        assert (await client.say("RCPT TO:<r1@hop.example>"))[:9] == b"452 4.5.3"
        assert await client.data(MESSAGE + END) == KEPT
    assert hop.messages == []


def test_tls_is_not_for_unix_sockets():
    options = NextHopOptions(hostname="x.example", tls="required")
    assert open_next_hop("lmtp:///run/lmtp", options).per_recipient
