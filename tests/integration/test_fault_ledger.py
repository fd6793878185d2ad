"""The ledger: every fault at once, and of each message it is known where it is.

Senders that try again as an MTA does, the real daemon with several workers, a line to the next hop
that breaks on any step, and a storm over the daemon's own processes, database and model. In the end
each message is answered 250 and downstream once, or is still with its sender; a second copy is there
only where the next hop's reply was lost by a fault that was thrown (RFC 1047), one by one.

600 messages here, 20,000 with LEDGER_LONG=1 (`make ledger`).
"""

import asyncio
import base64
import json
import os
import random
import time
from collections import Counter
from datetime import datetime

import pytest
import uvloop
from daemon_process import BASE, free_port
from fault_proxy import KINDS, Fault, FaultProxy
from ledger import Entry, Senders, make_message, settle
from rich.console import Console
from rich.table import Table
from smtp_peers import FakeNextHop
from storm import WEIGHTS, Storm
from tiny_bundle import make_tiny_bundle

from filterd.store.database import open_database
from filterd.store.models import register_bundle

pytest_plugins = ("daemon_fixtures",)

LONG = bool(os.environ.get("LEDGER_LONG"))
MESSAGES = 20_000 if LONG else 600
# A strike after so many messages more were settled.
STRIDE = 100 if LONG else 50
CLIENTS = 24
WORKERS = 3 if LONG else 2
MOST_ATTEMPTS = 6
SEED = 1047
# Of all steps: so many break. What makes filterd wait for its timeout comes less often.
BREAKS = 0.035
SLOW_KINDS = ("hang", "drip", "half_close")
SLOWLY = 0.1
SETTINGS = BASE | {
    "workers": WORKERS,
    "next_hop_timeout": 4.0,
    "next_hop_connect_timeout": 2.0,
}


class DurableNextHop(FakeNextHop):
    """Has every message on disk before it says 250."""

    def __init__(self, path):
        super().__init__()
        self._journal = path.open("ab")
        self._unanswered = 0

    async def _act(self, step, writer):
        if step == ".":
            message = self.messages.pop()
            entry = [message.mail, base64.b64encode(message.content).decode()]
            self._journal.write(json.dumps(entry).encode() + b"\n")
            self._journal.flush()
            os.fdatasync(self._journal.fileno())
        return await super()._act(step, writer)


def receipts(path):
    """What the journal holds, one message at a time."""
    with path.open() as lines:
        for line in lines:
            mail, content = json.loads(line)
            yield mail, base64.b64decode(content)


class Breaks:
    """A fault now and then, on any step."""

    def __init__(self, dice):
        self._dice = dice
        self.is_over = False

    def __call__(self, step, mail):
        if self.is_over or self._dice.random() >= BREAKS:
            return None
        kind = self._dice.choice(KINDS)
        if kind in SLOW_KINDS and self._dice.random() >= SLOWLY:
            kind = "reset"
        return Fault(kind, taken=step != "content" and self._dice.random() < 0.5)


def register_second(site):
    """A second bundle, so that there is one to change to."""
    bundle = make_tiny_bundle(site / "var/models/tiny.2", version="tiny.2")
    database = open_database(f"sqlite:///{site / 'var/filterd.db'}")
    register_bundle(
        database,
        bundle.version,
        str(bundle.path),
        created_at=datetime.fromisoformat(bundle.created),
        data_digest=bundle.data_digest,
        metrics={},
    )
    database.close()


def strikes(storm, dice):
    """Which come, in which order: each at least once, then as often as they are wont to."""
    first = list(WEIGHTS)
    dice.shuffle(first)
    yield from first
    while True:
        yield storm.choose()


async def weather(storm, senders, dice):
    """Strike whenever STRIDE messages more are settled, until all are."""
    due = STRIDE
    for what in strikes(storm, dice):
        while senders.settled < due:
            senders.progress.clear()
            await senders.progress.wait()
        await storm.strike(what)
        due = max(due, senders.settled) + STRIDE
        if due >= MESSAGES:
            return


