"""A simulated fortnight: mail by SMTP, a labeller who is wrong now and then, a real night each night.

    python tests/bench/fortnight.py --mail FOLDER --champion BUNDLE --out FOLDER
    python tests/bench/fortnight.py --mail FOLDER --judge BUNDLE... [--out FOLDER]

FOLDER of mail has spam/ and ham/ of a corpus that the champion was not trained on. Each day 300 of
them go through the real daemon; the labeller answers up to 30 questions of `filterd queue`, 3% of
them wrongly; `filterd-trainer run` does the night; then all times in the database move back a day.
Beside what was served stands what would have been without nights: the first champion's word, joined
with the same labels. Prints a table, writes days.json and fortnight.svg. Some three minutes a night
on two cores. --without-nights leaves them out, for other labels follow from other questions.
--judge prints what bundles make, alone, of the mails that no such fortnight has in it; with --out,
of a fortnight that is over, what they make of them with all labels of it, too.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import shutil
import smtplib
import subprocess
import sys
from contextlib import closing
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
from daemon_process import BASE, Daemon, environment, toml
from rich.console import Console
from rich.table import Table
from sqlalchemy import select, update

from filterd.asking import LOOKED_AT, questions
from filterd.learner.features import Evidence, unpack
from filterd.learner.site import clues_of
from filterd.model.champion import champion_version
from filterd.model.encoder import Encoder, open_encoder
from filterd.pipeline import read
from filterd.store.database import Database, open_database
from filterd.store.labels import add_label
from filterd.store.messages import unlabelled
from filterd.store.models import champion
from filterd.store.runs import runs
from filterd.store.scores import write_scores
from filterd.store.tables import Labels, Messages, TrainingRuns
from filterd.teaching import open_learner
from trainer.evaluate import missed_area
from trainer.night_rules import SUREST

BIN = Path(sys.executable).parent
LABELLERS = ("anna", "ben", "carla")
WRONG = 0.03
CLIENT = "client.example.net"
LOST = 5  # good mails, at the threshold that --judge sets for comparison
out = Console()


@dataclass
class Day:
    """What one day brought. Errors are shares of the day's mail, 0..1."""

    number: int
    mails: int
    served_wrong: int
    model_wrong: int
    false_positives: int
    first_wrong: int  # by the first champion, joined with the labels of the days before
    first_false_positives: int
    labels: int
    wrong_labels: int
    state: str = ""
    reason: str = ""
    candidate: str | None = None
    seconds: dict[str, float] = field(default_factory=dict)
    golden_ham: float | None = None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--mail", type=Path, required=True)
    parser.add_argument("--champion", type=Path)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--judge", type=Path, nargs="+", metavar="BUNDLE")
    parser.add_argument("--days", type=int, default=14)
    parser.add_argument("--mails", type=int, default=300)
    parser.add_argument("--labels", type=int, default=30)
    parser.add_argument("--replay", type=int, default=1000, help="recent mails a night is taught")
    parser.add_argument("--seed", type=int, default=1, help="of who answers, and what wrongly")
    parser.add_argument("--without-nights", action="store_true")
    arguments = parser.parse_args()
    if not arguments.judge and not (arguments.champion and arguments.out):
        parser.error("--champion and --out are needed, or --judge")
    bundles = arguments.judge or [arguments.champion]
    for place in (arguments.mail / "spam", arguments.mail / "ham", *bundles):
        if not place.is_dir():
            parser.error(f"{place}: no such folder")
    if arguments.judge:
        left = mails_of(arguments.mail)[arguments.days * arguments.mails :]
        judge(bundles, left, arguments.out)
        return
    arguments.out.mkdir(parents=True, exist_ok=True)
    site = arguments.out / "site"
    shutil.rmtree(site, ignore_errors=True)
    # In these nights no mail comes: they may have all of the machine.
    cores = os.cpu_count() or 1
    set_up(site, arguments.champion, arguments.replay, threads=cores, keep=arguments.days + 1)
    first = open_encoder(arguments.champion)
    stream = mails_of(arguments.mail)[: arguments.days * arguments.mails]
    if len(stream) < arguments.days * arguments.mails:
        sys.exit(f"{arguments.mail}: {len(stream)} mails are too few")
    chance = random.Random(arguments.seed)
    days: list[Day] = []
    daemon = Daemon(site).started()
    port = daemon.port
    try:
        for number in range(1, arguments.days + 1):
            batch = stream[(number - 1) * arguments.mails : number * arguments.mails]
            days.append(a_day(site, port, number, batch, arguments.labels, chance, first))
            if not arguments.without_nights:
                a_night(site, days[-1])
            (arguments.out / "days.json").write_text(
                json.dumps([asdict(day) for day in days], indent=1) + "\n"
            )
            show(days)
            shift_times(site)
    finally:
        daemon.end()
    draw(days, arguments.out / "fortnight.svg")


