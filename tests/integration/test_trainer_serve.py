"""Nights that are kept: what is due, what is asked for, by several trainers, and after kills."""

import json
import re
import subprocess
import sys
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import insert, update
from store_records import MORNING, make_record
from trainer_process import Trainers, stop

from filterd.store.labels import add_label
from filterd.store.leases import current_lease, take_lease
from filterd.store.messages import write_batch
from filterd.store.pauses import set_pause
from filterd.store.runs import get_run, latest_runs, request_run, take_run
from filterd.store.tables import TrainingRuns
from trainer.bell import look
from trainer.settings import TrainerSettings
from trainer.stages import LEASE

pytest_plugins = ("store_fixtures",)

NIGHT = MORNING.replace(hour=2, minute=30)
SOON = timedelta(minutes=5)


def label_mails(database, count, at=MORNING):
    write_batch(database, [make_record(number) for number in range(count)])
    for number in range(count):
        add_label(database, make_record(number).id, "spam", "spam", "ann", "cli", now=lambda: at)


def wait_in_line(database, count):
    """Runs that wait, more than could be asked for."""
    with database.write() as connection:
        for _ in range(count):
            connection.execute(
                insert(TrainingRuns).values(
                    trigger="cli", state="waiting", created_at=MORNING, attempts=0
                )
            )


def an_hour_ago():
    """A schedule that was due an hour ago."""
    moment = datetime.now(UTC) - timedelta(hours=1)
    return f"{moment.minute} {moment.hour} * * *"


def states(database):
    return [run.state for run in reversed(latest_runs(database, 20))]


@pytest.fixture
def trainers(tmp_path):
    """A function: trainers of the database of this test, with these settings."""
    made = []

    def make(url, **settings):
        made.append(Trainers(tmp_path, url, **{"schedule": "", **settings}))
        return made[-1]

    yield make
    for each in made:
        each.close()


# What a ring finds


@pytest.fixture
def own():
    return TrainerSettings(min_labels=3, max_days=7)


def test_a_night_with_enough_labels_is_to_be_done(database, own):
    label_mails(database, 3)
    run = look(database, own, MORNING)
    assert (run.state, run.due_for) == ("waiting", NIGHT)


def test_a_night_is_noted_by_the_first_ring_only(database, own):
    label_mails(database, 3)
    assert look(database, own, MORNING) is not None
    assert look(database, own, MORNING + SOON) is None
    assert len(latest_runs(database, 9)) == 1


def test_a_night_with_too_few_labels_is_skipped_with_the_reason(database, own):
    label_mails(database, 2)
    run = look(database, own, MORNING)
    assert (run.state, run.reason) == ("skipped", "2 new labels, 3 are needed to begin with")


def test_a_night_on_hold_is_skipped_with_the_reason(database, own):
    label_mails(database, 3)
    set_pause(database, "nights", paused=True, by="ann", now=MORNING)
    run = look(database, own, MORNING)
    assert (run.state, run.reason) == ("skipped", "nights are on hold since 2026-11-23, by ann")
    set_pause(database, "nights", paused=False, by="ann", now=MORNING)
    assert look(database, own, MORNING + SOON) is None
    assert look(database, own, MORNING + timedelta(days=1)).state == "waiting"


def test_labels_that_came_while_the_last_training_ran_are_new(database, own):
    request_run(database, "ann", "cli", MORNING)
    take_run(database, "host:1", 1, MORNING)
    label_mails(database, 3, at=MORNING + SOON)
    with database.write() as connection:
        connection.execute(
            update(TrainingRuns).values(state="refused", finished_at=MORNING + 2 * SOON)
        )
    assert look(database, own, MORNING + timedelta(days=1)).state == "waiting"


def test_a_failed_night_has_learned_nothing(database, own):
    label_mails(database, 3)
    look(database, own, MORNING)
    take_run(database, "host:1", 1, MORNING)
    with database.write() as connection:
        connection.execute(
            update(TrainingRuns).values(state="failed", finished_at=MORNING + 2 * SOON)
        )
    assert look(database, own, MORNING + timedelta(days=1)).state == "waiting"


# Several trainers, and kills


def test_of_two_that_serve_one_is_at_work_at_a_time(database, url, trainers):
    wait_in_line(database, 6)
    site = trainers(url)
    both = [site.serve("rest:0.2,end:refused") for _ in range(2)]
    site.wait_for(lambda: states(database) == ["refused"] * 6)
    assert [stop(process) for process in both] == [0, 0]
    starts = site.starts()
    assert (
        sorted(start["run"] for start in starts)
        == [run.id for run in latest_runs(database, 9)][::-1]
    )
    assert all(start["alone"] for start in starts)


def test_what_a_killed_trainer_was_at_is_taken_over_by_another(database, url, trainers):
    site = trainers(url)
    request_run(database, "ann", "slack", datetime.now(UTC))
    first = site.serve("stage:data,hang_once,end:refused")
    site.wait_for(lambda: site.starts() and get_run(database, 1).stage == "data")
    site.serve("stage:data,hang_once,end:refused")
    first.kill()
    site.wait_for(lambda: states(database) == ["refused"])
    run = get_run(database, 1)
    assert (run.attempts, run.stage) == (2, "data")
    before, after = site.starts()
    assert after["token"] > before["token"]
    assert after["alone"], "the process of the killed trainer was still at work"


def test_a_run_of_a_trainer_that_was_stopped_goes_on_with_its_next_start(
    sqlite_database, sqlite_url, trainers
):
    site = trainers(sqlite_url)
    request_run(sqlite_database, "ann", "slack", datetime.now(UTC))
    first = site.serve("stage:data,hang_once,end:refused")
    site.wait_for(lambda: site.starts() and get_run(sqlite_database, 1).stage == "data")
    assert stop(first) == 0
    assert states(sqlite_database) == ["running"]
    assert current_lease(sqlite_database, LEASE, datetime.now(UTC)) is None
    site.serve("stage:data,hang_once,end:refused")
    site.wait_for(lambda: states(sqlite_database) == ["refused"])
    assert all(start["alone"] for start in site.starts())


