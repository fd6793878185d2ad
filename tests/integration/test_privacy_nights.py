"""A night's work folder, reports and process: what mails said is in none of them when it is over."""

import dataclasses
import os
import subprocess
import sys
from datetime import UTC, datetime

import pytest
from daemon_process import ROOT, environment
from night_site import CAMPAIGN, begin, make_champion, make_site

from filterd.store.database import open_database
from filterd.store.labels import add_label
from filterd.store.messages import recent
from filterd.store.retention import purge
from filterd.store.runs import finish_run, get_run
from filterd.store.sealing import SealedError, Sealing, make_key, open_sealing
from trainer.aftercare import remove_unused
from trainer.dataset import Example
from trainer.site_data import SiteData, SiteMail, load_data, save_data
from trainer.stages import GATE, TEXTS

pytestmark = [pytest.mark.trainer, pytest.mark.timeout(600)]

SANDBOX, UNIT = ROOT / "tests/sandbox.py", ROOT / "deploy/systemd/filterd-trainer.service"
SENTENCE = CAMPAIGN.encode()


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    return make_champion(tmp_path_factory.mktemp("champion"))


@pytest.fixture
def site(bundle, tmp_path):
    return make_site(tmp_path / "site", bundle)


def holding(folder, text=SENTENCE):
    """Names of the files that hold a text."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {path.name for path in files if text in path.read_bytes()}


NIGHT = """
import sys
from pathlib import Path
from night_site import begin
from filterd.settings import Settings
folder = Path(sys.argv[1])
settings = Settings(database=f"sqlite:///{folder}/filterd.db", models=folder / "models")
night, _ = begin(settings, decide=lambda _: (True, ""))
print(night.go())
"""


@pytest.mark.scenario("P15", "a night runs under the system-call filter of the trainer's unit", "it trains, exports, judges and promotes; what mails said is in no file but the database, and not in its log")  # fmt: skip
def test_a_night_in_its_sandbox_leaves_nothing_of_what_mails_said(site):
    script = site.models.parent / "night.py"
    script.write_text(NIGHT)
    done = subprocess.run(
        [sys.executable, SANDBOX, UNIT, sys.executable, script, site.models.parent],
        env=environment(PYTHONPATH=os.pathsep.join([str(ROOT), str(ROOT / "tests")])),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.splitlines()[-1] == "promoted", done.stderr
    assert CAMPAIGN not in done.stdout + done.stderr
    assert (site.models / "reports/run-1/report.html").exists()
    assert holding(site.models) == set()
    assert holding(site.models.parent) <= {"filterd.db", "filterd.db-wal"}


class KilledError(BaseException):
    """Stands for a kill: nothing catches it."""


@pytest.mark.scenario("P25", "a night is killed in the gate and not gone on with", "while it can be gone on with its texts are for the owner alone; when it is over they are removed")  # fmt: skip
def test_the_texts_of_a_killed_night_go_when_it_is_over(site):
    def at(stage):
        if stage == GATE:
            raise KilledError

    night, number = begin(site)
    night._observer.stage = at
    with pytest.raises(KilledError):
        night.go()
    work = site.models / f".work/run-{number}"
    assert holding(site.models) == {TEXTS}
    assert (work.stat().st_mode & 0o777, (work / TEXTS).stat().st_mode & 0o777) == (0o700, 0o600)
    database = open_database(site.database)
    remove_unused(site.models, database, 3, datetime.now(UTC))
    assert holding(site.models) == {TEXTS}

    finish_run(database, number, get_run(database, number).token, "failed", "killed", now=datetime.now(UTC))  # fmt: skip
    remove_unused(site.models, database, 3, datetime.now(UTC))
    assert holding(site.models) == set()
    database.close()


@pytest.mark.scenario("P26", "`store_text = none`, and staff label all the same", "the night has nothing to learn from and says so; no text comes up anywhere")  # fmt: skip
def test_without_texts_a_night_is_skipped(site):
    database = open_database(site.database)
    purge(database, now=datetime.now(UTC), retention_days=90, store_text="none")
    add_label(database, recent(database, 1)[0].id, "spam", "spam", "ben", "slack")
    night, number = begin(site)
    assert night.go() == "skipped"
    assert get_run(database, number).reason.startswith("too few labels of one kind: 0 spam")
    assert holding(site.models.parent) == set()
    database.close()


# Sealed


@pytest.mark.scenario("P36", "`text_key_file` is set, and a night has its texts on disk to go on from", "they lie sealed there, too")  # fmt: skip
def test_where_texts_are_sealed_a_nights_are_too(tmp_path):

    example = Example((CAMPAIGN,), {"spam": "spam"}, "labelled", "train", "1")
    mail = SiteMail("1", "ann", datetime.now(UTC), "x@example.org", False, example)
    data = SiteData([example], [mail], [], [], [])
    sealing = open_sealing([make_key()])
    save_data(tmp_path / TEXTS, data, sealing)
    assert holding(tmp_path) == set()
    assert load_data(tmp_path / TEXTS, sealing) == data
    with pytest.raises(SealedError):
        load_data(tmp_path / TEXTS, Sealing())
    save_data(tmp_path / TEXTS, dataclasses.replace(data, recent_spam=1))
    assert load_data(tmp_path / TEXTS, sealing).recent_spam == 1
