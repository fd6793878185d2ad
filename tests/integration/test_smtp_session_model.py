"""The session against a small model of RFC 5321: what each verb must get in each state, and what
the next hop must have seen. Hypothesis walks; sockets, session and next hop are real.
"""

import asyncio
import contextlib
import dataclasses
import os
import re

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from smtp_codes import assert_proper
from smtp_peers import FakeNextHop, RawClient, relaying

MOST_RECIPIENTS = 3
MOST_BYTES = 2_000
WALKS = 2_000 if os.environ.get("E2E_LONG") else 60
PATIENCE = 100
ERROR_COST = 10
OK = b"250 2.0.0 Ok\r\n"
REFUSALS = [b"450 4.2.0 Later\r\n", b"550 5.1.1 Never\r\n"]
BODIES = [
    b"",
    b"Subject: x\r\n\r\nHello.\r\n",
    b".\r\n..\r\n",
    b"no header\nbare\r",
    b"\x00\xff\r\n",
]


@dataclasses.dataclass
class Model:
    """What the session must know, and no more than that."""

    mode: str = ""
    sender: str | None = None
    asked: list = dataclasses.field(default_factory=list)  # recipients, as the next hop heard them
    recipients: int = 0  # of these, accepted
    overshoot: int = 0
    patience: int = PATIENCE
    closed: bool = False

    def forget(self):
        self.sender, self.asked, self.recipients, self.overshoot = None, [], 0, 0

    def pay(self, cost):
        self.patience -= cost
        self.closed |= self.patience <= 0


def normal(message):
    """What bytes must become on their way: CRLF at every line's end."""
    return re.sub(rb"\r\n|\r|\n", b"\r\n", whole(message))


def whole(message):
    """What a client sends of it: a last line without CRLF gets one."""
    return message if message.endswith(b"\r\n") else message + b"\r\n"


