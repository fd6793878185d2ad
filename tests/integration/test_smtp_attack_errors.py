"""Things are made to raise, everywhere: the client hears a code and our words, and has its mail."""

import pytest
import structlog
from smtp_codes import CODED, assert_proper
from smtp_peers import FakeNextHop, RememberingExaminer, relaying

from filterd.errors import NextHopError
from filterd.smtp import Outcome

MESSAGE = b"Subject: hello\r\n\r\nText.\r\n"
END = b".\r\n"
ACCEPTED = b"250 2.0.0 Ok: queued as 4F00\r\n"


@pytest.fixture(autouse=True)
def logs():
    """Kept, not written: a traceback drawn for a terminal takes longer than the test."""
    with structlog.testing.capture_logs() as entries:
        yield entries


SECRET = "xyzzy-secret"
STEPS = [
    b"EHLO client.example", b"XFORWARD ADDR=192.0.2.7", b"MAIL FROM:<a@sender.example>", b"RCPT TO:<r@hop.example>",
    b"RSET", b"MAIL FROM:<a@sender.example>", b"RCPT TO:<r@hop.example>", b"DATA", MESSAGE + b".", b"NOOP", b"QUIT",
]  # fmt: skip


class _UnspeakableError(Exception):
    def __str__(self):
        return f"{SECRET} of {self!r}"


RAISED = [
    RuntimeError(SECRET),
    ValueError(f"250 2.0.0 {SECRET}\r\n250 OK"),
    KeyError(SECRET),
    OSError(5, SECRET),
    NextHopError(SECRET),
    AssertionError(SECRET),
    RecursionError(SECRET),
    MemoryError(SECRET),
    UnicodeDecodeError("utf-8", SECRET.encode(), 0, 1, SECRET),
    TimeoutError(SECRET),
    _UnspeakableError(),
]


def raising(error, calls):
    def fail(*_, **__):
        calls.append(error)
        raise error

    return fail


async def converse(relay):
    """All that a client hears that says what an orderly client says."""
    replies = []
    async with relay.client() as client:
        replies.append(await client.reply())
        for step in STEPS:
            client.send(step + b"\r\n")
            try:
                reply = await client.reply()
            except ConnectionError:  # closed with input unread; the last word may be lost
                break
            if not reply:
                break
            replies.append(reply)
            if step == b"DATA" and not reply.startswith(b"354 "):
                break
    return replies


def assert_nothing_told(replies):
    for reply in replies:
        assert_proper(reply)
        assert SECRET.encode() not in reply
        # A command behind one that failed is out of order; nothing else is for good.
        assert not CODED.fullmatch(reply) or reply[:1] != b"5" or reply[:9] == b"503 5.5.1", replies


SEAMS = {
    "hop.capabilities": lambda relay: (relay.next_hop, "capabilities"),
    "hop.begin": lambda relay: (relay.next_hop, "begin"),
    "hop.connect": lambda relay: (relay.next_hop, "connect"),
    "hop.park": lambda relay: (relay.next_hop, "park"),
    "examine": lambda relay: (relay.examiner, "examine"),
    "delivered": lambda relay: (relay.examiner, "delivered"),
    **{
        f"transaction.{name}": lambda _, name=name: ("filterd.smtp.pool.PooledTransaction", name)
        for name in ("xforward", "mail", "rcpt", "data", "content", "reset")
    },
    **{
        f"conversation.{name}": lambda _, name=name: ("filterd.smtp.conversation.Conversation", name)
        for name in ("_greet", "data", "deliver", "_report", "_conclude")
    },
    "wire.command": lambda _: ("filterd.smtp.wire.Wire", "command"),
    "wire.content": lambda _: ("filterd.smtp.wire.Wire", "content"),
    "content.prepare": lambda _: ("filterd.smtp.content", "prepare"),
    "content.receive": lambda _: ("filterd.smtp.content", "receive"),
    "content.stuff": lambda _: ("filterd.smtp.wire", "stuff"),
    "hand_over": lambda _: ("filterd.smtp.conversation", "hand_over"),
    "check_line": lambda _: ("filterd.smtp.verbs", "check_line"),
    "cost": lambda _: ("filterd.smtp.verbs", "cost"),
}  # fmt: skip


@pytest.mark.scenario(
    "A40",
    "11 kinds of error raised in each of 25 places between the greeting and the record of a mail",
    "no reply holds anything of the error; none is 5xx; 250 to a mail only if the next hop took it; the next client is served",
)
@pytest.mark.parametrize("seam", SEAMS)
async def test_an_error_is_never_told_to_a_client(seam, monkeypatch):
    for error in RAISED:
        async with FakeNextHop() as hop, relaying(hop.url) as relay:
            with monkeypatch.context() as patch:
                calls = []
                owner, name = SEAMS[seam](relay)
                if isinstance(owner, str):
                    patch.setattr(f"{owner}.{name}", raising(error, calls))
                else:
                    patch.setattr(owner, name, raising(error, calls))
                replies = await converse(relay)
            assert calls
            assert_nothing_told(replies)
            if ACCEPTED in replies:
                assert [message.content for message in hop.messages] == [MESSAGE]
            relay.examiner.messages.clear()
            again = await converse(relay)
            assert ACCEPTED in again, (error, again)
            assert relay.server.connections == 0


@pytest.mark.scenario(
    "A41",
    "an examiner that returns nonsense instead of raising",
    "451 with our own words; nothing is delivered",
)
@pytest.mark.parametrize(
    "nonsense",
    [None, Outcome(None, None), Outcome("text", None), (1, 2, 3), Outcome(12, None)],
    ids=repr,
)
async def test_nonsense_from_the_examiner_is_our_trouble_and_temporary(nonsense):
    examiner = RememberingExaminer(lambda _: nonsense)
    async with FakeNextHop() as hop, relaying(hop.url, examiner=examiner) as relay:
        replies = await converse(relay)
        assert_nothing_told(replies)
        assert [reply[:4] for reply in replies if reply.startswith(b"451 4.")] == [b"451 "]
    assert hop.messages == []


@pytest.mark.scenario(
    "A42",
    "the next hop says what looks like an error of ours, or breaks lines inside its reply",
    "its words are passed on as one reply, without control characters",
)
async def test_words_of_the_next_hop_stay_one_reply():
    words = b"550-5.7.1 a\rb\x00c\n550 5.7.1 \x1b[2Jd 250 2.0.0 OK\r\n"
    async with FakeNextHop({".": words}) as hop, relaying(hop.url) as relay:
        replies = await converse(relay)
        assert b"550-5.7.1 a b c\r\n550 5.7.1  [2Jd 250 2.0.0 OK\r\n" in replies