def set_up(site: Path, champion: Path, replay: int = 2000, epochs: int = 2, **more: int) -> None:
    """A site whose champion is the bundle; `more` settings of its nights."""
    version = json.loads((champion / "bundle.json").read_text())["version"]
    shutil.copytree(champion, site / "var/models" / version)
    trainer = f'schedule = ""\nmin_labels = 1\nreplay = {replay}\nepochs = {epochs}\n'
    trainer += "".join(f"{name} = {value}\n" for name, value in more.items())
    (site / "filterd.toml").write_text(f"{toml(BASE)}\n[trainer]\n{trainer}")
    command(site, "filterd", "models", "promote", version, "--by", "test")


def command(site: Path, name: str, *arguments: str) -> str:
    done = subprocess.run(
        [BIN / name, *arguments],
        check=False,
        cwd=site,
        env=environment(),
        capture_output=True,
        text=True,
    )
    if done.returncode not in (0, 70):
        sys.exit(f"{name} {' '.join(arguments)}: {done.stderr}")
    return done.stdout


def mails_of(folder: Path) -> list[tuple[str, bytes]]:
    """Label and bytes with CRLF, shuffled."""
    found = [(label, path) for label in ("spam", "ham") for path in (folder / label).glob("*.eml")]
    found.sort(key=lambda one: one[1].name)
    random.Random(7).shuffle(found)
    return [
        (
            label,
            b"\r\n".join(
                path.read_bytes().replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")
            ),
        )
        for label, path in found
    ]


def sent(message: bytes) -> bytes:
    """As it is sent: its last line is whole."""
    return message if message.endswith(b"\r\n") else message + b"\r\n"


def digest_of(message: bytes) -> str:
    """As the daemon computes it, of the body as it is sent."""
    return hashlib.sha256(sent(message).partition(b"\r\n\r\n")[2]).hexdigest()


def a_day(
    site: Path,
    port: int,
    number: int,
    batch: list[tuple[str, bytes]],
    most_labels: int,
    chance: random.Random,
    first: Encoder,
) -> Day:
    """Send a day's mail, see what became of it, label some of it."""
    with smtplib.SMTP("127.0.0.1", port, CLIENT, timeout=60) as client:
        for _, message in batch:
            client.sendmail("sender@example.net", ["office@example.test"], sent(message))
    truth = {digest_of(message): label for label, message in batch}
    database = open_database(f"sqlite:///{site}/var/filterd.db")
    try:
        rows = wait_for_rows(database, set(truth))
        day = Day(number, len(rows), 0, 0, 0, 0, 0, 0, 0)
        by_id = {}
        for row in rows:
            label = truth[row.digest]
            by_id[row.id] = label
            day.served_wrong += row.verdict != label
            bert = "spam" if row.scores["spam"]["spam"] >= row.threshold else "ham"
            day.model_wrong += bert != label
            day.false_positives += row.verdict == "spam" and label == "ham"
        now = datetime.now(UTC)
        found = by_first_champion(database, first, now)
        for identity, (verdict, _) in found.items():
            day.first_wrong += verdict != by_id[identity]
            day.first_false_positives += verdict == "spam" and by_id[identity] == "ham"
        asked = questions(
            database,
            open_learner(database, champion_version(champion(database))),
            budget=most_labels,
            since=now - timedelta(hours=20),
            now=now,
            chance=random.Random(chance.random()),
        )
        for one in asked:
            label = by_id.get(one.record.id)
            if label is None:
                continue
            if chance.random() < WRONG:
                label = "ham" if label == "spam" else "spam"
                day.wrong_labels += 1
            by = chance.choice(LABELLERS)
            add_label(database, one.record.id, "spam", label, by, "cli")
            day.labels += 1
        answered = {one.record.id: found[one.record.id][1] for one in asked}
        write_scores(database, first.bundle.version, answered)
        return day
    finally:
        database.close()


