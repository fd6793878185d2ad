"""SIGHUP, SIGTERM and limits, in the middle of the mail."""

from __future__ import annotations

import itertools
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

import pytest
from delivered import assert_each_once, assert_unaltered
from mails import make_mails
from sending import send_all
from servers.client import RawClient
from servers.nexthop import TAKEN
from servers.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from servers.filterd import Filterd
    from servers.nexthop import NextHop, Received
    from servers.stage import Stage

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(120)]

MAILS = 200
# While the next hop has these in hand, counted as they come, the settings are reloaded.
HELD_WHEN_RELOADED = (50, 120)
SENDER = "anna@sender.example.net"
ONE = "one@example.test"
MESSAGE = b"From: a@sender.example.net\r\nSubject: minutes\r\n\r\nSee the shared folder.\r\n"


@dataclass
class Hold:
    """Makes a next hop keep the `number`th message in hand from `reached` until `released`."""

    number: int
    reached: threading.Event = field(default_factory=threading.Event)
    released: threading.Event = field(default_factory=threading.Event)

    def __call__(self, number: int) -> None:
        """Called with each message's number; returns when it may be answered."""
        if number == self.number:
            self.reached.set()
            assert self.released.wait(60)


@pytest.fixture
def hop(stage: Stage) -> NextHop:
    return stage.next_hop()


@pytest.fixture
def start(stage: Stage, hop: NextHop) -> Iterator[Callable[..., Filterd]]:
    """Starts a filterd in front of `hop` with the given settings."""
    with ExitStack() as exits:

        def start_one(**settings: str) -> Filterd:
            server = stage.filterd(hop.url, **settings)
            exits.callback(server.stop)
            return server

        yield start_one


@pytest.fixture
def filterd(start: Callable[..., Filterd]) -> Filterd:
    return start()


def hold(hop: NextHop, *numbers: int) -> list[Hold]:
    """Let the next hop hold these messages and take all others at once."""
    holds = [Hold(number) for number in numbers]
    counter = itertools.count(1)

    def at_dot(_message: Received) -> bytes:
        number = next(counter)
        for one in holds:
            one(number)
        return TAKEN

    hop.at_dot = at_dot
    return holds


def offers(filterd: Filterd, extension: bytes) -> bool:
    with RawClient(filterd.port) as client:
        return extension in client.say("EHLO client.example.net")


@pytest.mark.scenario(
    "F50",
    "SIGHUP twice while a real Postfix sends",
    "each mail arrives once, unaltered",
)
def test_reloads_under_load_lose_no_mail_and_send_none_twice(
    stage: Stage, hop: NextHop, filterd: Filterd
) -> None:
    postfix = stage.postfix("after-queue")
    mails = make_mails(MAILS, seed=8)
    holds = hold(hop, *HELD_WHEN_RELOADED)
    with ThreadPoolExecutor(1) as pool:
        sending = pool.submit(send_all, mails, postfix.port)
        for one, limit in zip(holds, ("10000001", "10000002")):
            assert one.reached.wait(60), "there was no load"
            filterd.reload(max_message_size=limit)
            # The old workers may take a client or two more before they hear that they are done.
            wait_until(partial(offers, filterd, f"SIZE {limit}\r\n".encode()), filterd.log, 10)
            one.released.set()
        sending.result()
    wait_until(lambda: not postfix.queue(), postfix.log, 60)
    arrived = [
        (recipient, message.content.replace(b"\r\n", b"\n"))
        for message in hop.taken
        for recipient in message.recipients
    ]
    assert_each_once(arrived, mails)
    assert_unaltered(arrived, mails)


def test_wrong_settings_are_refused_and_mail_goes_on_with_the_old_ones(
    hop: NextHop, filterd: Filterd
) -> None:
    filterd.reload(max_message_size="10000003")
    filterd.refuse_to_reload(max_message_size="a lot")
    with RawClient(filterd.port) as client:
        assert b"SIZE 10000003\r\n" in client.say("EHLO client.example.net")
        client.begin(SENDER, [ONE])
        client.content(MESSAGE)
        assert client.reply() == TAKEN


def test_sigterm_lets_open_transactions_finish_turns_newcomers_away_and_ends_with_0(
    hop: NextHop, filterd: Filterd
) -> None:
    [held] = hold(hop, 1)
    with (
        RawClient(filterd.port) as waiting,
        RawClient(filterd.port) as writing,
        RawClient(filterd.port) as idle,
    ):
        idle.say("EHLO client.example.net")
        writing.begin(SENDER, ["writing@example.test"])
        waiting.begin(SENDER, ["waiting@example.test"])
        waiting.content(MESSAGE)
        assert held.reached.wait(30)
        filterd.terminate()
        assert idle.reply() == b"421 4.3.2 Service shutting down\r\n"
        assert idle.reply() == b""
        with RawClient(filterd.port) as newcomer:
            assert newcomer.greeting == b"421 4.3.2 Service shutting down\r\n"
        writing.content(MESSAGE)
        held.released.set()
        for client in (waiting, writing):
            assert client.reply() == TAKEN
            assert client.reply() == b"421 4.3.2 Service shutting down\r\n"
    assert filterd.wait() == 0
    assert hop.taken_by_recipient() == {"waiting@example.test", "writing@example.test"}
    assert len(hop.taken) == 2


def test_what_takes_longer_than_the_drain_timeout_is_cut_off_and_stays_with_its_sender(
    start: Callable[..., Filterd], hop: NextHop
) -> None:
    server = start(drain_timeout="0.5")
    with RawClient(server.port) as client:
        client.begin(SENDER, [ONE])
        client.send(MESSAGE)
        server.terminate()
        assert not client.reply().startswith(b"2")
    assert server.wait() == 0
    assert hop.taken == []


def test_a_message_over_the_limit_is_refused_and_one_of_just_the_limit_is_not(
    start: Callable[..., Filterd], hop: NextHop
) -> None:
    limit = 100_000
    server = start(max_message_size=str(limit))
    filling = b"x" * 998 + b"\r\n"
    fits = MESSAGE + filling * ((limit - len(MESSAGE)) // 1000)
    fits += b"y" * (limit - len(fits) - 2) + b"\r\n"
    with RawClient(server.port) as client:
        client.begin(SENDER, [ONE])
        client.content(fits)
        assert client.reply() == TAKEN
        client.begin(SENDER, [ONE])
        client.content(fits + b"\r\n")
        assert client.reply() == b"552 5.3.4 Message is larger than this server accepts\r\n"
    assert [message.content.endswith(fits) for message in hop.taken] == [True]
