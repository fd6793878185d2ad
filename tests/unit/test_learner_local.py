"""The local model: what a label changes, and what it leaves alone."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lessons import both_kinds, evidence

from filterd.learner.features import features
from filterd.learner.local import FULL_TRUST, LocalModel, log_odds, probability


def taught(lessons, bert=0.0):
    model = LocalModel()
    for each in lessons:
        model.teach(bert, each.clues.features, each.label)
    return model


def odds(model, kind, bert=0.0):
    return model.odds(bert, model.margin(features(evidence(99, kind))))


def test_one_class_alone_changes_nothing():
    model = taught([each for each in both_kinds(50) if each.label == "spam"])
    assert odds(model, "minute", bert=-1.0) == -1.0


def test_labels_carry_over_to_mail_of_the_same_kind():
    model = taught(both_kinds(FULL_TRUST))
    assert odds(model, "watch") > 0.5
    assert odds(model, "minute") < -0.5


def test_it_learns_against_the_bert():
    model = LocalModel()
    for each in both_kinds(40):
        model.teach(-4.0 if each.label == "spam" else 4.0, each.clues.features, each.label)
    assert odds(model, "watch", bert=-4.0) > 0.0
    assert odds(model, "minute", bert=4.0) < 0.0


def test_the_voice_of_a_bert_that_is_always_wrong_fades():
    model = LocalModel()
    for each in both_kinds(40):
        model.teach(-4.0 if each.label == "spam" else 4.0, each.clues.features, each.label)
    bert, own = model.voices
    assert bert < 1.0
    assert own > 0.0


def test_the_same_labels_give_the_same_model():
    one, other = taught(both_kinds(20)), taught(both_kinds(20))
    assert odds(one, "watch") == odds(other, "watch")


@given(st.floats(0, 1))
def test_log_odds_and_probability_undo_each_other_where_nothing_is_certain(value):
    back = probability(log_odds(value))
    assert 0 < back < 1
    assert back == pytest.approx(value, abs=0.01)


@given(st.floats(-30, 30), st.floats(0.001, 5))
def test_higher_odds_are_a_higher_probability(odds, more):
    assert probability(odds + more) >= probability(odds)


def test_odds_that_were_never_seen_are_still_no_certainty():
    assert 0 < probability(-1e9) < probability(1e9) <= 1
