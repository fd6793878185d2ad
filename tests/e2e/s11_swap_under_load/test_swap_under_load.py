"""Five promotions and a rollback under load: no mail fails, none is lost, none waits much longer.

With the bundle that ships and copies of it under other versions, Postfix' load generator at
16 at once, and clients of our own beside it that take the time of each mail.
"""

from __future__ import annotations

import itertools
import random
import smtplib
import subprocess
import threading
import time
from dataclasses import dataclass, field
from datetime import datetime
from statistics import median, quantiles
from typing import TYPE_CHECKING

import pytest
from mails import DOMAIN, make_mail, plain
from servers.ports import LOOPBACK
from servers.stage import require_mail_servers
from servers.waiting import wait_until

from filterd.model.bundle import LINEAR, MODEL, SHIPPED, TOKENIZER, WEIGHTS, load, write
from filterd.store.database import open_database
from filterd.store.labels import add_label
from filterd.store.messages import recent
from filterd.store.models import register_bundle, rollback, set_champion

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from servers.filterd import Filterd
    from servers.nexthop import NextHop
    from servers.stage import Stage

    from filterd.model.bundle import Bundle
    from filterd.store.database import Database

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(400)]

SENDERS = 16
A_RUN = 160  # mails of one run of the load generator
WORKERS = 2  # that load the new bundle at the same time
CLIENTS = 4
BUNDLES = 5
LABELS = 60
STEADY_MAILS = 150  # timed before the first swap
BETWEEN = 60  # and between two swaps
MOST = 2.0  # times the steady p99, in the seconds of a swap
CHANGED = '"event": "champion_changed"'


@dataclass
class Load:
    """Mail without a pause until it is told to end; what was sent, what failed, and how long each
    mail of our own clients took, with when it began.
    """

    port: int
    mail: Path
    sent: set[str] = field(default_factory=set)
    failed: list[str] = field(default_factory=list)
    waits: list[tuple[float, float]] = field(default_factory=list)
    ended: threading.Event = field(default_factory=threading.Event)
    threads: list[threading.Thread] = field(default_factory=list)

    def start(self) -> None:
        sources = [self._generate, *(self._make_client(number) for number in range(CLIENTS))]
        self.threads = [threading.Thread(target=each, daemon=True) for each in sources]
        for thread in self.threads:
            thread.start()

    def end(self) -> None:
        self.ended.set()
        for thread in self.threads:
            thread.join(120)
            assert not thread.is_alive()

    def wait_for(self, count: int) -> None:
        """Until so many more mails of our own were timed."""
        least = len(self.waits) + count
        wait_until(
            lambda: len(self.waits) >= least or self.failed,
            lambda: f"{len(self.waits)} of {least} timed",
            120,
        )

    def _generate(self) -> None:
        """One run of smtp-source after the other; it fails if a reply is not what it should be."""
        for run in itertools.count():
            if self.ended.is_set():
                return
            command = ["smtp-source", "-N", "-s", str(SENDERS), "-m", str(A_RUN)]
            command += ["-F", str(self.mail), "-M", "client.example.net"]
            command += ["-f", "load@sender.example.net", "-t", f"load{run}@{DOMAIN}"]
            done = subprocess.run(
                [*command, f"inet:{LOOPBACK}:{self.port}"],
                capture_output=True,
                text=True,
                check=False,
                timeout=120,
            )
            if done.returncode:
                self.failed.append(done.stderr)
                return
            # With -N it puts a number in front of each recipient.
            self.sent |= {f"{number}load{run}@{DOMAIN}" for number in range(1, A_RUN + 1)}

    def _make_client(self, number: int):
        def send() -> None:
            dice = random.Random(number)  # not for secrets
            with smtplib.SMTP(LOOPBACK, self.port, "client.example.net", timeout=60) as client:
                client.ehlo()
                for count in itertools.count():
                    if self.ended.is_set():
                        return
                    mail = make_mail(1000 * number + count, dice, kind=plain)
                    recipient = f"{number}-{count}@{DOMAIN}"
                    began = time.monotonic()
                    try:
                        client.sendmail(mail.sender, [recipient], mail.raw)
                    except (smtplib.SMTPException, OSError) as error:
                        self.failed.append(repr(error))
                        return
                    self.waits.append((began, time.monotonic() - began))
                    self.sent.add(recipient)

        return send


@pytest.fixture(scope="module")
def hop(stage: Stage) -> NextHop:
    require_mail_servers()
    return stage.next_hop()


