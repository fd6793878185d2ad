"""What a site's labels make of the BERT's word, and that bad ones do not stay."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lessons import both_kinds, evidence, lesson

from filterd.learner.features import Evidence
from filterd.learner.local import FULL_TRUST, log_odds
from filterd.learner.site import (
    DECIDED_ODDS,
    NEAR_SECONDS,
    SURE_AFTER,
    SiteLearner,
    anchor_odds,
    build,
    clues_of,
)

WATCH, MINUTE = clues_of(evidence(99, "watch")), clues_of(evidence(98, "minute"))
LETTER = (
    "Your parcel\n\nyour parcel is kept until the fee of two euro is paid to the parcel service"
)


def learner_of(lessons):
    return build(lambda: lessons)


def same(one, other):
    return all(
        one.judge(0.4, clues, 0.0) == other.judge(0.4, clues, 0.0) for clues in (WATCH, MINUTE)
    )


@given(st.floats(0, 1))
def test_an_unlabelled_site_gets_the_berts_word_to_the_last_bit(spam):
    assert SiteLearner().judge(spam, WATCH, 0.0).spam == spam


def test_one_label_decides_mail_of_the_same_text_whatever_the_bert_says():
    for label in ("spam", "ham"):
        bert = 0.001 if label == "spam" else 0.999
        learner = learner_of([lesson(1, "watch", label, bert=bert)])
        found = learner.judge(bert, clues_of(evidence(1, "watch")), 0.0)
        assert (found.spam > 0.99) == (label == "spam")
        assert (found.near.label_id, found.near.label, found.bert) == (1, label, bert)


def test_one_label_leaves_other_mail_alone():
    learner = learner_of([lesson(1, "watch", "spam", bert=0.1)])
    assert learner.judge(0.3, MINUTE, 0.0).spam == 0.3


def test_labels_of_doubtful_mail_do_not_stop_it_from_catching_spam():
    # Each surprises: the BERT was sure of ham that is spam, and of spam that is ham.
    surprises = [
        lesson(number, f"{kind}{number}", label, bert=bert)
        for number in range(30)
        for kind, label, bert in (("sale", "ham", 0.97), ("note", "spam", 0.2))
    ]
    learner = learner_of(surprises)
    assert learner.model.voices[0] < 0.9
    unknown = clues_of(Evidence(b"Subject: qqq\n\nzzz", "qqq\nfrom: q\n\nzzz vvv kkk jjj www ppp"))
    for threshold in (0.9, 0.99):
        found = learner.judge(0.9995, unknown, 0.0, threshold)
        assert found.spam >= threshold
        assert found.belief < found.spam


@given(st.floats(-30, 30), st.floats(-30, 30), st.floats(0.05, 3), st.floats(0.5, 0.9999))
def test_the_anchor_keeps_the_order_and_the_threshold(one, other, for_bert, threshold):
    first, second = (odds + anchor_odds(odds, for_bert, threshold) for odds in sorted((one, other)))
    assert first <= second + 1e-9
    reached = for_bert * log_odds(threshold)
    at = reached + anchor_odds(reached, for_bert, threshold)
    assert at == pytest.approx(log_odds(threshold), abs=1e-9)
    assert one + anchor_odds(one, 1.0, threshold) == pytest.approx(one, abs=1e-12)


def test_a_near_label_expires():
    learner = learner_of([lesson(1, "watch", "spam", at=1000.0)])
    clues = clues_of(evidence(1, "watch"))
    assert learner.judge(0.1, clues, 1000.0 + NEAR_SECONDS).near is not None
    assert learner.judge(0.1, clues, 1001.0 + NEAR_SECONDS).spam == 0.1


def test_what_the_model_learnt_does_not_expire():
    learner = learner_of(both_kinds(FULL_TRUST))
    assert learner.judge(0.5, WATCH, 100 * NEAR_SECONDS).spam > 0.6


def test_taught_one_by_one_or_all_at_once_is_the_same():
    lessons = both_kinds(30)
    learner = SiteLearner()
    for each in lessons:
        learner.teach(each)
    assert same(learner, learner_of(lessons))
    assert learner.labels == 60


def test_a_label_taken_back_leaves_nothing():
    lessons = both_kinds(10)
    assert same(learner_of(lessons), learner_of([*lessons, lesson(77, "minute", "spam")][:-1]))
    assert not same(learner_of(lessons), learner_of([*lessons, lesson(77, "minute", "spam")]))


def liar(first, count):
    """Labels of mallory's, each the opposite of what everyone else says."""
    kinds = (("minute", "spam"), ("watch", "ham"))
    return [lesson(1000 + first + n, *kinds[n % 2], by="mallory") for n in range(count)]


def test_who_contradicts_all_others_is_left_out():
    honest = both_kinds(60)
    poisoned = [*honest[:60], *liar(0, 20), *honest[60:], *liar(20, 20)]
    learner = learner_of(poisoned)
    assert learner.distrusted == {"mallory"}
    assert same(learner, learner_of(honest))
    assert learner.labels == len(poisoned)


def test_taught_live_the_liar_becomes_a_suspect():
    learner = SiteLearner()
    honest = both_kinds(60)
    for each in [*honest[:60], *liar(0, 20), *honest[60:], *liar(20, 20)]:
        learner.teach(each)
        if learner.suspect:
            break
    assert learner.suspect == "mallory"


def test_who_is_alone_is_believed():
    assert learner_of([*both_kinds(30), *both_kinds(30)]).distrusted == frozenset()
    only = [lesson(n, "watch", "ham" if n > 40 else "spam") for n in range(80)]
    assert learner_of(only).distrusted == frozenset()


def test_who_corrects_what_only_the_bert_got_wrong_is_believed():
    corrections = [lesson(2000 + n, "invoice", "ham", by="bob", bert=0.999) for n in range(60)]
    assert learner_of([*both_kinds(60), *corrections]).distrusted == frozenset()


def test_the_least_that_decides_is_above_the_usual_threshold():
    assert 1 / (1 + 2.718281828**-DECIDED_ODDS) > 0.99


def long_taught():
    """Enough labels to spare the BERT, by which watches are surely spam."""
    return learner_of(both_kinds(SURE_AFTER // 2 + 1))


def test_the_bert_is_spared_only_what_no_ham_ever_looked_like():
    learner = long_taught()
    found = learner.without_bert(WATCH, 0.0)
    assert found.spam > 0.99
    assert found.bert is None
    assert learner.without_bert(MINUTE, 0.0) is None


def test_before_there_are_hundreds_of_labels_it_is_always_asked():
    assert learner_of(both_kinds(SURE_AFTER // 2 - 1)).without_bert(WATCH, 0.0) is None


def test_a_ham_that_looked_like_spam_raises_the_bar():
    lessons = both_kinds(SURE_AFTER // 2 + 1)
    mistaken = lesson(9000, "watch", "ham", by="bob")
    assert learner_of([*lessons, mistaken]).without_bert(WATCH, 0.0) is None


@pytest.mark.parametrize("threshold", [0.0001, 0.5, 0.99, 0.9999])
def test_a_labelled_mail_decides_whatever_the_sites_threshold_is(threshold):
    clues = clues_of(evidence(1, "watch"))
    spam = learner_of([lesson(1, "watch", "spam", bert=0.001)])
    assert spam.judge(0.001, clues, 0.0, threshold).spam > threshold
    ham = learner_of([lesson(1, "watch", "ham", bert=0.999)])
    assert ham.judge(0.999, clues, 0.0, threshold).spam < threshold
