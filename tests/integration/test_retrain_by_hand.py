"""`/filterd retrain` with all three processes: asked for in Slack, trained, served, and told."""

import json
from datetime import UTC, datetime, timedelta

import pytest
from bot_office import Office
from daemon_process import BASE, HAM, Daemon, toml
from night_site import CHAMPION, make_champion, make_site
from trainer_process import Trainers, stop

from filterd.store.runs import get_run, latest_runs

pytest_plugins = ("slack_fixtures",)
pytestmark = [pytest.mark.trainer, pytest.mark.timeout(300)]

NIGHT = {"schedule": "", "replay": "40", "epochs": "1", "rate": "1e-3", "threads": "1", "nice": "0"}
NIGHT_SECONDS = 120
# How the digest tells the end of a run.
TOLD = {
    "promoted": "A new model is in service",
    "refused": "A new model was trained and not put into service",
}


@pytest.fixture
def site(tmp_path):
    """Mail that staff labelled, and a champion that thinks otherwise of it; the settings."""
    settings = make_site(tmp_path / "site/var", make_champion(tmp_path / "champion"))
    (tmp_path / "site/filterd.toml").write_text(toml(BASE))
    return settings


@pytest.fixture
def folder(tmp_path, site):
    return tmp_path / "site"


@pytest.fixture
def open_office(folder, slack, anna, ben):
    """A function: the bot with these settings, in place of the one before."""
    opened = []

    def open_office(**settings):
        while opened:
            opened.pop().end()
        opened.append(Office(folder, slack, admins=anna.id, labellers=ben.id, **settings))
        opened[0].begin()
        return opened[0]

    yield open_office
    while opened:
        opened.pop().end()


@pytest.fixture
def daemon(folder):
    daemon = Daemon(folder).started()
    yield daemon
    daemon.end()


@pytest.fixture
def trainer(folder, site):
    trainer = Trainers(folder, site.database, **NIGHT)
    yield trainer
    trainer.close()


def model(daemon):
    """Which bundle judges a mail that is sent now."""
    before = len(daemon.delivered()) if (daemon.folder / "var/mail/new").exists() else 0
    assert daemon.send(HAM)[0] == 250
    found = [mail.partition(b"\n\n")[0].decode() for mail in daemon.delivered()]
    assert len(found) == before + 1
    models = [line for mail in found for line in mail.splitlines() if "X-Filterd-Model" in line]
    return models[-1].partition(": ")[2]


def a_minute_ago():
    return f"{datetime.now(UTC) - timedelta(minutes=1):%H:%M}"


def test_an_admin_asks_in_slack_and_hears_of_it(open_office, daemon, trainer, anna, ben):
    office = open_office()
    assert model(daemon) == CHAMPION
    assert "needs the role admin" in str(office.type(ben, "retrain").blocks)
    assert latest_runs(office.database, 9) == []

    assert "A training is asked for" in str(office.type(anna, "retrain").blocks)
    (run,) = latest_runs(office.database, 9)
    assert (run.state, run.trigger, run.requested_by) == ("waiting", "slack", anna.id)

    serving = trainer.serve()
    office.slack.wait_until(
        lambda: get_run(office.database, run.id).finished_at, "the end of the run", NIGHT_SECONDS
    )
    run = get_run(office.database, run.id)
    assert run.state in TOLD, run.reason
    (said,) = json.loads(trainer.call("status", "--json").stdout)["runs"]
    assert (said["state"], said["requested_by"]) == (run.state, anna.id)
    assert (said["candidate"], said["reason"]) == (run.candidate, run.reason)

    if run.state == "promoted":
        workers = set()
        while len(workers) < len(daemon.worker_pids):
            workers.add(daemon.heard("champion_changed", version=run.candidate)["worker"])
    serves = run.candidate if run.state == "promoted" else CHAMPION
    assert model(daemon) == serves
    answer = str(office.type(anna, "models").blocks)
    assert f"`{serves}` serves" in answer
    assert f": {run.state}" in answer
    assert stop(serving) == 0

    office = open_office(digest_at=a_minute_ago())
    digest = office.slack.wait_until(lambda: digests(office), "the digest")[0]
    told = next(line for line in digest.splitlines() if TOLD[run.state] in line)
    assert f"(`{run.candidate}`), asked for by <@{anna.id}>" in told


def digests(office):
    return [
        "\n".join(block["text"]["text"] for block in one["blocks"] if "text" in block)
        for one in office.slack.messages(office.desk)
        if one["text"].startswith("Yesterday, ")
    ]
