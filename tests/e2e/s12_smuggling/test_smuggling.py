"""Client → filterd → Postfix → Dovecot: whatever looks like an end of data, one mail stays one.

Behind filterd stands once a Postfix that takes bare line ends for line ends, so that filterd alone
stands between, and once a careful one. What counts is what lies in Dovecot's mailboxes.
"""

from __future__ import annotations

import itertools
import re
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest
from mails import DOMAIN
from servers.client import RawClient
from servers.ports import LOOPBACK, free_port
from servers.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from servers.dovecot import Dovecot
    from servers.postfix import Postfix
    from servers.stage import Stage

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(120)]

VICTIM = f"victim@{DOMAIN}"
# Taken by some server somewhere for the end of a message.
FALSE_ENDS = (
    b"\n.\n", b"\n.\r\n", b"\r\n.\n", b"\r\n.\r", b"\n.\r", b"\r.\r", b"\r.\n", b"\r.\r\n",
    b"\r\r\n.\r\r\n", b"\r\n.\r\r\n", b"\r\n\r.\r\n", b"\n\n.\n\n", b"\n\r.\n\r", b"\r\r.\r\r",
    b"\r\n\x00.\r\n", b"\r\n.\x00\r\n", b"\r\n\x00.\x00\r\n", b"\r\x00\n.\r\x00\n",
    b"\r\x00\n.\r\n", b"\r\n.\r\x00\n", b"\n\x00.\n", b"\x00\n.\n\x00",
)  # fmt: skip
LINE_ENDS = (b"\r\n", b"\n")
PLACES = {"body": b"\r\n\r\nHello.", "header": b"\r\nX-Next: "}
MESSAGE_ID = re.compile(rb"^Message-ID: <(\w+)\.(\d+)@", re.MULTILINE)
HONEST = (
    b"From: b@sender.example.net\r\nSubject: honest\r\nMessage-ID: <honest.%d@x>\r\n\r\nHello.\r\n"
)


@dataclass(frozen=True)
class Attempt:
    """One mail with another inside, and how it goes over the wire."""

    number: int
    content: bytes  # with the true end of data
    drips: bool
    has_bare: bool


def make_attempts() -> list[Attempt]:
    """Every false end in header and body, with tidy and untidy commands behind it, whole or not."""
    every = itertools.product(FALSE_ENDS, PLACES.values(), LINE_ENDS, (False, True))
    return [
        Attempt(number, content := smuggle(number, end, place, line_end), drips, is_bare(content))
        for number, (end, place, line_end, drips) in enumerate(every)
    ]


def smuggle(number: int, false_end: bytes, place: bytes, line_end: bytes) -> bytes:
    outer = b"From: a@sender.example.net\r\nSubject: outer\r\nMessage-ID: <outer.%d@x>" % number
    inner = [b"MAIL FROM:<evil@sender.example.net>", f"RCPT TO:<{VICTIM}>".encode(), b"DATA"]
    inner += [b"Subject: inner", b"Message-ID: <inner.%d@x>" % number, b"", b"Smuggled."]
    return outer + place + false_end + line_end.join(inner) + b"\r\n.\r\n"


def is_bare(content: bytes) -> bool:
    rest = content.replace(b"\r\n", b"")
    return b"\r" in rest or b"\n" in rest


@dataclass(frozen=True)
class Gate:
    """A filterd and the Postfix behind it."""

    port: int
    postfix: Postfix
    dovecot: Dovecot
    bare_newline: str

    def wait_for(self, count: int) -> None:
        wait_until(
            lambda: self.dovecot.count() >= count and not self.postfix.queue(),
            lambda: f"{self.dovecot.count()} of {count} delivered",
            60,
        )

    def arrived(self) -> Counter[tuple[str, int]]:
        """How often each kind and number lies in some mailbox."""
        found = (MESSAGE_ID.search(content) for _, content in self.dovecot.delivered())
        return Counter((match[1].decode(), int(match[2])) for match in found)


@pytest.fixture(scope="module")
def dovecot(stage: Stage) -> Dovecot:
    return stage.dovecot()


@pytest.fixture(scope="module")
def lenient(stage: Stage, dovecot: Dovecot) -> Postfix:
    return stage.bare_postfix(
        dovecot.transport,
        smtpd_forbid_bare_newline="no",
        smtpd_forbid_unauth_pipelining="no",
        # Its control is attacked without filterd between, and pipelines before it is told to.
        smtpd_error_sleep_time="0",
    )


@pytest.fixture(scope="module")
def careful(stage: Stage, dovecot: Dovecot) -> Postfix:
    return stage.bare_postfix(dovecot.transport, smtpd_forbid_bare_newline="normalize")


@pytest.fixture(scope="module")
def raise_gate(stage: Stage, dovecot: Dovecot) -> Callable[[Postfix, str], Gate]:
    def raise_one(postfix: Postfix, bare_newline: str) -> Gate:
        server = stage.filterd(
            f"smtp://{LOOPBACK}:{postfix.port}",
            listen=f"{LOOPBACK}:{free_port()}",
            bare_newline=bare_newline,
        )
        return Gate(server.port, postfix, dovecot, bare_newline)

    return raise_one


@pytest.fixture
def mailboxes(dovecot: Dovecot) -> Iterator[Dovecot]:
    dovecot.empty()
    yield dovecot
    dovecot.empty()