def by_first_champion(
    database: Database, first: Encoder, now: datetime
) -> dict[str, tuple[str, float]]:
    """What it would make of the day's mail, joined with all labels so far: id -> verdict, and its
    own score, by which its learner is taught.
    """
    learner = open_learner(database, first.bundle.version)
    threshold = first.bundle.threshold("spam")
    found = {}
    for record in unlabelled(database, "spam", now - timedelta(hours=20), LOOKED_AT):
        bert = float(first.encode([record.text])[0].tasks["spam"][-1])
        evidence = Evidence(unpack(record.head), record.text, record.helo, record.client_address)
        opinion = learner.judge(bert, clues_of(evidence), now.timestamp(), threshold)
        found[record.id] = ("spam" if opinion.spam >= threshold else "ham", bert)
    return found


def wait_for_rows(database, digests):
    """The day's records; they are written within a second."""
    import time

    statement = select(
        Messages.id, Messages.digest, Messages.verdict, Messages.threshold, Messages.scores
    ).where(Messages.received_at >= datetime.now(UTC) - timedelta(hours=20))
    for _ in range(100):
        with database.read() as connection:
            rows = [row for row in connection.execute(statement) if row.digest in digests]
        judged = [row for row in rows if row.verdict is not None]
        if len({row.digest for row in rows}) == len(digests):
            return judged
        time.sleep(0.1)
    sys.exit(f"{len(rows)} records of {len(digests)} mails")


def a_night(site: Path, day: Day) -> None:
    """A real run, by the command."""
    command(site, "filterd-trainer", "run", "--force", "--json")
    database = open_database(f"sqlite:///{site}/var/filterd.db")
    try:
        run = runs(database, datetime.now(UTC) - timedelta(hours=12))[0]
    finally:
        database.close()
    day.state, day.reason, day.candidate = run.state, run.reason or "", run.candidate
    figures = run.figures or {}
    day.seconds = dict(figures.get("seconds", {}))
    for rule in figures.get("gate", []):
        if "golden" in rule["name"] and "ham" in rule["name"]:
            day.golden_ham = rule["figure"]


def shift_times(site: Path) -> None:
    """A day goes by."""
    database = open_database(f"sqlite:///{site}/var/filterd.db")
    try:
        with database.write() as connection:
            for column in (Messages.received_at, Labels.at, TrainingRuns.created_at):
                table = column.class_
                key = table.__mapper__.primary_key[0]
                rows = connection.execute(select(key, column)).all()
                for identity, at in rows:
                    connection.execute(
                        update(table)
                        .where(key == identity)
                        .values({column.key: at - timedelta(days=1)})
                    )
    finally:
        database.close()


