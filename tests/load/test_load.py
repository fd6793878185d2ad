"""More mail than can be judged: nobody waits for long, nothing grows, what was taken arrives.

The real daemon, whose encoder takes its time, and senders that do not wait for each other. All
bounds are ratios within the run, or in parts of the deadline.
"""

import asyncio
import itertools
import os
import re
import shutil
import statistics
import time
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

import pytest
import pytest_asyncio
from daemon_process import BASE, HAM, Daemon, environment, toml
from load_flood import attempt, best_rate, flood, one_by_one
from load_peers import Client, Sink
from soak_mails import MailBag
from soak_people import Crowd
from soak_watch import look_at_all
from tiny_bundle import make_tiny_bundle

from filterd.judging import Handling, MailExaminer
from filterd.model.encoder import Encoder
from filterd.policy import Policy
from filterd.smtp.examiner import Envelope
from filterd.smtp.replies import BUSY

pytest_plugins = ("daemon_fixtures",)
pytestmark = pytest.mark.asyncio(loop_scope="module")

SLOW_ENCODER = Path(__file__).parent / "slow_encoder"
PER_MESSAGE = 0.04  # seconds: 25 a second can be judged
DEADLINE = 2.0
FLOOD_SECONDS = 6.0
PATIENCE = 20.0
CONTENTS = [HAM]
ENVELOPE = Envelope("192.0.2.1", "client.example", "a@example.org", ("you@example.com",), False, {})


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def sink():
    sink = await Sink().start()
    yield sink
    sink.close()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def daemon(sink, site_template, tmp_path_factory):
    """In front of the sink, judging 25 messages a second, and warmed up."""
    folder = tmp_path_factory.mktemp("load") / "site"
    shutil.copytree(site_template, folder)
    settings = BASE | {"next_hop": f"smtp://127.0.0.1:{sink.port}", "deadline": DEADLINE}
    (folder / "filterd.toml").write_text(toml(settings))
    path = os.pathsep.join([str(SLOW_ENCODER), os.environ.get("PYTHONPATH", "")])
    daemon = Daemon(folder, env=environment(SLOW_ENCODER_SECONDS=str(PER_MESSAGE), PYTHONPATH=path))
    # In a thread: it asks the sink, which lives in this loop, whether it is there.
    await asyncio.to_thread(daemon.started)
    await one_by_one(daemon.port, 30, CONTENTS, itertools.count(1_000_000))
    yield daemon
    daemon.end()


@pytest.fixture(scope="module")
def numbers():
    return itertools.count(1)


def worker(daemon):
    (row,) = [row for row in look_at_all(daemon.process.pid) if row["process"] == "worker 0"]
    return row


async def counted(daemon, metric):
    """The sum of a metric over its labels, by the value of the last label."""
    _, text = await asyncio.to_thread(daemon.get, "/metrics")
    found = re.findall(rf'^{metric}(?:{{.*?(\w+)"}})? ([\d.e+]+)$', text, re.MULTILINE)
    return {label: float(value) for label, value in found}


async def until(holds):
    async with asyncio.timeout(PATIENCE):
        while not await holds():  # noqa: ASYNC110  # the daemon has no event to tell of it
            await asyncio.sleep(0.05)


def assert_ledger_is_right(sink, attempts):
    """What was answered 250 arrived once, and nothing else did."""
    accepted = {made.number for made in attempts if made.accepted}
    arrived = {made.number: sink.taken[made.number] for made in attempts}
    assert arrived == {made.number: int(made.number in accepted) for made in attempts}


def refusals(attempts):
    return Counter((made.stage, made.text) for made in attempts if not made.accepted)


