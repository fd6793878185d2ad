import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trainer.curves import calibration_error, curve, learning_curve, reliability, wilson
from trainer.evaluate import missed_area

SCORES = np.array([0.9, 0.8, 0.8, 0.3, 0.1])
IS_SPAM = np.array([True, True, False, True, False])


def test_a_curve_begins_with_nothing_flagged_and_ends_with_all_of_it():
    found = curve(SCORES, IS_SPAM)
    assert (found.false_positive_rate[0], found.recall[0]) == (0, 0)
    assert (found.false_positive_rate[-1], found.recall[-1]) == (1, 1)
    assert found.precision.tolist() == [1, 1, 2 / 3, 3 / 4, 3 / 5]


def test_equal_scores_are_flagged_together():
    found = curve(SCORES, IS_SPAM)
    assert found.blamed.tolist() == [0, 0, 1, 1, 2]
    assert found.caught.tolist() == [0, 1, 2, 3, 3]


def test_one_class_alone_has_no_curve():
    assert curve(SCORES, np.ones(5, dtype=bool)) is None
    assert curve(np.array([]), np.array([], dtype=bool)) is None


@settings(deadline=None)  # the machine may be busy
@given(st.lists(st.tuples(st.sampled_from([0.0, 0.2, 0.5, 0.9]), st.booleans()), min_size=2))
def test_the_area_above_the_curve_is_the_measure_that_is_reported(pairs):
    scores, is_spam = np.array([pair[0] for pair in pairs]), np.array([pair[1] for pair in pairs])
    found = curve(scores, is_spam)
    if found is None:
        assert missed_area(scores, is_spam) is None
        return
    area = np.trapezoid(found.recall, found.false_positive_rate)
    assert 100 * (1 - area) == pytest.approx(missed_area(scores, is_spam), abs=1e-9)


def test_every_text_is_in_one_bin_and_certainty_is_in_the_last():
    bins = reliability(np.array([0.0, 0.05, 0.55, 1.0]), np.array([False, True, False, True]))
    assert [each.ham + each.spam for each in bins] == [2, 0, 0, 0, 0, 1, 0, 0, 0, 1]
    assert (bins[0].promised, bins[0].observed) == (0.025, 0.5)
    assert (bins[1].promised, bins[1].observed) == (None, None)


def test_the_calibration_error_weighs_each_bin_by_its_texts():
    bins = reliability(np.array([0.95, 0.95, 0.95, 0.15]), np.array([True, True, True, True]))
    assert calibration_error(bins) == pytest.approx((3 * 0.05 + 0.85) / 4)


def test_no_texts_have_no_calibration_error():
    assert calibration_error(reliability(np.array([]), np.array([], dtype=bool))) is None


def test_a_share_of_few_is_known_less_well_than_a_share_of_many():
    assert wilson(5, 10) == pytest.approx((0.2366, 0.7634), abs=1e-4)
    assert wilson(500, 1000) == pytest.approx((0.4691, 0.5309), abs=1e-4)
    assert wilson(0, 0) == (0, 1)


@settings(deadline=None)
@given(st.integers(1, 500).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_the_interval_holds_the_share_it_is_about(pair):
    low, high = wilson(*pair)
    assert 0 <= low <= pair[0] / pair[1] + 1e-12
    assert pair[0] / pair[1] - 1e-12 <= high <= 1


def test_a_learning_curve_begins_where_both_classes_were_seen_and_ends_with_all():
    is_spam = np.array([False] * 50 + [True, False] * 75)
    scores = np.where(is_spam, 0.8, 0.2)
    scores[50] = 0.1  # a spam that was missed while nothing was known
    mails, area = learning_curve(scores, is_spam, points=20)
    assert mails[0] > 50
    assert mails[-1] == 200
    assert area[0] == 100 or area[0] > area[-1] > 0
