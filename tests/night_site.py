"""A site whose champion is a tiny trained BERT, with mail that it judges wrongly and labels that say so."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from store_records import make_record
from tiny_bert import make_checkpoint, write_corpora

from filterd.model.bundle import verify
from filterd.model.encoder import open_encoder
from filterd.settings import Settings
from filterd.store.database import open_database
from filterd.store.labels import add_label
from filterd.store.leases import take_lease
from filterd.store.messages import write_batch
from filterd.store.models import register_bundle, set_champion
from filterd.store.runs import request_run, take_run
from filterd.store.schema import upgrade
from trainer.cli import main
from trainer.night_run import Night
from trainer.settings import TrainerSettings
from trainer.stages import LEASE

SHORT = ("--epochs", "4", "--max-tokens", "32", "--batch", "16", "--rate", "3e-3", "--threads", "1")
CHAMPION = "2026-11-01.1"
# Words that the champion takes for ham; the site's staff do not.
CAMPAIGN = "printer folder window table"
OWN = TrainerSettings(replay=40, epochs=1, rate=1e-3, schedule="")


class Silent:
    """An observer of a run that nobody watches; `at` is called with each stage's name."""

    def __init__(self, at=lambda name: None):
        self.stage = at

    def progress(self, name, done, total):
        pass

    def step(self, step):
        pass

    def data(self, counts):
        pass


def make_champion(folder: Path) -> Path:
    """Train the tiny BERT; the folder of its bundle."""
    write_corpora(folder / "corpora")
    make_checkpoint(folder / "base")
    arguments = ["bootstrap", "--corpora", folder / "corpora", "--base", folder / "base"]
    arguments += ["--out", folder / "bundle", *SHORT, "--no-letters", "--seed", "1"]
    with pytest.raises(SystemExit) as ended:
        main([str(one) for one in [*arguments, "--version", CHAMPION]])
    assert ended.value.code == 0
    return folder / "bundle"


def make_site(folder: Path, bundle: Path) -> Settings:
    """A database with a hundred mails, forty of them labelled, and the champion in its place."""
    models = folder / "models"
    shutil.copytree(bundle, models / CHAMPION)
    settings = Settings(database=f"sqlite:///{folder}/filterd.db", models=models)
    database = open_database(settings.database)
    upgrade(database)
    champion = verify(models / CHAMPION)
    register_bundle(
        database,
        CHAMPION,
        str(champion.path),
        created_at=datetime.fromisoformat(champion.created),
        data_digest=champion.data_digest,
        metrics=champion.metrics,
    )
    set_champion(database, CHAMPION, "test", "test")
    encoder = open_encoder(champion.path)
    threshold = champion.threshold("spam")
    now = datetime.now(UTC)
    records = []
    for number in range(100):
        text = text_of(number)
        (scores,) = encoder.encode([text])
        spam = scores.tasks["spam"][1]
        records.append(
            make_record(
                number,
                received_at=now - timedelta(hours=100 - number),
                text=text,
                digest=f"{number * 7919:064x}",
                verdict="spam" if spam >= threshold else "ham",
                spam=spam,
                threshold=threshold,
                scores={"spam": {"ham": 1 - spam, "spam": spam}},
                model=CHAMPION,
                from_address=f"person{number}@host{number}.example",
            )
        )
    write_batch(database, records)
    for number in range(40):
        label = "spam" if number % 2 else "ham"
        add_label(database, records[number].id, "spam", label, "anna", "slack")
    database.close()
    return settings


def text_of(number: int) -> str:
    """Odd ones are of the campaign that staff call spam; no two are near-duplicates."""
    letters = "".join("abcdefghij"[int(digit)] for digit in f"{number:03}")
    own = " ".join(f"{letters}{letter}" for letter in "qrstuvwx")
    what = CAMPAIGN if number % 2 else "meeting minutes agenda report"
    return f"subject {letters}\nfrom: someone\n\n{what} {own}"


def begin(settings: Settings, at=lambda name: None, **changes) -> tuple[Night, int]:
    """A run that was asked for, taken by this process; and its number. `at` as for `Silent`."""
    database = open_database(settings.database)
    now = datetime.now(UTC)
    lease = take_lease(database, LEASE, "test", now=now, lasts=timedelta(minutes=10))
    request_run(database, "anna", "cli", now)
    run = take_run(database, "test", lease.token, now)
    return Night(database, settings, OWN, run, lease.token, observer=Silent(at), **changes), run.id