async def throw_while(sending, storming):
    """A storm until all is sent. What goes wrong in the storm itself ends both."""
    sending, storming = asyncio.create_task(sending), asyncio.create_task(storming)
    await asyncio.wait({sending, storming}, return_when=asyncio.FIRST_COMPLETED)
    if not sending.done():
        storming.result()  # the last strike, or why there are no more
        await sending
    storming.cancel()
    await asyncio.gather(storming, return_exceptions=True)


async def run(site, path):
    """Throw everything; the balance, the storm and the proxy."""
    dice = random.Random(SEED)
    entries = [Entry(number, make_message(number, dice)) for number in range(MESSAGES)]
    port = free_port()
    async with DurableNextHop(path) as hop, FaultProxy(hop.port, pace=0.01) as proxy:
        storm = Storm(site, port, proxy, dice, SETTINGS | {"next_hop": proxy.url})
        await storm.begin()
        try:
            breaks = proxy.choose = Breaks(random.Random(SEED + 1))
            senders = Senders(entries, port, clients=CLIENTS, most=MOST_ATTEMPTS, seed=SEED)
            await throw_while(senders.run(), weather(storm, senders, dice))
            breaks.is_over = True
            await storm.end()
        finally:
            storm.daemon.end()
    lost = {
        one.mail.partition("<")[2].partition(">")[0]: f"line: {one.fault.kind}"
        for one in proxy.happened
        if one.lost_a_reply
    }

    def explain(sender, attempt):
        return lost.get(sender) or storm.killer(attempt)

    return settle(entries, receipts(path), explain), senders, storm, proxy


def report(balance, senders, storm, proxy, seconds):
    """The figures, as JSON would have them."""
    return {
        "messages": balance.messages,
        "tries": balance.attempts,
        "connections refused or lost before a try": senders.refused,
        "answered 250": balance.answered,
        "still with the sender": balance.with_sender,
        "copies downstream": balance.copies,
        "lost": len(balance.lost),
        "altered": len(balance.altered),
        "refused for good": len(balance.refused),
        "second copies": balance.duplicates,
        "unexplained copies": len(balance.unexplained),
        "copies of tries not answered 250, by cause": dict(balance.reasons.most_common()),
        "replies to the senders": {str(code): n for code, n in balance.replies.most_common()},
        "strikes": dict(storm.strikes.most_common()),
        "line breaks by kind": dict(
            Counter(one.fault.kind for one in proxy.happened).most_common()
        ),
        "line breaks by step": dict(Counter(one.step for one in proxy.happened).most_common()),
        "delivered unjudged": balance.unjudged,
        "seconds": round(seconds),
        "messages a second": round(balance.answered / seconds, 1),
        "seed": SEED,
    }


def show(figures):
    table = Table("what", "figure", title=f"Ledger of {figures['messages']:,} messages")
    for name, value in figures.items():
        told = (
            ", ".join(f"{k}: {v}" for k, v in value.items()) if isinstance(value, dict) else value
        )
        table.add_row(name, str(told))
    Console(width=110).print(table)
    print(json.dumps(figures))


@pytest.mark.timeout(7200 if LONG else 300)
@pytest.mark.scenario(
    "F90",
    "every fault at once, at random from a fixed seed: the line to the next hop, kills, restarts, reloads, locks, model changes",
    "each message is answered 250 and downstream once, or still with its sender; none altered; second copies only where a fault took the reply",
)  # fmt: skip
def test_every_message_is_here_or_there(site, tmp_path, record_property):
    register_second(site)
    since = time.monotonic()
    balance, senders, storm, proxy = uvloop.run(run(site, tmp_path / "journal"))
    figures = report(balance, senders, storm, proxy, time.monotonic() - since)
    show(figures)
    assert balance.lost == []
    assert balance.altered == []
    assert balance.refused == []
    assert balance.unexplained == []
    assert balance.answered + balance.with_sender == MESSAGES
    assert set(storm.strikes) == set(WEIGHTS)
    assert balance.duplicates, "no reply was lost: the test is no good"
    record_property(
        "figure",
        f"{MESSAGES:,} messages, {balance.attempts:,} tries: lost 0, altered 0; {balance.with_sender} "
        f"with the sender; {balance.duplicates} second copies, unexplained 0",
    )
