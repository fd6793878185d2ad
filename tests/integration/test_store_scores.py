"""What bundles give to labelled mail: written again, read by version, removed with its bundle."""

from datetime import timedelta

import pytest
from store_records import MORNING, make_record

from filterd.store.labels import add_label
from filterd.store.messages import write_batch
from filterd.store.retention import purge
from filterd.store.scores import remove_scores, scores_of, write_scores

pytest_plugins = ("store_fixtures",)


def name(number):
    return f"{number:026d}"


def test_scores_are_read_by_the_version_that_gave_them(database):
    write_scores(database, "1", {name(1): 0.25, name(2): 0.5})
    write_scores(database, "2", {name(1): 0.75})
    assert scores_of(database, "1", [name(1), name(2), name(3)]) == {name(1): 0.25, name(2): 0.5}
    assert scores_of(database, "2", [name(1), name(2)]) == {name(1): 0.75}
    assert scores_of(database, "3", [name(1)]) == {}


def test_only_those_asked_for_are_read(database):
    write_scores(database, "1", {name(1): 0.25, name(2): 0.5})
    assert scores_of(database, "1", [name(2)]) == {name(2): 0.5}
    assert scores_of(database, "1", []) == {}


def test_writing_again_changes_what_is_different_and_doubles_nothing(database):
    write_scores(database, "1", {name(1): 0.25, name(2): 0.5})
    write_scores(database, "1", {name(1): 0.25, name(2): 0.625})
    assert scores_of(database, "1", [name(1), name(2)]) == {name(1): 0.25, name(2): 0.625}
    assert remove_scores(database, keep=()) == 2


def test_more_than_a_batch_is_written_and_read(database):
    scores = {name(number): number / 2048 for number in range(1200)}
    write_scores(database, "1", scores)
    assert scores_of(database, "1", list(scores)) == scores


def test_no_scores_are_no_work(database):
    write_scores(database, "1", {})
    assert remove_scores(database, keep=()) == 0


@pytest.mark.parametrize(("keep", "left"), [(("1", "3"), {"1", "3"}), ((), set()), (("9",), set())])
def test_scores_of_other_versions_than_those_kept_are_removed(database, keep, left):
    for version in ("1", "2", "3"):
        write_scores(database, version, {name(1): 0.5, name(2): 0.5})
    assert remove_scores(database, keep=keep) == 2 * (3 - len(left))
    assert {each for each in ("1", "2", "3") if scores_of(database, each, [name(1)])} == left


def test_scores_of_a_mail_go_with_it_and_those_of_others_stay(database):
    old = MORNING - timedelta(days=100)
    write_batch(database, [make_record(number, received_at=old) for number in (1, 2)])
    add_label(database, name(2), "spam", "spam", "ann", "cli")
    for version in ("1", "2"):
        write_scores(database, version, {name(1): 0.5, name(2): 0.5})
    purge(database, now=MORNING, retention_days=90, store_text="all")
    for version in ("1", "2"):
        assert set(scores_of(database, version, [name(1), name(2)])) == {name(2)}
