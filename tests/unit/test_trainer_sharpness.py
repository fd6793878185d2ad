import numpy as np
import pytest

pytest.importorskip("torch")

from filterd.learner.local import log_odds
from trainer.dataset import Example
from trainer.sharpness import MOST_CHANGE, Aim, temperature_for

pytestmark = pytest.mark.trainer

TEXT = Example(("text",), {}, "replayed", "validation", "group")


def aim_of(spam, texts=100, threshold=0.99):
    return Aim([TEXT] * texts, spam, threshold)


def temperature_of(odds, aim, before=1.0, ham=(), flagged=0):
    return temperature_for(aim, logits_of(odds), logits_of(ham), flagged, before)


def logits_of(odds):
    return np.stack([np.zeros(len(odds)), np.asarray(odds, dtype=float)], axis=1)


def test_as_many_reach_the_threshold_as_the_site_takes_for_spam():
    odds = np.linspace(-12, 9, 100)
    temperature = temperature_of(odds, aim_of(30), 1.0)
    assert ((odds / temperature) >= log_odds(0.99)).sum() == 30
    assert temperature < 1.0


def test_a_candidate_that_is_too_sure_is_cooled():
    odds = np.linspace(-12, 15, 100)
    temperature = temperature_of(odds, aim_of(25), 1.0)
    assert ((odds / temperature) >= log_odds(0.99)).sum() == 25
    assert temperature > 1.0


@pytest.mark.parametrize("spam", [0, 19, 100])
def test_too_few_of_a_kind_change_nothing(spam):
    odds = np.linspace(-8, 5, 100)
    assert temperature_of(odds, aim_of(spam), 0.8) == 0.8


def test_at_even_odds_no_temperature_changes_a_verdict():
    odds = np.linspace(-8, 5, 100)
    assert temperature_of(odds, aim_of(30, threshold=0.5), 0.8) == 0.8


def test_it_stays_within_bounds():
    assert temperature_of([-9.0] * 100, aim_of(30)) == 1 / MOST_CHANGE
    assert temperature_of([90.0] * 100, aim_of(30)) == MOST_CHANGE


def test_no_more_good_mail_is_flagged_than_before():
    odds, ham = np.linspace(-8, 6, 100), np.array([5.0, 4.0, 1.0])
    free = temperature_of(odds, aim_of(30))
    for flagged in (0, 1, 2):
        temperature = temperature_of(odds, aim_of(30), ham=ham, flagged=flagged)
        assert temperature >= free
        assert ((ham / temperature) >= log_odds(0.99)).sum() <= flagged


def test_good_mail_counts_even_where_recent_spam_is_rare():
    temperature = temperature_of(np.linspace(-8, 5, 100), aim_of(3), 1.0, np.array([6.0]))
    assert temperature > 1.0
