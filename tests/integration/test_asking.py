"""Which mails staff are asked about, from the records of a site."""

import random
from datetime import timedelta

import pytest
from lessons import evidence
from store_records import MORNING, make_record

from filterd.asking import questions
from filterd.learner.features import pack
from filterd.store.labels import add_label, undo_label
from filterd.store.messages import write_batch
from filterd.teaching import open_learner

pytest_plugins = ("store_fixtures",)

NOON = MORNING + timedelta(hours=4)


def record_of(number, spam=0.02, **changes):
    found = evidence(number, ("watch", "minute")[number % 2])
    values = {
        "text": found.text,
        "head": pack(found.head),
        "helo": "",
        "client_address": "",
        "spam": spam,
        "scores": {"spam": {"ham": 1 - spam, "spam": spam}},
    }
    return make_record(number, **values | changes)


def asked(database, budget=3, since=MORNING):
    return questions(
        database,
        open_learner(database),
        budget=budget,
        since=since,
        now=NOON,
        chance=random.Random(1),
    )


def ids(found):
    return {int(one.record.id) for one in found}


def test_of_many_mails_the_doubtful_one_is_asked_about(database):
    write_batch(database, [record_of(n, 0.9 if n == 7 else 0.001) for n in range(20)])
    found = asked(database)
    assert 7 in ids(found)
    assert len(found) == 3


def test_a_labelled_mail_is_not_asked_about_until_its_label_is_undone(database):
    write_batch(database, [record_of(1)])
    label = add_label(database, make_record(1).id, "spam", "ham", "ann", "cli")
    assert asked(database) == []
    undo_label(database, label.id, "ann", "cli")
    assert ids(asked(database)) == {1}


def test_a_label_of_another_task_is_no_answer(database):
    write_batch(database, [record_of(1)])
    add_label(database, make_record(1).id, "sentiment", "neutral", "ann", "cli")
    assert ids(asked(database)) == {1}


@pytest.mark.parametrize(
    "changes", [{"text": None}, {"head": None}, {"head": b"damaged"}, {"scores": None}]
)
def test_a_mail_of_which_too_little_is_kept_is_left_out(database, changes):
    write_batch(database, [record_of(1), record_of(2, **changes)])
    assert ids(asked(database)) == {1}


def test_unjudged_and_older_mails_are_left_out(database):
    write_batch(database, [record_of(1), record_of(3600, verdict=None, failure="deadline")])
    assert ids(asked(database)) == {1}
    assert asked(database, since=MORNING + timedelta(minutes=1)) == []


def test_where_label_and_model_are_at_odds_it_asks(database):
    write_batch(database, [record_of(n, 0.001) for n in range(0, 40, 2)])
    add_label(database, make_record(0).id, "spam", "spam", "ann", "cli")
    found = asked(database, budget=5)
    disputed = [one for one in found if one.question.reason == "disputed"]
    assert disputed
    assert all(one.spam > 0.9 for one in disputed)