@pytest.mark.scenario(
    "L01",
    "mail comes three times as fast as it can be judged, from clients that do not wait",
    "who is not taken is told 421 or 451 at once; who is, is judged in time; goodput stays at 80% "
    "of the best or more, memory does not grow; 5 s later all is as before",
)
async def test_three_times_too_much_mail_is_judged_as_fast_as_ever_and_the_rest_told_to_come_again(
    daemon, sink, numbers, record_property
):
    calm = [made.seconds for made in await one_by_one(daemon.port, 15, CONTENTS, numbers)]
    best = await best_rate(daemon.port, 8, 3.0, CONTENTS, numbers)

    flooding = asyncio.create_task(flood(daemon.port, 3 * best, FLOOD_SECONDS, CONTENTS, numbers))
    await asyncio.sleep(FLOOD_SECONDS / 3)
    early = worker(daemon)
    await asyncio.sleep(FLOOD_SECONDS * 2 / 3)
    late = worker(daemon)
    ended = time.monotonic()
    attempts = await flooding

    accepted = [made for made in attempts if made.accepted]
    # From when the queue is full until the flood ends.
    steady = [made for made in accepted if DEADLINE <= made.at + made.seconds <= FLOOD_SECONDS]
    goodput = len(steady) / (FLOOD_SECONDS - DEADLINE)
    slowest = sorted(made.seconds for made in accepted)[int(len(accepted) * 0.99)]
    told = refusals(attempts)
    assert goodput >= 0.8 * best
    assert slowest <= DEADLINE + 0.5
    assert {text[:9] for _, text in told} <= {"451 4.3.2", "421 4.3.2"}
    quickly = statistics.median(made.seconds for made in attempts if not made.accepted)
    assert quickly <= DEADLINE / 4
    assert_ledger_is_right(sink, attempts)
    assert await counted(daemon, "filterd_unjudged_total") == {}
    # Neither with the time that a flood lasts nor with the number of those who were sent away.
    assert late["rss"] - early["rss"] <= 16
    assert late["fds"] - early["fds"] <= 40

    async def is_calm():
        made = await attempt(daemon.port, next(numbers), HAM, 0.0)
        return made.accepted and made.seconds <= 2 * max(calm)

    await until(is_calm)
    recovery = time.monotonic() - ended
    assert recovery <= 5.0
    record_property(
        "figure",
        f"best {best:.0f}/s, at 3x {goodput:.0f}/s; p99 {slowest:.1f} s, refusals after "
        f"{quickly * 1000:.0f} ms; RSS {late['rss'] - early['rss']:+.0f} MiB; calm after "
        f"{recovery:.1f} s",
    )


@pytest.mark.scenario(
    "L03",
    "400 clients connect in the same moment, each with a message",
    "each gets a reply, 250, 421 or 451; what was taken is judged in time and arrives once",
)
async def test_a_burst_is_taken_as_far_as_it_can_be_judged_in_time(
    daemon, sink, numbers, record_property
):
    before = await counted(daemon, "filterd_deferred_total")
    attempts = await asyncio.gather(
        *(attempt(daemon.port, next(numbers), HAM, 0.0) for _ in range(400))
    )
    accepted = [made for made in attempts if made.accepted]
    assert {text[:9] for _, text in refusals(attempts)} <= {"451 4.3.2", "421 4.3.2"}
    # As many as can be judged in three quarters of the deadline, give and take.
    assert 0.4 * DEADLINE / PER_MESSAGE <= len(accepted) <= 1.2 * DEADLINE / PER_MESSAGE
    assert_ledger_is_right(sink, attempts)
    deferred = await counted(daemon, "filterd_deferred_total")
    deferred = sum(deferred.values()) - sum(before.values())
    assert deferred == len(attempts) - len(accepted)
    record_property("figure", f"{len(accepted)} of 400 taken")


class SlowBatcher:
    """Encodes one text after the other, each in so many seconds."""

    def __init__(self, encoder, seconds):
        self.bundle = encoder.bundle
        self._encoder = encoder
        self._seconds = seconds
        self._turn = asyncio.Lock()

    async def encode(self, text):
        async with self._turn:
            await asyncio.sleep(self._seconds)
            return self._encoder.encode([text])[0]


