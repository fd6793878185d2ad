"""Labels: who said what, what counts of it, and taking it back."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from store_records import make_record

from filterd.errors import StoreError
from filterd.store.changes import ChangeMark, change_mark
from filterd.store.labels import (
    add_label,
    effective,
    history,
    label_log,
    newest_standing,
    standing,
    touched,
    undo_label,
)
from filterd.store.messages import write_batch

pytest_plugins = ("store_fixtures",)

MAIL, OTHER_MAIL = make_record(1).id, make_record(2).id
NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
TASKS = {"spam": ("ham", "spam"), "sentiment": ("negative", "neutral", "positive")}


@pytest.fixture
def mail(database):
    write_batch(database, [make_record(1), make_record(2)])
    return database


def say(database, label, by, task="spam", message_id=MAIL):
    return add_label(database, message_id, task, label, by, "cli", known=TASKS, now=lambda: NOON)


def undo(database, label, by="ann"):
    return undo_label(database, label.id, by, "slack", now=lambda: NOON)


def test_a_label_says_who_what_when_and_from_where(mail):
    label = say(mail, "spam", "ann")
    assert (label.message_id, label.task, label.label) == (MAIL, "spam", "spam")
    assert (label.by, label.source, label.at) == ("ann", "cli", NOON)
    assert (label.replaces, label.undoes) == (None, None)
    assert history(mail, MAIL) == [label]
    assert history(mail, OTHER_MAIL) == []


def test_the_label_of_one_person_counts(mail):
    say(mail, "spam", "ann")
    found = effective(mail, MAIL)["spam"]
    assert (found.label, found.by, found.at, found.agreed_by) == ("spam", "ann", NOON, ())
    assert not found.disputed


def test_a_mail_that_nobody_labelled_has_no_label(mail):
    assert effective(mail, MAIL) == {}


def test_tasks_are_labelled_apart(mail):
    say(mail, "spam", "ann")
    say(mail, "negative", "ann", task="sentiment")
    found = effective(mail, MAIL)
    assert {task: label.label for task, label in found.items()} == {
        "spam": "spam",
        "sentiment": "negative",
    }


def test_people_who_agree_are_named(mail):
    for by in ("ann", "bob", "carol"):
        say(mail, "spam", by)
    found = effective(mail, MAIL)["spam"]
    assert (found.by, found.agreed_by) == ("ann", ("bob", "carol"))


def test_a_conflict_is_visible_and_who_spoke_last_counts(mail):
    first = say(mail, "spam", "ann")
    say(mail, "ham", "bob")
    found = effective(mail, MAIL)["spam"]
    assert (found.label, found.by) == ("ham", "bob")
    assert found.disputed
    assert found.against == (first,)


def test_a_third_person_decides_a_conflict_which_stays_visible(mail):
    say(mail, "spam", "ann")
    say(mail, "ham", "bob")
    say(mail, "spam", "carol")
    found = effective(mail, MAIL)["spam"]
    assert (found.label, found.by, found.agreed_by) == ("spam", "ann", ("carol",))
    assert [label.by for label in found.against] == ["bob"]


def test_one_person_may_change_his_mind(mail):
    first = say(mail, "spam", "ann")
    second = say(mail, "ham", "ann")
    assert second.replaces == first.id
    assert effective(mail, MAIL)["spam"].label == "ham"
    assert not effective(mail, MAIL)["spam"].disputed
    assert standing(mail, MAIL) == [second]


def test_saying_the_same_again_adds_no_row(mail):
    first = say(mail, "spam", "ann")
    assert say(mail, "spam", "ann") == first
    assert history(mail, MAIL) == [first]


def test_undo_is_another_row_and_takes_the_label_away(mail):
    label = say(mail, "spam", "ann")
    row = undo(mail, label, by="bob")
    assert (row.undoes, row.label, row.by, row.source) == (label.id, "spam", "bob", "slack")
    assert history(mail, MAIL) == [label, row]
    assert effective(mail, MAIL) == {}


def test_undoing_the_later_label_lets_the_earlier_stand_again(mail):
    say(mail, "spam", "ann")
    undo(mail, say(mail, "ham", "ann"))
    assert effective(mail, MAIL)["spam"].label == "spam"


def test_after_an_undo_the_same_label_can_be_given_again(mail):
    label = say(mail, "spam", "ann")
    undo(mail, label)
    again = say(mail, "spam", "ann")
    assert again.id > label.id
    assert again.replaces is None
    assert effective(mail, MAIL)["spam"].label == "spam"


def test_undo_twice_is_refused_and_says_who_did_it(mail):
    label = say(mail, "spam", "ann")
    undo(mail, label, by="bob")
    with pytest.raises(StoreError, match=f"label {label.id} was undone already, by bob"):
        undo(mail, label)


def test_undoing_an_undo_is_refused(mail):
    row = undo(mail, say(mail, "spam", "ann"))
    with pytest.raises(StoreError, match=f"label {row.id} is itself an undo"):
        undo(mail, row)


def test_undoing_a_replaced_label_points_to_its_successor(mail):
    first = say(mail, "spam", "ann")
    second = say(mail, "ham", "ann")
    with pytest.raises(StoreError, match=f"label {first.id} was replaced by {second.id}"):
        undo(mail, first)


def test_undoing_what_is_not_there_is_refused(mail):
    with pytest.raises(StoreError, match="no label 7"):
        undo_label(mail, 7, "ann", "cli")


def test_an_unknown_message_is_named(mail):
    with pytest.raises(StoreError, match=r"no message 01JDNOSUCH: .*retention"):
        say(mail, "spam", "ann", message_id="01JDNOSUCH")


def test_an_unknown_task_or_label_is_named_with_those_there_are(mail):
    with pytest.raises(StoreError, match="unknown task 'topic'; there are spam, sentiment"):
        say(mail, "spam", "ann", task="topic")
    with pytest.raises(StoreError, match="unknown label 'junk'; spam has ham, spam"):
        say(mail, "junk", "ann")


@pytest.mark.parametrize("missing", ["task", "label", "by", "source"])
def test_nothing_may_be_left_empty(mail, missing):
    words = {"task": "spam", "label": "spam", "by": "ann", "source": "cli", missing: " "}
    with pytest.raises(StoreError, match=f"a label needs '{missing}'"):
        add_label(mail, MAIL, **words)


def test_a_click_delivered_by_many_at_once_is_one_row(mail):
    with ThreadPoolExecutor(8) as threads:
        found = list(threads.map(lambda _: say(mail, "spam", "ann"), range(24)))
    assert len(history(mail, MAIL)) == 1
    assert set(found) == {found[0]}


def test_of_many_undos_at_once_one_succeeds(mail):
    label = say(mail, "spam", "ann")

    def attempt(_number):
        try:
            return undo(mail, label)
        except StoreError:
            return None

    with ThreadPoolExecutor(8) as threads:
        done = [row for row in threads.map(attempt, range(8)) if row is not None]
    assert len(done) == 1
    assert history(mail, MAIL) == [label, *done]


def test_the_log_has_all_that_was_said_and_the_list_what_stands(mail):
    first, other = say(mail, "spam", "ann"), say(mail, "ham", "bob", message_id=OTHER_MAIL)
    second = say(mail, "ham", "ann")
    assert newest_standing(mail, 9) == [second, other]
    assert newest_standing(mail, 9, by="ann") == [second]
    back = undo(mail, second, by="bob")
    assert newest_standing(mail, 9) == [other, first]
    assert newest_standing(mail, 1) == [other]
    assert label_log(mail, 9) == [back, second, other, first]
    assert label_log(mail, 9, by="bob") == [back, other]
    assert newest_standing(mail, 9, since=NOON + timedelta(days=1)) == []
    assert label_log(mail, 9, since=NOON) == [back, second, other, first]
    assert touched(mail, other.id) == [MAIL]


def test_the_change_mark_moves_with_each_label_and_undo_and_only_then(mail):
    assert change_mark(mail) == ChangeMark(labels=0, champions=0)
    label = say(mail, "spam", "ann")
    assert change_mark(mail) == ChangeMark(labels=label.id, champions=0)
    say(mail, "spam", "ann")
    assert change_mark(mail).labels == label.id
    row = undo(mail, label)
    assert change_mark(mail).labels == row.id > label.id


class Memory:
    """The same rules told another way: a pile of labels for each person."""

    def __init__(self):
        self.piles = {}
        self.order = 0

    def say(self, label, by):
        pile = self.piles.setdefault(by, [])
        self.order += 1
        if not pile or pile[-1][0] != label:
            pile.append((label, self.order))

    def undo(self, by):
        self.piles[by].pop()

    def decision(self):
        tops = [pile[-1] for pile in self.piles.values() if pile]
        if not tops:
            return None
        votes = [label for label, _ in tops]
        label, _ = max(tops, key=lambda top: (votes.count(top[0]), top[1]))
        return label, len(set(votes)) > 1


@settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    steps=st.lists(
        st.tuples(
            st.sampled_from(["ann", "bob", "carol"]), st.sampled_from(["ham", "spam", "undo"])
        )
    )
)
def test_whatever_people_do_the_database_agrees_with_the_rules(sqlite_database, steps):
    number = change_mark(sqlite_database).labels + 1
    message_id = make_record(number).id
    write_batch(sqlite_database, [make_record(number)])
    say(sqlite_database, "ham", "zoe", message_id=message_id)  # moves `number` on
    undo(sqlite_database, standing(sqlite_database, message_id)[0])
    memory = Memory()
    for by, step in steps:
        if step != "undo":
            say(sqlite_database, step, by, message_id=message_id)
            memory.say(step, by)
            continue
        own = [label for label in standing(sqlite_database, message_id) if label.by == by]
        if own:
            undo(sqlite_database, own[0])
            memory.undo(by)
    found = effective(sqlite_database, message_id).get("spam")
    assert (found and (found.label, found.disputed)) == memory.decision()
