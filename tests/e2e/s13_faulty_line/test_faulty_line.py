"""A real Postfix as next hop, at the end of a line that breaks on each step: nothing is lost.

filterd speaks to the proxy, the proxy to Postfix, and Postfix delivers to a server that counts.
"""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING

import pytest
import uvloop
from fault_proxy import Fault, FaultProxy
from ledger import Entry, Senders, make_message, settle
from servers.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from fault_proxy import Happening
    from ledger import Balance
    from servers.nexthop import NextHop
    from servers.postfix import Postfix
    from servers.stage import Stage

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

STEPS = ("connect", "EHLO", "MAIL", "RCPT", "DATA", "content", ".")
KINDS = ("reset", "close", "half_close", "going", "garbage", "endless", "cut", "hang")
# Longer than Postfix takes to write a mail to its disk on a busy machine.
TIMEOUT = "3"


class EachOnce:
    """Every kind on every step, one after another, before the message is taken and behind it."""

    def __init__(self) -> None:
        self.left = [
            (step, Fault(kind, taken=taken))
            for kind in KINDS
            for step in STEPS
            for taken in (False, True)
            if not (taken and step == "content")
        ]
        random.Random(13).shuffle(self.left)

    def __call__(self, step: str, _mail: str) -> Fault | None:
        # One of a few: each connection meets some, and some come as far as to their dot.
        for number, (where, fault) in enumerate(self.left[:3]):
            if where == step:
                del self.left[number]
                return fault
        return None


@pytest.fixture
def hop(stage: Stage) -> NextHop:
    return stage.next_hop()


@pytest.fixture
def postfix(stage: Stage, hop: NextHop) -> Postfix:
    # What Postfix does to long lines is its own affair.
    return stage.bare_postfix(f"smtp:[127.0.0.1]:{hop.port}", smtp_line_length_limit="0")


@pytest.fixture
def send(stage: Stage, postfix: Postfix) -> Iterator[Callable[..., object]]:
    """Send entries through filterd and the breaking line; what happened on it."""

    async def send_all(entries: list[Entry], breaks: EachOnce) -> list[Happening]:
        async with FaultProxy(postfix.port, pace=0.01) as proxy:
            settings = {"next_hop_timeout": TIMEOUT, "next_hop_connect_timeout": TIMEOUT}
            filterd = await asyncio.to_thread(stage.filterd, proxy.url, **settings)
            proxy.choose = breaks
            senders = Senders(entries, filterd.port, clients=4, most=1000, seed=13)
            await senders.run()
            return proxy.happened

    return lambda entries, breaks: uvloop.run(send_all(entries, breaks))


@pytest.mark.scenario(
    "F60",
    f"{len(KINDS)} kinds of break on every step of the line to a real Postfix, before it took the message and behind that",
    "each mail is delivered by Postfix, unaltered; a second copy only where its reply was lost",
)
def test_a_line_to_postfix_that_breaks_on_every_step_loses_nothing(
    hop: NextHop,
    postfix: Postfix,
    send: Callable[..., list[Happening]],
    record_property: Callable[[str, object], None],
) -> None:
    dice, breaks = random.Random(13), EachOnce()
    planned = len(breaks.left)
    entries = [Entry(number, make_message(number, dice)) for number in range(2 * planned)]
    happened = send(entries, breaks)
    assert breaks.left == []
    wait_until(lambda: not postfix.queue(), postfix.log, 60)
    balance = drawn(entries, hop, happened)
    found = balance.lost, balance.altered, balance.refused, balance.unexplained
    assert found == ([], [], [], [])
    assert balance.answered == len(entries)
    assert balance.duplicates
    record_property(
        "figure",
        f"{planned} breaks, {len(entries)} mails, {balance.attempts} tries: lost 0, altered 0, "
        f"{balance.duplicates} second copies, all explained",
    )


def drawn(entries: list[Entry], hop: NextHop, happened: list[Happening]) -> Balance:
    """The balance of what Postfix delivered."""
    lost = {
        one.mail.partition("<")[2].partition(">")[0]: str(one.fault)
        for one in happened
        if one.lost_a_reply
    }
    receipts = [(f"<{message.sender}>", without_trace(message.content)) for message in hop.taken]
    return settle(entries, receipts, lambda sender, _attempt: lost.get(sender))


def without_trace(content: bytes) -> bytes:
    """Without the Received field that Postfix puts in front."""
    assert content.startswith(b"Received: ")
    lines = content.split(b"\r\n")
    end = next(number for number, line in enumerate(lines[1:], 1) if line[:1] not in b" \t")
    return b"\r\n".join(lines[end:])
