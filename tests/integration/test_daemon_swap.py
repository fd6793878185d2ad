"""Another bundle is put into service while mail comes: none is lost, and no correction either."""

import itertools
import json
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime
from statistics import quantiles

import pytest
from daemon_process import environment
from structlog.testing import capture_logs
from tiny_bundle import SPAM_WORDS, make_tiny_bundle

from bot.explainer import Explainer
from filterd.model.encoder import Encoder
from filterd.settings import Settings
from filterd.store.database import open_database
from filterd.store.labels import add_label, undo_label
from filterd.store.messages import get
from filterd.store.models import register_bundle, rollback, set_champion
from filterd.store.scores import write_scores
from filterd.teaching import SiteWatch
from filterd.worker import _learn_for

pytest_plugins = ("daemon_fixtures", "store_fixtures")

WORKERS = 2
OLD, NEW = "tiny.1", "tiny.2"
# What each bundle thinks: OLD takes a lottery for spam, NEW parcels.
NEW_SPAM_WORDS = ("parcel", *SPAM_WORDS[:1])
VERDICTS = {OLD: {"lottery": "spam", "parcel": "ham"}, NEW: {"lottery": "ham", "parcel": "spam"}}
BODY = (
    "Dear {name}, your {kind} {number} could not be handed over since the fee is unpaid. Please"
    " confirm your address at https://{name}.example/{number} and pay the fee within two days, or"
    " it will be sent back. Kind regards, your {kind} service"
)
OTHER = (
    "Good morning {name}, the {kind} of last week is in room {number}, behind the copper pipes."
    " Whoever has the key to the yard should tell the caretaker before lunch; the crane comes"
    " early, and half of us will still be on the train then. See you, everybody"
)
SENDERS, MAILS_A_SENDER = 8, 60
LONGEST_SECONDS = 4.0  # a mail is judged within the deadline of 5 s, or it goes on unjudged
SWAPS = (NEW, OLD, NEW, "back")


def copy(number, kind, body=BODY):
    """The number-th mail of a campaign: names, links and figures of its own."""
    name = f"{'abcdefghijklmnop'[number % 16]}ubert"
    text = body.format(name=name, kind=kind, number=7000 + number)
    head = f"From: {name}@{name}.example\r\nSubject: About the {kind}\r\nX-Number: {number}"
    return f"{head}\r\n\r\n{text}\r\n".encode()


def header(message, name):
    lines = message.partition(b"\n\n")[0].decode().splitlines()
    return next(line.partition(": ")[2] for line in lines if line.startswith(f"{name}: "))


def verdict(message):
    return header(message, "X-Filterd-Verdict").partition(";")[0]


class Swapped:
    """A site with a daemon, a second bundle beside its champion, and its database."""

    def __init__(self, daemon):
        self.daemon = daemon
        self.models = daemon.folder / "var/models"
        self.bundle = make_tiny_bundle(
            self.models / NEW, version=NEW, spam_words=NEW_SPAM_WORDS, max_tokens=128
        )
        self.database = open_database(f"sqlite:///{daemon.folder / 'var/filterd.db'}")
        register_bundle(
            self.database,
            NEW,
            str(self.bundle.path),
            created_at=datetime.fromisoformat(self.bundle.created),
            data_digest=self.bundle.data_digest,
            metrics={},
        )

    def send(self, *messages):
        before = set(self.daemon.delivered())
        for message in messages:
            assert self.daemon.send(message)[0] == 250
        return [found for found in self.daemon.delivered() if found not in before]

    def verdict(self, number, kind, body=BODY):
        (found,) = self.send(copy(number, kind, body))
        return verdict(found)

    def label(self, message, label):
        """Label a delivered mail, and wait until each worker knows."""
        given = add_label(self.database, self.id_of(message), "spam", label, "ann", "cli")
        self.hear("labels learnt anew")
        return given

    def id_of(self, message):
        """Its id, once its record is written."""
        found = header(message, "X-Filterd-Id")
        until = time.monotonic() + 10
        while get(self.database, found) is None:
            assert time.monotonic() < until, "no record"
            threading.Event().wait(0.05)
        return found

    def score(self, message):
        """Write what the new bundle gives to a delivered mail, as a night does."""
        record = get(self.database, self.id_of(message))
        (scores,) = Encoder(self.bundle).encode([record.text])
        write_scores(self.database, NEW, {record.id: scores.tasks["spam"][-1]})

    def promote(self, version):
        set_champion(self.database, version, "trainer", "a better night")
        self.hear("champion_changed", version=version)

    def go_back(self, version=OLD):
        rollback(self.database, "ann", "complaints")
        self.hear("champion_changed", version=version)

    def hear(self, event, **fields):
        left = set(range(WORKERS))
        while left:
            entry = self.daemon.next_entry(event)
            if entry["event"] == event and fields.items() <= entry.items():
                left.discard(entry["worker"])


@pytest.fixture
def swapped(serve):
    found = Swapped(serve(workers=WORKERS))
    yield found
    found.database.close()


@pytest.mark.parametrize(
    ("kind", "label", "scored"),
    [
        ("parcel", "spam", True),
        ("parcel", "ham", True),
        ("lottery", "spam", True),
        ("lottery", "ham", True),
        ("parcel", "ham", False),
    ],
)
def test_a_correction_keeps_its_effect_over_a_promotion_and_a_rollback(
    swapped, kind, label, scored
):
    (first,) = swapped.send(copy(0, kind))
    assert verdict(first) == VERDICTS[OLD][kind]
    swapped.label(first, label)
    if scored:
        swapped.score(first)
    assert swapped.verdict(1, kind) == label
    swapped.promote(NEW)
    assert {swapped.verdict(number, kind) for number in range(2, 6)} == {label}
    assert swapped.verdict(6, kind, OTHER) == VERDICTS[NEW][kind]
    swapped.go_back()
    assert {swapped.verdict(number, kind) for number in range(7, 11)} == {label}
    assert swapped.verdict(11, kind, OTHER) == VERDICTS[OLD][kind]