class Records(list):
    record = list.append


@pytest.fixture(scope="module")
def encoder(tmp_path_factory):
    return Encoder(make_tiny_bundle(tmp_path_factory.mktemp("bundle") / "tiny"))


async def outcomes_of_a_burst(encoder, mode="tag", **changes):
    """What becomes of 60 mails that come at once where 25 can be judged in time."""
    handling = {
        "policy": Policy(mode),
        "on_failure": "pass",
        "deadline": 0.5,
        "subject_tag": "",
        "spam_headers": True,
        "keep_text": True,
    }
    records = Records()
    ids = (f"ID{number}" for number in itertools.count(1))
    examiner = MailExaminer(
        SlowBatcher(encoder, 0.02),
        records,
        Handling(**handling | changes),
        new_id=lambda: next(ids),
        now=lambda: datetime(2026, 11, 24, tzinfo=UTC),
    )
    found = await asyncio.gather(*(examiner.examine(ENVELOPE, HAM) for _ in range(60)))
    for outcome, token in found:
        examiner.delivered(token, (outcome.reply or BUSY,))
    may_begin = examiner.may_begin()
    await examiner.close()
    assert may_begin
    return [outcome for outcome, _ in found], records


async def test_what_cannot_be_judged_in_time_is_told_to_come_again_and_leaves_no_record(encoder):
    outcomes, records = await outcomes_of_a_burst(encoder)
    refused = [outcome for outcome in outcomes if outcome.message is None]
    assert {outcome.reply for outcome in refused} == {BUSY}
    assert 10 <= len(refused) <= 52
    assert len(records) == len(outcomes) - len(refused)


@pytest.mark.scenario(
    "L05",
    "more mail than can be judged, with on_overload = pass, or in mode shadow",
    "all of it is taken; what could not be judged in time says so in its header",
)
@pytest.mark.parametrize("changes", [{"on_overload": "pass"}, {"mode": "shadow"}], ids=str)
async def test_a_site_may_have_all_mail_taken_whatever_comes(encoder, changes):
    outcomes, records = await outcomes_of_a_burst(encoder, **changes)
    assert all(outcome.message is not None for outcome in outcomes)
    assert {record.failure for record in records} >= {None, "overload"}


async def test_a_client_that_is_told_to_come_again_may_do_so_on_the_same_connection(
    daemon, numbers
):
    patient = await Client.connect(daemon.port)
    assert await patient.greet() is None
    crowd = asyncio.gather(*(attempt(daemon.port, next(numbers), HAM, 0.0) for _ in range(300)))

    async def is_refused():
        code, text = await patient.say("MAIL FROM:<a@example.org>")
        if code == 250:
            await patient.say("RSET")
        return (code, text[:9]) == (451, "451 4.3.2")

    await until(is_refused)
    await crowd
    assert await patient.open(next(numbers)) is None
    assert (await patient.finish(HAM))[0] == 250
    patient.leave()


@pytest.mark.scenario(
    "L11",
    "mail of all kinds and sizes from clients that reset, break off, idle, talk nonsense or look in",
    "what was answered 250 arrives once and whole, nothing else does; nobody is left without a reply",
)
async def test_a_little_of_all_that_an_hour_of_soaking_has(daemon, sink, record_property):
    first = 2_000_000
    crowd = Crowd(daemon.port, sink, MailBag(seed=2), seed=2, first=first)
    await crowd.come(12.0, time.monotonic() + 5.0)
    await crowd.leave()
    taken = {number: count for number, count in sink.taken.items() if number and number >= first}
    assert taken == dict.fromkeys(crowd.tally.accepted, 1)
    assert not sink.spoilt
    assert not crowd.tally.broken
    assert crowd.tally.accepted
    record_property("figure", f"{len(taken)} messages, {sum(crowd.tally.refused.values())} refused")