def send(client: RawClient, recipient: str, content: bytes, *, drips: bool = False) -> bytes:
    """One message whose content is sent as it is; the reply to it."""
    client.begin("a@sender.example.net", [recipient])
    (client.drip if drips else client.send)(content)
    return client.reply()


def attack(gate: Gate, attempt: Attempt) -> bool:
    """One attempt and an honest mail behind it on one connection; whether the first was taken."""
    with RawClient(gate.port) as client:
        reply = send(
            client, f"outer{attempt.number}@{DOMAIN}", attempt.content, drips=attempt.drips
        )
        # One reply to one message: commands that were obeyed would have had theirs.
        assert client.say("NOOP") == b"250 2.0.0 OK\r\n"
        honest = send(client, f"next@{DOMAIN}", HONEST % attempt.number + b".\r\n")
        assert honest.startswith(b"250 "), honest
    taken = reply.startswith(b"250 ")
    assert taken or reply[:4] in {b"550 ", b"554 "}, reply
    if attempt.has_bare and gate.bare_newline == "reject":
        assert reply.startswith(b"550 5.6.11 "), reply
    return taken


def test_without_filterd_the_lenient_postfix_is_fooled(
    lenient: Postfix, mailboxes: Dovecot
) -> None:
    """Or all that follows would prove nothing."""
    with RawClient(lenient.port) as client:
        client.begin("a@sender.example.net", [f"outer@{DOMAIN}"])
        client.send(smuggle(1, b"\n.\n", PLACES["body"], b"\n"))
        assert [client.reply()[:3] for _ in range(5)] == [b"250", b"250", b"250", b"354", b"250"]
    wait_until(lambda: mailboxes.mailbox(VICTIM), "nothing was smuggled")


@pytest.mark.parametrize(
    ("hop", "bare_newline"),
    [
        pytest.param("lenient", "normalize", marks=pytest.mark.scenario(
            "A01", "22 false ends of data in header and body, whole and byte by byte, before a Postfix that takes bare line ends",
            "one mail in is one mail out; nothing smuggled arrives")),
        pytest.param("lenient", "reject", marks=pytest.mark.scenario(
            "A02", "the same with bare_newline = reject", "every mail with a bare CR or LF is answered 550 5.6.11; nothing smuggled arrives")),
        pytest.param("careful", "normalize", marks=pytest.mark.scenario(
            "A03", "the same before a Postfix that forbids bare line ends", "one mail in is one mail out; nothing smuggled arrives")),
    ],
)  # fmt: skip
def test_one_mail_in_is_never_two_out(
    hop: str,
    bare_newline: str,
    raise_gate: Callable[[Postfix, str], Gate],
    mailboxes: Dovecot,
    request: pytest.FixtureRequest,
    record_property: Callable[[str, object], None],
) -> None:
    gate = raise_gate(request.getfixturevalue(hop), bare_newline)
    attempts = make_attempts()
    taken = [attempt.number for attempt in attempts if attack(gate, attempt)]
    gate.wait_for(len(taken) + len(attempts))
    arrived = gate.arrived()
    assert mailboxes.mailbox(VICTIM) == []
    assert arrived == Counter(
        [("outer", number) for number in taken]
        + [("honest", attempt.number) for attempt in attempts]
    )
    if bare_newline == "normalize":
        assert len(taken) >= len(attempts) // 2
    record_property(
        "figure",
        f"{len(attempts)} attempts: {len(taken)} taken, as many arrived; 0 smuggled; "
        f"{len(attempts)} honest mails behind them arrived",
    )


@pytest.mark.scenario(
    "A04",
    "smuggled commands in a pipeline: a whole envelope before, the next one right behind the end",
    "the two honest mails arrive, nothing else",
)
def test_pipelining_does_not_help_a_smuggler(
    lenient: Postfix,
    raise_gate: Callable[[Postfix, str], Gate],
    mailboxes: Dovecot,
    record_property: Callable[[str, object], None],
) -> None:
    gate = raise_gate(lenient, "normalize")
    attempts = [attempt for attempt in make_attempts() if not attempt.drips]
    envelope = f"MAIL FROM:<a@sender.example.net>\r\nRCPT TO:<outer@{DOMAIN}>\r\nDATA\r\n".encode()
    taken = 0
    for attempt in attempts:
        with RawClient(gate.port) as client:
            client.send(b"EHLO client.example.net\r\n" + envelope)
            assert [client.reply()[:3] for _ in range(4)] == [b"250", b"250", b"250", b"354"]
            client.send(attempt.content + envelope)
            reply, *following = [client.reply()[:3] for _ in range(4)]
            assert following == [b"250", b"250", b"354"]
            taken += reply == b"250"
            client.send(HONEST % attempt.number + b".\r\nQUIT\r\n")
            assert [client.reply()[:3] for _ in range(3)] == [b"250", b"221", b""]
    gate.wait_for(taken + len(attempts))
    assert mailboxes.mailbox(VICTIM) == []
    kinds = Counter(kind for kind, _ in gate.arrived().elements())
    assert kinds == {"outer": taken, "honest": len(attempts)}
    record_property("figure", f"{2 * len(attempts)} mails in pipelines, 0 smuggled")
