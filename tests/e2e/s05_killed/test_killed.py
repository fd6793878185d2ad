"""kill -9 of the whole daemon, again and again: every mail is with its sender or with its receiver.

The sender is Postfix' queue, the receiver a next hop that holds its reply to the end of data.
A handful of kills here; a hundred with E2E_LONG=1.
"""

from __future__ import annotations

import os
import random
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest
from servers.client import RawClient
from servers.nexthop import TAKEN
from servers.waiting import wait_until

if TYPE_CHECKING:
    from servers.filterd import Filterd
    from servers.nexthop import NextHop, Received
    from servers.postfix import Postfix
    from servers.stage import Stage

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(1800)]

KILLS = 100 if os.environ.get("E2E_LONG") else 6
MAILS_A_KILL = 4
SENDER = "anna@sender.example.net"
LOST = b"451 4.3.0 Lost before it was on disk\r\n"
# Longer than it takes from the first recipient to the end of data and to judge a few mails.
JUDGING_SECONDS = 0.15
MESSAGE = b"From: a@sender.example.net\r\nSubject: minutes\r\n\r\nSee the shared folder.\r\n"


@dataclass
class Trap:
    """Makes a next hop hold whatever it gets while `armed`, and then take it or lose it."""

    hop: NextHop
    armed: bool = False
    takes: bool = False
    opened: threading.Event = field(default_factory=threading.Event)
    holding: threading.Event = field(default_factory=threading.Event)
    took: threading.Event = field(default_factory=threading.Event)
    released: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self.hop.at_rcpt, self.hop.at_dot = self._at_rcpt, self._at_dot

    def arm(self, *, armed: bool, takes: bool) -> None:
        """For the next kill: hold or not, and what becomes of messages that are held."""
        self.released.set()
        self.released = threading.Event()
        self.armed, self.takes = armed, takes
        for event in (self.opened, self.holding, self.took):
            event.clear()

    def _at_rcpt(self, _recipient: str) -> bytes:
        self.opened.set()
        return b"250 2.1.5 Ok\r\n"

    def _at_dot(self, _message: Received) -> bytes:
        released, takes = self.released, self.takes
        if self.armed:
            self.holding.set()
            assert released.wait(60)
            return TAKEN if takes else LOST
        self.took.set()
        return TAKEN


@pytest.fixture(scope="module")
def trap(stage: Stage) -> Trap:
    return Trap(stage.next_hop())


@pytest.fixture(scope="module")
def filterd(stage: Stage, trap: Trap) -> Filterd:
    return stage.filterd(trap.hop.url)


@pytest.fixture(scope="module")
def postfix(stage: Stage, filterd: Filterd) -> Postfix:
    return stage.postfix("after-queue")


@pytest.mark.scenario(
    "F42",
    "kill -9 of the whole daemon behind a real Postfix, between the first recipient and the reply",
    "every mail is in Postfix' queue or with the next hop; all arrive",
)
def test_no_kill_loses_a_mail(trap: Trap, filterd: Filterd, postfix: Postfix) -> None:
    dice = random.Random(5)  # not for secrets
    sent: set[str] = set()
    waiting = 0
    for kill in range(KILLS):
        moment = ("held", "opened", "took")[kill % 3]
        trap.arm(armed=moment == "held", takes=dice.random() < 0.5)
        sent |= send(postfix, [f"{kill}.{number}@example.test" for number in range(MAILS_A_KILL)])
        wait_for(moment, trap, dice)
        filterd.kill()
        trap.released.set()
        waiting += len(postfix.queue())
        filterd.start()
        assert_none_lost(sent, trap, postfix, f"kill {kill}, {moment}")
        postfix.flush()
    trap.arm(armed=False, takes=True)
    postfix.flush()
    wait_until(lambda: not postfix.queue(), lambda: f"{len(postfix.queue())} in the queue", 60)
    arrived = [recipient for message in trap.hop.taken for recipient in message.recipients]
    assert set(arrived) == sent
    assert waiting, "no kill came before a reply: the test is no good"
    print(
        f"\n{KILLS} kills, {len(sent)} mails: all arrived, {len(arrived) - len(sent)} second "
        f"copies (RFC 1047); {waiting / KILLS:.1f} mails in the queue after a kill; "
        f"{len(trap.hop.refused)} times the next hop lost what it held"
    )


@pytest.mark.scenario(
    "F59",
    "kill -9 while the next hop holds its reply",
    "the client gets no reply; its mail is still its own",
)
def test_a_client_gets_no_reply_from_a_daemon_that_is_killed(trap: Trap, filterd: Filterd) -> None:
    trap.arm(armed=True, takes=False)
    with RawClient(filterd.port) as client:
        client.begin(SENDER, ["nobody@example.test"])
        client.content(MESSAGE)
        assert trap.holding.wait(30)
        filterd.kill()
        assert client.reply() == b""
    trap.released.set()
    assert "nobody@example.test" not in trap.hop.taken_by_recipient()


def wait_for(moment: str, trap: Trap, dice: random.Random) -> None:
    """Return in the middle of what is to be cut off."""
    if moment == "held":
        assert trap.holding.wait(30), "the next hop got nothing"
    elif moment == "opened":
        # Between the first recipient and the reply; where in it is up to chance, not to an event.
        assert trap.opened.wait(30), "the next hop got nothing"
        time.sleep(dice.random() * JUDGING_SECONDS)
    else:
        assert trap.took.wait(30), "the next hop got nothing"


def send(postfix: Postfix, recipients: list[str]) -> set[str]:
    """One mail to each; returns them when Postfix has all in its queue."""
    with RawClient(postfix.port) as client:
        for recipient in recipients:
            client.begin(SENDER, [recipient])
            client.content(MESSAGE)
            reply = client.reply()
            assert reply.startswith(b"250"), reply
    return set(recipients)


def assert_none_lost(sent: set[str], trap: Trap, postfix: Postfix, when: str) -> None:
    """Each is in the queue or was taken. What Postfix just moves from one queue to the next its
    listing may miss, so a second look is allowed; what is lost stays away.
    """
    missing = set(sent)

    def none_missing() -> bool:
        # The queue first: a mail goes from there to the next hop, never back.
        missing.difference_update(postfix.queued_recipients())
        missing.difference_update(trap.hop.taken_by_recipient())
        return not missing

    wait_until(none_missing, lambda: f"{when}: neither here nor there: {sorted(missing)}", 10)