def test_a_night_that_was_missed_is_caught_up_once(sqlite_database, sqlite_url, trainers):
    label_mails(sqlite_database, 1)
    site = trainers(sqlite_url, schedule=an_hour_ago(), min_labels="1")
    first = site.serve("end:refused")
    site.wait_for(lambda: states(sqlite_database) == ["refused"])
    assert stop(first) == 0
    again = site.serve("end:refused")
    request_run(sqlite_database, "ann", "slack", datetime.now(UTC))
    site.wait_for(lambda: states(sqlite_database) == ["refused"] * 2)
    assert stop(again) == 0
    by_hand, due = latest_runs(sqlite_database, 9)
    assert (due.trigger, by_hand.trigger) == ("schedule", "slack")
    assert timedelta() < datetime.now(UTC) - due.due_for < timedelta(hours=1, minutes=2)


def test_a_database_that_is_away_for_a_while_ends_no_trainer(sqlite_database, sqlite_url, trainers):
    site = trainers(sqlite_url)
    process = site.serve("end:refused")
    with sqlite_database.write() as connection:
        connection.exec_driver_sql("ALTER TABLE training_runs RENAME TO elsewhere")
    site.wait_for(lambda: "the database is away" in site.log())
    with sqlite_database.write() as connection:
        connection.exec_driver_sql("ALTER TABLE elsewhere RENAME TO training_runs")
    request_run(sqlite_database, "ann", "slack", datetime.now(UTC))
    site.wait_for(lambda: states(sqlite_database) == ["refused"])
    assert stop(process) == 0


def test_serve_as_it_is_installed_starts_and_stops(sqlite_url, trainers):
    site = trainers(sqlite_url)
    assert stop(site.serve()) == 0
    assert '"event": "stopped"' in site.log()


# By hand


def test_what_supervises_loads_nothing_that_trains():
    code = "import sys, trainer.nights; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_run_skips_what_is_not_worth_it_and_says_how_to_do_it_all_the_same(
    sqlite_database, sqlite_url, trainers
):
    done = trainers(sqlite_url).call("run")
    assert done.returncode == 0
    assert done.stdout == (
        "run 1: skipped: no new labels, 20 are needed to begin with; --force trains all the same\n"
    )


@pytest.mark.parametrize(
    ("plan", "code", "said"),
    [
        ("end:refused", 0, "run 1: refused: as planned\n"),
        ("end:skipped", 0, "run 1: skipped: as planned\n"),
        (
            "remark:no colour,leave:3",
            70,
            "run 1: failed: its process ended with exit code 3: no colour\n",
        ),
    ],
)
def test_run_says_how_it_ended(sqlite_database, sqlite_url, trainers, plan, code, said):
    done = trainers(sqlite_url).run(plan, "--force")
    assert (done.stdout, done.returncode) == (said, code)


def test_run_shows_its_progress(sqlite_database, sqlite_url, trainers):
    done = trainers(sqlite_url).run(
        "stage:data,progress:mails,stage:training,end:refused", "--force"
    )
    assert re.findall(r"^\S.*$", done.stderr, re.MULTILINE) == ["data", "training"]
    assert "  mails: 3/10" in done.stderr


def test_run_takes_the_run_that_waits(sqlite_database, sqlite_url, trainers):
    request_run(sqlite_database, "bob", "slack", MORNING)
    done = trainers(sqlite_url).run("end:refused", "--json")
    said = json.loads(done.stdout)
    assert (said["id"], said["state"], said["requested_by"]) == (1, "refused", "bob")
    assert said["seconds"] >= 0


def test_run_leaves_another_trainer_in_peace(sqlite_database, sqlite_url, trainers):
    now = datetime.now(UTC)
    take_lease(sqlite_database, LEASE, "there:1", now=now, lasts=timedelta(minutes=5))
    done = trainers(sqlite_url).call("run", "--force")
    assert done.returncode == 75
    assert "another trainer is at work: there:1" in done.stderr
    assert latest_runs(sqlite_database, 1) == []


def test_run_that_is_stopped_says_that_it_goes_on_later(sqlite_database, sqlite_url, trainers):
    done = trainers(sqlite_url).run("stop_trainer,hang", "--force")
    assert done.returncode == 75
    assert done.stdout == "run 1: stopped; the next start goes on with it\n"


def test_status_shows_what_there_is_to_know(sqlite_database, sqlite_url, trainers):
    label_mails(sqlite_database, 2)
    set_pause(sqlite_database, "nights", paused=True, by="ann", now=MORNING)
    look(sqlite_database, TrainerSettings(), MORNING)
    take_lease(sqlite_database, LEASE, "there:1", now=datetime.now(UTC), lasts=timedelta(minutes=5))
    site = trainers(sqlite_url, schedule="30 2 * * *", timezone="Europe/Berlin")
    shown = site.call("status").stdout
    for words in ("02:30 CE", "on hold since 2026-11-23 09:00 CET, by ann", "there:1", "2 new"):
        assert words in shown
    assert re.search(r"1 +2026-11-23 03:30 CET +schedule +skipped", shown)
    said = json.loads(site.call("status", "--json").stdout)
    assert (said["trainer"]["holder"], said["on_hold"]["by"], said["corrections"]) == (
        "there:1",
        "ann",
        2,
    )
    assert [run["state"] for run in said["runs"]] == ["skipped"]
    assert datetime.fromisoformat(said["next_night"]) > datetime.now(UTC)
