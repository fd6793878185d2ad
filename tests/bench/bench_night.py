"""A whole night on two cores beside mail: how long each stage takes, and what mail notices of it.

    python tests/bench/bench_night.py --mail FOLDER --champion BUNDLE --out FOLDER

FOLDER of mail has spam/ and ham/. 2,000 labels and 4,000 mails without one go straight into the
database; then `filterd-trainer run` works while a client sends two mails a second through the real
daemon. Prints seconds of each stage, and the time of a mail before and during the night.
"""

from __future__ import annotations

import argparse
import random
import shutil
import smtplib
import statistics
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from daemon_process import Daemon, environment
from fortnight import BIN, digest_of, mails_of, set_up
from rich.console import Console
from rich.table import Table

from filterd.learner.features import pack
from filterd.model.encoder import open_encoder
from filterd.pipeline import read
from filterd.store.database import open_database
from filterd.store.labels import add_label
from filterd.store.messages import MessageRecord, write_batch
from filterd.store.runs import latest_runs

QUIET_SECONDS = 30.0
EVERY = 0.5
out = Console()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--mail", type=Path, required=True)
    parser.add_argument("--champion", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--labels", type=int, default=2000)
    parser.add_argument("--replayed", type=int, default=4000)
    arguments = parser.parse_args()
    site = arguments.out / "site"
    shutil.rmtree(site, ignore_errors=True)
    set_up(site, arguments.champion, replay=arguments.replayed, epochs=1)
    wanted = arguments.labels + arguments.replayed
    mails = mails_of(arguments.mail)[:wanted]
    if len(mails) < wanted:
        parser.error(f"{arguments.mail}: {len(mails)} mails, {wanted} are needed")
    fill(site, arguments.champion, mails, arguments.labels)
    daemon = Daemon(site).started()
    client = Client(daemon.port, [message for _, message in mails[:200]])
    try:
        time.sleep(QUIET_SECONDS)
        before = client.take()
        started = time.monotonic()
        done = subprocess.run(
            [BIN / "filterd-trainer", "run", "--force"],
            check=False,
            cwd=site,
            env=environment(),
            capture_output=True,
            text=True,
        )
        seconds = time.monotonic() - started
        during = client.take()
    finally:
        client.stop()
        daemon.end()
    out.print(done.stdout.strip() or done.stderr.strip())
    show(site, seconds, before, during)


def fill(site: Path, champion: Path, mails: list[tuple[str, bytes]], labels: int) -> None:
    """Records as the daemon would have written them, and labels of the first ones."""
    encoder = open_encoder(champion, threads=2)
    threshold = encoder.bundle.threshold("spam")
    database = open_database(f"sqlite:///{site}/var/filterd.db")
    now = datetime.now(UTC)
    records = []
    for number, (_, raw) in enumerate(mails):
        reading = read(raw)
        (scores,) = encoder.encode([reading.text])
        spam = float(scores.tasks["spam"][-1])
        message = reading.message
        records.append(
            MessageRecord(
                id=f"{number:026d}",
                received_at=now - timedelta(minutes=3 * (len(mails) - number)),
                client_address="192.0.2.1",
                helo="client.example.net",
                sender="sender@example.net",
                recipients=("office@example.test",),
                size=len(raw),
                ms=10.0,
                digest=digest_of(raw),
                subject=message.subject,
                from_address=message.from_address,
                from_domain=message.from_domain,
                verdict="spam" if spam >= threshold else "ham",
                spam=spam,
                threshold=threshold,
                sentiment="neutral",
                scores={"spam": {"ham": 1 - spam, "spam": spam}},
                model=encoder.bundle.version,
                outcome="250 Ok",
                text=reading.text,
                head=pack(reading.head),
            )
        )
        if len(records) == 500:
            write_batch(database, records)
            records = []
    write_batch(database, records)
    chance = random.Random(1)
    labelled = sorted(chance.sample(range(len(mails)), labels))
    for number in labelled:
        by = chance.choice(("anna", "ben", "carla"))
        add_label(database, f"{number:026d}", "spam", mails[number][0], by, "cli")
    database.close()


class Client:
    """Sends a mail every half second, and remembers how long each took."""

    def __init__(self, port: int, messages: list[bytes]) -> None:
        self._port, self._messages = port, messages
        self._times: list[float] = []
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def take(self) -> list[float]:
        """Milliseconds of the mails since the last call."""
        taken, self._times = self._times, []
        return taken

    def stop(self) -> None:
        self._ended.set()
        self._thread.join()

    def _run(self) -> None:
        number = 0
        with smtplib.SMTP("127.0.0.1", self._port, "client.example.net", timeout=60) as client:
            while not self._ended.wait(EVERY):
                message = self._messages[number % len(self._messages)]
                number += 1
                started = time.perf_counter()
                client.sendmail("sender@example.net", ["office@example.test"], message)
                self._times.append(1000 * (time.perf_counter() - started))


def show(site: Path, seconds: float, before: list[float], during: list[float]) -> None:
    database = open_database(f"sqlite:///{site}/var/filterd.db")
    (run,) = latest_runs(database, 1)
    database.close()
    stages = (run.figures or {}).get("seconds", {})
    table = Table("stage", "seconds", "share")
    for stage, taken in stages.items():
        table.add_row(stage, f"{taken:.1f}", f"{100 * taken / seconds:.0f}%")
    table.add_row("all", f"{seconds:.1f}", "")
    out.print(table)
    table = Table("a mail, ms", "median", "90%", "mails")
    for name, taken in (("before", before), ("during the night", during)):
        times = sorted(taken)
        table.add_row(
            name,
            f"{statistics.median(times):.1f}",
            f"{times[int(0.9 * len(times))]:.1f}",
            str(len(times)),
        )
    out.print(table)
    out.print(f"ratio of medians: {statistics.median(during) / statistics.median(before):.2f}")


if __name__ == "__main__":
    main()