@pytest.fixture(scope="module")
def filterd(stage: Stage, hop: NextHop) -> Filterd:
    return stage.filterd(hop.url, workers=str(WORKERS))


@pytest.fixture
def database(filterd: Filterd) -> Iterator[Database]:
    database = open_database(f"sqlite:///{filterd.folder / 'var/filterd.db'}")
    yield database
    database.close()


@pytest.fixture
def load_on(filterd: Filterd, tmp_path: Path) -> Iterator[Load]:
    file = tmp_path / "mail"
    file.write_bytes(make_mail(0, random.Random(3), kind=plain).raw.replace(b"\r\n", b"\n"))
    running = Load(filterd.port, file)
    running.start()
    yield running
    running.ended.set()


def publish(folder: Path, version: str) -> Bundle:
    """The shipped bundle under another version."""
    shipped = load(SHIPPED)
    return write(
        folder / version,
        model=SHIPPED / MODEL,
        tokenizer=SHIPPED / TOKENIZER,
        weights=SHIPPED / WEIGHTS,
        version=version,
        tasks=shipped.tasks,
        renderer_version=shipped.renderer_version,
        max_tokens=shipped.max_tokens,
        base_model=shipped.base_model,
        base_licence=shipped.base_licence,
        data_digest=shipped.data_digest,
        metrics=shipped.metrics,
        golden=shipped.golden,
        created=shipped.created,
        linear=None if shipped.linear is None else (SHIPPED / LINEAR, shipped.linear),
    )


def register(database: Database, bundle: Bundle) -> None:
    register_bundle(
        database,
        bundle.version,
        str(bundle.path),
        created_at=datetime.fromisoformat(bundle.created),
        data_digest=bundle.data_digest,
        metrics=bundle.metrics,
    )


def swap(filterd: Filterd, database: Database, version: str | None) -> tuple[float, float]:
    """Promote, or go back; from when until when it took, in all workers."""
    before, began = filterd.log().count(CHANGED), time.monotonic()
    if version is None:
        rollback(database, "anna", "complaints")
    else:
        set_champion(database, version, "trainer", "a better night")
    workers = filterd.log().count('"event": "ready"')
    wait_until(lambda: filterd.log().count(CHANGED) >= before + workers, filterd.log, 60)
    return began, time.monotonic()


def p99(waits: list[float]) -> float:
    return quantiles(waits, n=100, method="inclusive")[-1]


def test_no_mail_fails_is_lost_or_waits_much_longer_while_bundles_change(
    filterd: Filterd, hop: NextHop, database: Database, load_on: Load
) -> None:
    versions = [f"copy.{number}" for number in range(1, BUNDLES + 1)]
    for version in versions:
        register(database, publish(filterd.folder / "var/models", version))
    for number, record in enumerate(recent(database, LABELS)):
        add_label(database, record.id, "spam", ("ham", "spam")[number % 2], "anna", "cli")
    load_on.wait_for(BETWEEN)
    steady_from = time.monotonic()
    load_on.wait_for(STEADY_MAILS)
    swaps = []
    for version in [*versions, None]:
        swaps.append(swap(filterd, database, version))
        load_on.wait_for(BETWEEN)
    load_on.end()
    assert load_on.failed == []
    assert hop.taken_by_recipient() == load_on.sent
    assert sum(len(message.recipients) for message in hop.taken) == len(load_on.sent)
    assert all(b"X-Filterd-Verdict: unjudged" not in message.content for message in hop.taken)
    models = [message.content.partition(b"X-Filterd-Model: ")[2] for message in hop.taken]
    seen = {model.partition(b"\r\n")[0].decode() for model in models}
    assert seen == {load(SHIPPED).version, *versions}

    def waits_in(start: float, end: float) -> list[float]:
        """Of the mails that were under way at some moment in between."""
        return [wait for began, wait in load_on.waits if began < end and began + wait > start]

    steady = [
        wait
        for began, wait in load_on.waits
        if began >= steady_from
        and not any(began < end and began + wait > start for start, end in swaps)
    ]
    in_swaps = [p99(waits_in(*each)) for each in swaps]
    ratio = median(in_swaps) / p99(steady)
    print(
        f"\n{len(load_on.sent)} mails, 0 failed, 0 lost; p99 {1000 * p99(steady):.0f} ms of "
        f"{len(steady)} timed in steady state, in the seconds of a swap "
        f"{', '.join(f'{1000 * each:.0f}' for each in in_swaps)} ms: {ratio:.2f} times; a swap "
        f"took {median(end - start for start, end in swaps):.1f} s"
    )
    assert ratio <= MOST
