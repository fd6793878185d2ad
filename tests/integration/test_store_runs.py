"""Training runs: what was done, asking for one, and how a trainer takes and ends it."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from sqlalchemy import update
from store_records import MORNING, make_record

from filterd.errors import ImpossibleError
from filterd.store.labels import add_label, undo_label
from filterd.store.leases import give_back_lease, take_lease
from filterd.store.messages import write_batch
from filterd.store.models import champion, champions, register_bundle
from filterd.store.runs import (
    MOST_STARTS,
    TRAINED,
    add_due_run,
    due_run,
    finish_run,
    get_run,
    labels_since,
    last_run,
    latest_runs,
    note_stage,
    promote_run,
    request_run,
    require_token,
    runs,
    take_run,
)
from filterd.store.tables import TrainingRuns

pytest_plugins = ("store_fixtures",)

NIGHT = MORNING.replace(hour=2, minute=30)
LEASE = "trainer"
BUNDLE = "2026-11-23.1"


def take(database, token=1, trainer="host:1", now=MORNING):
    return take_run(database, trainer, token, now)


def lease(database, holder="host:1", now=MORNING):
    return take_lease(database, LEASE, holder, now=now, lasts=timedelta(minutes=1))


def publish(database, version=BUNDLE):
    register_bundle(
        database, version, f"/models/{version}", created_at=MORNING, data_digest="", metrics={}
    )


def promote(database, run, token, version=BUNDLE):
    return promote_run(database, run.id, token, LEASE, version, "trainer", "better", MORNING)


def label_mails(database, numbers, by="ann", hours=0):
    write_batch(database, [make_record(number) for number in numbers])
    return [
        add_label(
            database,
            make_record(number).id,
            "spam",
            "spam",
            by,
            "cli",
            now=lambda: MORNING + timedelta(hours=hours),
        )
        for number in numbers
    ]


def at_once(function, arguments):
    with ThreadPoolExecutor(len(arguments)) as people:
        return list(people.map(function, arguments))


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


def test_a_run_can_be_asked_for_and_skipped_at_once(database):
    run = request_run(database, "ann", "cli", MORNING, skip="no new labels")
    assert (run.state, run.reason, run.finished_at) == ("skipped", "no new labels", MORNING)


# Nights


def test_a_night_that_is_due_is_noted_once(database):
    run = add_due_run(database, NIGHT, MORNING)
    assert (run.state, run.due_for, run.trigger) == ("waiting", NIGHT, "schedule")
    assert add_due_run(database, NIGHT, MORNING) is None
    assert add_due_run(database, NIGHT, MORNING, skip="on hold") is None
    assert due_run(database, NIGHT) == run


def test_a_night_that_is_skipped_is_at_an_end_and_says_why(database):
    run = add_due_run(database, NIGHT, MORNING, skip="on hold")
    assert (run.state, run.reason, run.finished_at) == ("skipped", "on hold", MORNING)
    assert take(database) is None


def test_a_night_is_skipped_while_another_run_is_open(database):
    before = ask(database)
    run = add_due_run(database, NIGHT, MORNING)
    assert (run.state, run.reason) == (
        "skipped",
        f"training run {before.id} waits to be started already",
    )


def test_of_many_trainers_that_note_a_night_one_does(database):
    noted = at_once(lambda _: add_due_run(database, NIGHT, MORNING), range(6))
    assert len([run for run in noted if run is not None]) == 1


# Taking


def test_a_run_that_waits_is_taken_and_is_at_work(database):
    asked = ask(database)
    run = take(database, token=7)
    assert run.id == asked.id
    assert (run.state, run.trainer, run.token, run.attempts) == ("running", "host:1", 7, 1)
    assert run.started_at == MORNING


def test_the_oldest_run_is_taken_first(database):
    first = ask(database)
    end(database, first, "skipped")
    add_due_run(database, NIGHT, MORNING)
    end(database, first, "waiting")
    assert [take(database).id, take(database).id] == [first.id, first.id + 1]


def test_a_run_at_work_is_left_to_its_trainer(database):
    ask(database)
    take(database, token=3)
    assert take(database, token=3, trainer="other:1") is None
    assert take(database, token=2, trainer="other:1") is None


def test_a_run_whose_trainer_died_is_taken_over_where_it_stands(database):
    ask(database)
    before = take(database, token=3)
    note_stage(database, before.id, 3, "training", now=MORNING)
    run = take(database, token=4, trainer="other:1", now=MORNING + timedelta(hours=1))
    assert (run.id, run.trainer, run.token, run.attempts) == (before.id, "other:1", 4, 2)
    assert (run.stage, run.started_at) == ("training", MORNING)


def test_a_run_that_never_comes_to_an_end_fails_and_the_next_is_taken(database):
    asked = ask(database)
    for token in range(1, MOST_STARTS + 1):
        assert take(database, token=token).attempts == token
    assert take(database, token=9) is None
    run = get_run(database, asked.id)
    assert (run.state, run.reason) == ("failed", "started 3 times, and never came to an end")
    assert run.finished_at == MORNING


def test_of_many_that_take_a_run_one_has_it(database):
    ask(database)
    taken = at_once(lambda number: take(database, 1, f"host:{number}"), range(6))
    assert len([run for run in taken if run is not None]) == 1


def test_of_many_with_growing_tokens_the_newest_has_the_run_in_the_end(database):
    asked = ask(database)
    at_once(lambda token: take(database, token, f"host:{token}"), [2, 3])
    assert get_run(database, asked.id).token == 3


# Stages and ends


def test_what_came_of_stages_is_joined(database):
    run = ask(database)
    take(database)
    note_stage(
        database,
        run.id,
        1,
        "data",
        now=MORNING,
        trained_from="2026-11-22.1",
        figures={"seconds": {"data": 1.5}, "counts": {"labelled": 20}},
    )
    note_stage(database, run.id, 1, "gate", now=MORNING, figures={"seconds": {"gate": 2.5}})
    found = finish_run(
        database, run.id, 1, "refused", "too many", now=NIGHT, candidate=None, figures={"gate": [1]}
    )
    assert (found.state, found.reason, found.stage) == ("refused", "too many", "gate")
    assert (found.trained_from, found.finished_at) == ("2026-11-22.1", NIGHT)
    noted = found.figures.pop("noted")
    assert noted == dict.fromkeys(["data", "gate"], "2026-11-23T08:00:00+00:00")
    assert found.figures == {
        "seconds": {"data": 1.5, "gate": 2.5},
        "counts": {"labelled": 20},
        "gate": [1],
    }


def test_a_trainer_that_was_overtaken_can_write_no_more(database):
    run = ask(database)
    take(database, token=1)
    take(database, token=2, trainer="other:1")
    publish(database)
    overtaken = pytest.raises(ImpossibleError, match=f"run {run.id} was taken over by other:1")
    with overtaken:
        require_token(database, run.id, 1)
    with overtaken:
        note_stage(database, run.id, 1, "gate", now=MORNING)
    with overtaken:
        finish_run(database, run.id, 1, "failed", "bad", now=MORNING)
    with overtaken:
        promote(database, run, 1)
    assert get_run(database, run.id).state == "running"


def test_a_run_ends_once(database):
    run = ask(database)
    take(database)
    finish_run(database, run.id, 1, "refused", "worse", now=MORNING)
    with pytest.raises(ImpossibleError, match="is at an end: refused"):
        finish_run(database, run.id, 1, "failed", "late", now=MORNING)


def test_the_last_run_of_some_states_is_found(database):
    for state in ("promoted", "refused", "failed"):
        end(database, ask(database), state)
    assert last_run(database, TRAINED).state == "refused"
    assert last_run(database, ["waiting"]) is None
    assert [run.state for run in latest_runs(database, 2)] == ["failed", "refused"]


# Promotion


def test_a_promotion_ends_the_run_and_makes_the_champion(database):
    token = lease(database).token
    run = ask(database)
    take(database, token)
    publish(database)
    row = promote(database, run, token)
    assert champion(database) == row
    assert (row.version, row.by, row.why) == (BUNDLE, "trainer", "better")
    found = get_run(database, run.id)
    assert (found.state, found.candidate, found.finished_at) == ("promoted", BUNDLE, MORNING)


def test_without_the_lease_nothing_is_promoted(database):
    mine = lease(database)
    run = ask(database)
    take(database, mine.token)
    publish(database)
    lease(database, "other:1", MORNING + timedelta(minutes=2))
    with pytest.raises(ImpossibleError, match="was lost"):
        promote(database, run, mine.token)
    assert champion(database) is None
    assert get_run(database, run.id).state == "running"


def test_a_lease_that_was_given_back_promotes_nothing(database):
    mine = lease(database)
    run = ask(database)
    take(database, mine.token)
    publish(database)
    give_back_lease(database, mine)
    with pytest.raises(ImpossibleError, match="was lost"):
        promote(database, run, mine.token)


def test_a_bundle_that_is_not_registered_is_not_promoted(database):
    token = lease(database).token
    run = ask(database)
    take(database, token)
    with pytest.raises(ImpossibleError, match="no bundle 2026-11-23.1"):
        promote(database, run, token)
    assert get_run(database, run.id).state == "running"


def test_a_promotion_and_the_loss_of_the_lease_cannot_both_be_first(database):
    """Whoever loses the race is told, and the champion is always that of the last who held it."""
    mine = lease(database)
    run = ask(database)
    take(database, mine.token)
    publish(database)

    def step(name):
        if name == "take over":
            other = lease(database, "other:1", MORNING + timedelta(minutes=2))
            return take(database, other.token, "other:1")
        try:
            return promote(database, run, mine.token)
        except ImpossibleError:
            return None

    taken_over, promoted = at_once(step, ["take over", "promote"])
    assert (taken_over is None) == (promoted is not None)
    assert len(champions(database)) == (promoted is not None)


# Labels


def test_labels_count_from_a_moment_on(database):
    label_mails(database, range(3))
    label_mails(database, range(3, 5), hours=2)
    assert labels_since(database, None) == 5
    assert labels_since(database, MORNING + timedelta(hours=1)) == 2


def test_labels_that_were_undone_or_replaced_do_not_count(database):
    first, second = label_mails(database, range(2))
    add_label(database, first.message_id, "spam", "ham", "ann", "cli", now=lambda: MORNING)
    assert labels_since(database, MORNING) == 2
    undo_label(database, second.id, "ann", "cli", now=lambda: MORNING)
    assert labels_since(database, MORNING) == 1


def test_a_label_stands_again_when_its_replacement_is_undone(database):
    (first,) = label_mails(database, range(1))
    again = add_label(database, first.message_id, "spam", "ham", "ann", "cli", now=lambda: MORNING)
    undo_label(database, again.id, "ann", "cli", now=lambda: MORNING)
    assert labels_since(database, MORNING) == 1
