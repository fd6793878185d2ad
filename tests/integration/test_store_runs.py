"""Training runs: what was done, and asking for one."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from sqlalchemy import update
from store_records import MORNING

from filterd.errors import ImpossibleError
from filterd.store.runs import request_run, runs
from filterd.store.tables import TrainingRuns

pytest_plugins = ("store_fixtures",)


def ask(database, by="ann", hours=0):
    return request_run(database, by, "slack", MORNING + timedelta(hours=hours))


def end(database, run, state="promoted"):
    with database.write() as connection:
        connection.execute(
            update(TrainingRuns)
            .where(TrainingRuns.id == run.id)
            .values(state=state, figures={"seconds": 3.5})
        )


def test_a_run_that_was_asked_for_waits_and_says_by_whom(database):
    run = ask(database)
    assert (run.state, run.requested_by, run.trigger, run.created_at) == (
        "waiting",
        "ann",
        "slack",
        MORNING,
    )
    assert (run.attempts, run.due_for, run.candidate) == (0, None, None)
    assert runs(database, MORNING) == [run]


def test_runs_come_newest_first_and_not_from_before(database):
    for hours in range(3):
        end(database, ask(database, hours=hours))
    found = runs(database, MORNING + timedelta(hours=1))
    assert [run.created_at - MORNING for run in found] == [timedelta(hours=2), timedelta(hours=1)]
    assert found[0].figures == {"seconds": 3.5}


@pytest.mark.parametrize(
    ("state", "words"), [("waiting", "waits to be started"), ("running", "is at work")]
)
def test_while_one_waits_or_runs_no_other_can_be_asked_for(database, state, words):
    run = ask(database)
    end(database, run, state)
    with pytest.raises(ImpossibleError, match=f"training run {run.id} {words} already"):
        ask(database, by="bob")
    assert len(runs(database, MORNING)) == 1


@pytest.mark.parametrize("state", ["shadow", "promoted", "refused", "skipped", "failed"])
def test_after_one_has_ended_the_next_can_be_asked_for(database, state):
    end(database, ask(database), state)
    assert ask(database, by="bob").requested_by == "bob"


def test_of_two_who_ask_at_once_one_is_told_of_the_other(database):
    def ask_or_hear(by):
        try:
            return ask(database, by).requested_by
        except ImpossibleError:
            return None

    with ThreadPoolExecutor(4) as people:
        heard = list(people.map(ask_or_hear, ["ann", "bob", "cleo", "dave"]))
    assert heard.count(None) == 3
    assert len(runs(database, MORNING)) == 1