def show(days: list[Day]) -> None:
    """The table so far."""
    table = Table()
    names = (
        "day",
        "wrong",
        "without nights",
        "model alone",
        "good mail lost",
        "labels",
        "night",
        "seconds",
    )
    for name in names:
        table.add_column(name, justify="right")
    for day in days:
        table.add_row(
            str(day.number),
            f"{100 * day.served_wrong / day.mails:.1f}%",
            f"{100 * day.first_wrong / day.mails:.1f}%",
            f"{100 * day.model_wrong / day.mails:.1f}%",
            f"{day.false_positives} ({day.first_false_positives})",
            f"{day.labels} ({day.wrong_labels} wrong)",
            f"{day.state} {day.candidate or ''} {day.reason[:60]}",
            f"{sum(day.seconds.values()):.0f}",
        )
    out.print(table)


def judge(bundles: list[Path], mails: list[tuple[str, bytes]], over: Path | None) -> None:
    """What each bundle makes of the mails, as it would serve: alone, and with what was taught."""
    readings = [read(message) for _, message in mails]
    is_spam = np.array([label == "spam" for label, _ in mails])
    table = Table(caption=f"{len(mails)} mails, {is_spam.sum()} of them spam")
    names = ("bundle", "1-ROCA%", "mean log loss", "good mail lost", "spam missed")
    for name in (*names, f"missed where {LOST} are lost"):
        table.add_column(name, justify="left" if name == "bundle" else "right")
    for path in bundles:
        encoder = open_encoder(path, threads=os.cpu_count() or 1)
        threshold = encoder.bundle.threshold("spam")
        version = encoder.bundle.version
        alone = [float(encoder.encode([each.text])[0].tasks["spam"][-1]) for each in readings]
        table.add_row(version, *figures(np.array(alone), is_spam, threshold))
        if over is not None:
            with closing(open_database(f"sqlite:///{over}/site/var/filterd.db")) as database:
                learner = open_learner(database, version)
            now = datetime.now(UTC).timestamp()
            clues = [
                clues_of(Evidence(each.head, each.text, CLIENT, "127.0.0.1")) for each in readings
            ]
            taught = [
                learner.judge(bert, clue, now, threshold).spam
                for bert, clue in zip(alone, clues, strict=True)
            ]
            table.add_row("  with labels", *figures(np.array(taught), is_spam, threshold))
    out.print(table)


def figures(scores: np.ndarray, is_spam: np.ndarray, threshold: float) -> list[str]:
    """1-ROCA%, mean log loss, good mail lost, spam missed; and missed at another threshold."""
    bounded = np.clip(scores, SUREST, 1 - SUREST)
    flagged = scores >= threshold
    return [
        f"{missed_area(scores, is_spam):.3f}",
        f"{-np.log(np.where(is_spam, bounded, 1 - bounded)).mean():.3f}",
        str((flagged & ~is_spam).sum()),
        str((~flagged & is_spam).sum()),
        str((scores[is_spam] <= np.sort(scores[~is_spam])[-LOST - 1]).sum()),
    ]


def draw(days: list[Day], file: Path) -> None:
    """Error per day, and what became of each night."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 4))
    axes = figure.subplots()
    numbers = [day.number for day in days]
    model = [100 * day.model_wrong / day.mails for day in days]
    served = [100 * day.served_wrong / day.mails for day in days]
    first = [100 * day.first_wrong / day.mails for day in days]
    axes.plot(numbers, model, color="#D55E00", marker="o", label="the model alone")
    label = "without nights, same labels"
    axes.plot(numbers, first, color="#009E73", linestyle="--", label=label)
    axes.plot(numbers, served, color="#0072B2", marker="o", label="as served")
    for day, value in zip(days, model, strict=True):
        mark = {"promoted": "▲", "refused": "✕"}.get(day.state, "·")
        axes.annotate(mark, (day.number + 0.35, value), ha="center", color="#555555")
    axes.set_xlabel("day (▲ night promoted, ✕ refused)")
    axes.set_ylabel("mail judged wrongly, %")
    axes.set_ylim(bottom=0)
    axes.set_xticks(numbers)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, loc="lower left", bbox_to_anchor=(0, 1), ncols=3)
    figure.savefig(file, bbox_inches="tight")


if __name__ == "__main__":
    main()