class Session(RuleBasedStateMachine):
    """One client of one daemon session after another, on one event loop."""

    def __init__(self):
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.exits = contextlib.AsyncExitStack()
        self.client = None
        self.number = 0

    def run(self, work):
        return self.loop.run_until_complete(work)

    @initialize()
    def begin(self):
        async def enter():
            self.hop = await self.exits.enter_async_context(FakeNextHop())
            limits = {"max_recipients": MOST_RECIPIENTS, "max_message_size": MOST_BYTES}
            self.relay = await self.exits.enter_async_context(relaying(self.hop.url, limits=limits))

        self.run(enter())
        self.handed_on = []  # every message whose content the next hop must have got
        self.connect()

    def connect(self):
        async def enter():
            if self.client is not None:
                await self.client.__aexit__()
            self.client = await RawClient(self.relay.port).__aenter__()
            return await self.client.reply()

        self.model = Model()
        assert self.run(enter()).startswith(b"220 ")

    def say(self, line, expected, *, cost=0):
        """One command, the class or code of its reply, and its price."""
        reply = self.run(self.client.say(line))
        assert_proper(reply, to=line.encode())
        assert reply.startswith(expected), (line, reply, expected, self.model)
        self.model.pay(cost)
        if self.model.closed and not reply.startswith(b"221"):
            assert self.run(self.client.reply()).startswith(b"421 4.7.0")
        return reply

    def teach(self, step, reply):
        """What the next hop will say to the next such command."""
        self.hop.script[step] = [reply]

    # Verbs

    open_session = precondition(lambda self: not self.model.closed)

    @open_session
    @rule(
        verb=st.sampled_from(["EHLO", "HELO", "LHLO"]),
        name=st.sampled_from(["x.example", "[192.0.2.1]"]),
    )
    def hello(self, verb, name):
        self.model.forget()
        self.model.mode = verb
        self.say(f"{verb} {name}", b"250", cost=1)

    @open_session
    @rule(verb=st.sampled_from(["EHLO", "HELO"]))
    def hello_without_a_name(self, verb):
        self.say(verb, b"501 5.5.4", cost=ERROR_COST)

    @open_session
    @rule(
        sender=st.sampled_from(["a@b.example", ""]),
        size=st.sampled_from(["", "", " SIZE=10", " SIZE=2001"]),
        refusal=st.sampled_from([None, None, *REFUSALS]),
    )
    def mail(self, sender, size, refusal):
        model = self.model
        argument = f"<{sender}>{size}"
        line = f"MAIL FROM:{argument}"
        if not model.mode or model.sender is not None:
            self.say(line, b"503 5.5.1", cost=1)
        elif size and model.mode == "HELO":
            self.say(line, b"555 5.5.4", cost=ERROR_COST)
        elif size == " SIZE=2001":
            self.say(line, b"552 5.3.4", cost=ERROR_COST)
        elif refusal:
            self.teach("MAIL", refusal)
            self.say(line, refusal)
        else:
            self.say(line, b"250")
            model.sender = argument

    @open_session
    @rule(refusal=st.sampled_from([None, None, *REFUSALS]))
    def rcpt(self, refusal):
        model = self.model
        line = f"RCPT TO:<r{len(model.asked)}@hop.example>"
        if model.sender is None:
            self.say(line, b"503 5.5.1", cost=1)
        elif model.recipients >= MOST_RECIPIENTS:
            model.overshoot += 1
            self.say(line, b"452 4.5.3", cost=ERROR_COST * (model.overshoot > MOST_RECIPIENTS))
        elif refusal:
            self.teach("RCPT", refusal)
            self.say(line, refusal)
            model.asked.append(line)
        else:
            self.say(line, b"250")
            model.asked.append(line)
            model.recipients += 1

    @open_session
    @rule(
        line=st.sampled_from(
            ["MAIL FROM:<a@b", "MAIL FROM:<a@b.example> X=1", "MAIL", "MAIL TO:<x>"]
        )
    )
    def wrong_mail(self, line):
        model = self.model
        if not model.mode or model.sender is not None:
            self.say(line, b"503 5.5.1", cost=1)
        else:
            self.say(line, b"5", cost=ERROR_COST)

    @open_session
    @rule(line=st.sampled_from(["RCPT TO:<>", "RCPT TO:<a@b", "RCPT TO:<a@b.example> X=1", "RCPT"]))
    def wrong_rcpt(self, line):
        if self.model.sender is None:
            self.say(line, b"503 5.5.1", cost=1)
        else:
            self.say(line, b"5", cost=ERROR_COST)

    @open_session
    @rule(body=st.sampled_from(BODIES), refusal=st.sampled_from([None, None, None, *REFUSALS]))
    def data(self, body, refusal):
        if self.data_is_refused():
            return
        model = self.model
        self.say("DATA", b"354")
        if refusal:
            self.teach(".", refusal)
        content = b"N: %d\r\n" % self.number + body
        self.number += 1
        replies = self.content(content)
        if refusal:
            assert replies == {refusal}
        else:
            assert all(reply.startswith(b"250 ") for reply in replies)
        self.handed_on.append((f"MAIL FROM:{model.sender}", model.asked, normal(content)))
        model.patience = PATIENCE
        model.forget()

    @open_session
    @rule(
        verb=st.sampled_from(["EHLO", "HELO", "LHLO"]),
        body=st.sampled_from(BODIES),
        count=st.integers(1, MOST_RECIPIENTS),
        refusal=st.sampled_from([None, *REFUSALS]),
    )
    def whole_mail(self, verb, body, count, refusal):
        """What a walk would seldom find: all steps in their order, from wherever it stands."""
        if not self.model.mode:
            self.hello(verb=verb, name="x.example")
        if self.model.sender is None and not self.model.closed:
            self.mail(sender="a@b.example", size="", refusal=None)
        for _ in range(count):
            if not self.model.closed:
                self.rcpt(refusal=None)
        if not self.model.closed:
            self.data(body=body, refusal=refusal)

    @open_session
    @rule(size=st.sampled_from([MOST_BYTES + 1, 10 * MOST_BYTES]))
    def too_much_data(self, size):
        if self.data_is_refused():
            return
        self.say("DATA", b"354")
        assert {reply[:9] for reply in self.content(b"x" * size)} == {b"552 5.3.4"}
        self.model.forget()

    @open_session
    @rule(refusal=st.sampled_from(REFUSALS))
    def data_refused_by_the_next_hop(self, refusal):
        if self.data_is_refused():
            return
        self.teach("DATA", refusal)
        self.say("DATA", refusal)

    def data_is_refused(self):
        """Say DATA where it cannot be; whether that was so."""
        if self.model.sender is None:
            self.say("DATA", b"503 5.5.1", cost=1)
        elif not self.model.recipients:
            self.say("DATA", b"554 5.5.1", cost=1)
        else:
            return False
        return True

    def content(self, message):
        stuffed = (b"\r\n" + whole(message)).replace(b"\r\n.", b"\r\n..")[2:]
        self.client.send(stuffed + b".\r\n")
        # LMTP answers for each recipient (RFC 2033 4.2).
        count = self.model.recipients if self.model.mode == "LHLO" else 1
        replies = {self.run(self.client.reply()) for _ in range(count)}
        for reply in replies:
            assert_proper(reply, to=b"MAIL")
        return replies

    @open_session
    @rule()
    def rset(self):
        self.model.forget()
        self.say("RSET", b"250 2.0.0", cost=1)

    @open_session
    @rule(line=st.sampled_from(["NOOP", "noop x", "VRFY a", "HELP"]))
    def small_talk(self, line):
        self.say(line, b"2", cost=1)

    @open_session
    @rule(
        line=st.sampled_from(["WHAT", "", "AUTH PLAIN x", "STARTTLS", "EXPN a", "RSET\x00", "\x80"])
    )
    def not_for_us(self, line):
        self.say(line, b"50", cost=ERROR_COST)

    @open_session
    @rule(line=st.sampled_from(["RSET x", "DATA x"]))
    def arguments_where_there_are_none(self, line):
        self.say(line, b"501 5.5.4", cost=ERROR_COST)

    @open_session
    @rule()
    def quit(self):
        self.say("QUIT", b"221 2.0.0")
        self.model.closed = True

    @open_session
    @rule()
    def leave(self):
        """Without a word; what was underway is forgotten."""
        self.client.reset()
        self.connect()

    @precondition(lambda self: self.model.closed)
    @rule()
    def come_again(self):
        assert self.run(self.client.rest()) == b""
        self.connect()

    # What must hold after every step

    @invariant()
    def the_next_hop_has_what_was_sent_and_nothing_else(self):
        """Once each and in this order, whatever it answered; no envelope holds a stranger."""
        if self.client is not None:
            taken = [(one.mail, one.rcpts, one.content) for one in self.hop.messages]
            assert taken == self.handed_on

    def teardown(self):
        async def leave():
            if self.client is not None:
                await self.client.__aexit__()
            await self.exits.aclose()

        self.run(leave())
        self.loop.close()


# A walk that fails is made shorter, which takes longer than a test is given else.
TestSession = pytest.mark.scenario(
    "A50",
    f"{WALKS:,} random walks of up to 60 commands through the session, right and wrong ones, refusals and leavings",
    "each reply is what RFC 5321 has for that state; what was answered 250, and only that, the next hop took, once, unaltered",
)(Session.TestCase)  # fmt: skip
TestSession.pytestmark.append(pytest.mark.timeout(600))
TestSession.settings = settings(
    max_examples=WALKS,
    stateful_step_count=60,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