def test_labels_and_undos_go_on_after_a_swap(swapped):
    swapped.promote(NEW)
    (first,) = swapped.send(copy(0, "parcel"))
    assert verdict(first) == "spam"
    given = swapped.label(first, "ham")
    assert swapped.verdict(1, "parcel") == "ham"
    undo_label(swapped.database, given.id, "ann", "cli")
    # A worker may say it of the label, too, once more, if it learnt for both bundles.
    swapped.hear("labels learnt anew", labels=0, model=NEW)
    assert swapped.verdict(2, "parcel") == "spam"


def test_commands_and_the_bot_judge_by_the_bundle_that_serves_and_its_labels(swapped, tmp_path):
    (first,) = swapped.send(copy(0, "lottery"))
    swapped.label(first, "spam")
    swapped.score(first)
    swapped.promote(NEW)
    folder, file = swapped.daemon.folder, tmp_path / "copy.eml"
    file.write_bytes(copy(9, "lottery"))
    checked = command(folder, "check", str(file))
    assert (checked["verdict"], checked["model"]) == ("spam", NEW)
    why = command(folder, "why", header(first, "X-Filterd-Id"))
    assert (why["verdict"], why["model"], why["recorded"]["model"]) == ("spam", NEW, OLD)
    assert why["bert"] < 0.1
    explainer = Explainer(
        swapped.database, Settings(models=swapped.models), now=lambda: datetime.now(UTC)
    )
    explainer._site.look()
    told = explainer.why(header(first, "X-Filterd-Id"))
    assert (told.judged.verdict, told.judged.model, told.labels) == ("spam", NEW, 1)
    assert told.judged.spam == pytest.approx(why["spam"], abs=1e-4)


def command(folder, *arguments):
    """The command, as typed in the site's folder; its JSON."""
    typed = [sys.executable, "-m", "filterd", *arguments, "--json"]
    done = subprocess.run(typed, cwd=folder, env=environment(), capture_output=True, check=True)
    return json.loads(done.stdout)


class Sender(threading.Thread):
    """A client that sends copies of two campaigns over one connection, as fast as it is answered."""

    def __init__(self, daemon, numbers):
        super().__init__(daemon=True)
        self.waits = []
        self.refused = []
        self._daemon = daemon
        self._numbers = numbers

    def run(self):
        with self._daemon.client() as client:
            client.ehlo("client.example")
            for number in self._numbers:
                body = BODY if number % 2 else OTHER
                started = time.monotonic()
                client.mail("a@example.org")
                client.rcpt("you@example.com")
                reply = client.data(copy(number, "parcel", body))
                self.waits.append(time.monotonic() - started)
                if reply[0] != 250:
                    self.refused.append((number, reply))


@pytest.mark.scenario(
    "F58",
    "the model is changed four times under load",
    "no mail fails, is lost or waits for long; each is judged by one bundle and what was taught for it",
)
def test_under_load_no_mail_fails_or_is_lost_and_each_is_judged_by_bundle_and_labels(swapped):
    (first,) = swapped.send(copy(0, "parcel"))
    swapped.label(first, "ham")  # parcels of this campaign are no spam, whatever a bundle thinks
    swapped.score(first)
    before = set(swapped.daemon.delivered())
    total, going = itertools.count(1), threading.Event()
    senders = [Sender(swapped.daemon, _while(going, total, MAILS_A_SENDER)) for _ in range(SENDERS)]
    for sender in senders:
        sender.start()
    for version in SWAPS:
        swapped.go_back() if version == "back" else swapped.promote(version)
    going.set()
    for sender in senders:
        sender.join(60)
    assert [sender.refused for sender in senders if sender.refused] == []
    sent = sum(len(sender.waits) for sender in senders)
    arrived = [found for found in swapped.daemon.delivered() if found not in before]
    numbers = sorted(int(header(found, "X-Number")) for found in arrived)
    assert numbers == list(range(1, sent + 1))
    assert {_expected(found) == verdict(found) for found in arrived} == {True}
    assert {header(found, "X-Filterd-Model") for found in arrived} == {OLD, NEW}
    waits = [wait for sender in senders for wait in sender.waits]
    p99 = 1000 * quantiles(waits, n=100)[-1]
    print(f"{sent} mails over {len(SWAPS)} swaps: p99 {p99:.0f} ms, longest {max(waits):.2f} s")
    assert max(waits) < LONGEST_SECONDS


def _while(going, total, least):
    """Numbers for one sender: so many, and on until it is told that all swaps are over."""
    for count in itertools.count():
        if count >= least and going.is_set():
            return
        yield next(total)


def _expected(message):
    if int(header(message, "X-Number")) % 2:
        return "ham"  # as labelled
    return VERDICTS[header(message, "X-Filterd-Model")]["parcel"]


# Where the learner cannot be made ready


async def test_a_bundle_serves_without_its_learner_when_that_takes_too_long(
    sqlite_database, monkeypatch, tmp_path
):
    monkeypatch.setattr("filterd.worker.LEARNER_SECONDS", 0.01)
    site = SiteWatch(sqlite_database)  # that does not run: nobody makes the learner
    encoder = Encoder(make_tiny_bundle(tmp_path / NEW, version=NEW))
    with capture_logs() as logs:
        await _learn_for(site, encoder)
    assert [(entry["log_level"], entry["version"]) for entry in logs] == [("warning", NEW)]
    assert site.learner_for(NEW) is site.learner
