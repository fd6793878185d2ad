import numpy as np
import pytest

pytest.importorskip("torch")

from filterd.learner.local import log_odds
from trainer.dataset import Example
from trainer.sharpness import MOST_CHANGE, Aim, temperature_for

pytestmark = pytest.mark.trainer

HAM, SPAM = (Example(("text",), {"spam": each}, "golden", "test", each) for each in ("ham", "spam"))
WANTED = log_odds(0.99)


def temperature_of(odds, spam, before=1.0, golden=(), ham=(), flagged=(), threshold=0.99):
    """`golden` are the log odds of its spams, `ham` those of its hams; both may be `flagged`."""
    texts = [*[SPAM] * len(golden), *[HAM] * len(ham)]
    marks = np.array([*flagged] if len(flagged) else [False] * len(texts), dtype=bool)
    return temperature_for(
        Aim([SPAM] * len(odds), spam, threshold, texts),
        logits_of(odds),
        logits_of([*golden, *ham]),
        marks,
        before,
    )


def logits_of(odds):
    return np.stack([np.zeros(len(odds)), np.asarray(odds, dtype=float)], axis=1)


def reaching(odds, temperature):
    return int((np.asarray(odds) / temperature >= WANTED).sum())


def test_as_many_reach_the_threshold_as_the_site_takes_for_spam():
    odds = np.linspace(-12, 9, 100)
    temperature = temperature_of(odds, 30)
    assert reaching(odds, temperature) == 30
    assert temperature < 1.0


def test_a_candidate_that_is_too_sure_is_cooled():
    odds = np.linspace(-12, 15, 100)
    temperature = temperature_of(odds, 25)
    assert reaching(odds, temperature) == 25
    assert temperature > 1.0


def test_what_the_champion_flags_of_the_golden_set_counts_as_well():
    odds, golden = np.linspace(-12, 5, 20), np.linspace(-4, 10, 40)
    temperature = temperature_of(odds, 1, golden=golden, flagged=[False] * 15 + [True] * 25)
    assert reaching([*odds, *golden], temperature) == 26


@pytest.mark.parametrize("before", [0.7, 1.0, 1.3])
def test_where_there_is_room_nothing_changes(before):
    odds = [*np.linspace(8, 12, 30), *np.linspace(-12, 2, 70)]
    assert temperature_of(odds, 30, before) == before


@pytest.mark.parametrize("spam", [0, 19, 100])
def test_too_few_of_a_kind_change_nothing(spam):
    assert temperature_of(np.linspace(-8, 5, 100), spam, 0.8) == 0.8


def test_at_even_odds_no_temperature_changes_a_verdict():
    assert temperature_of(np.linspace(-8, 5, 100), 30, 0.8, threshold=0.5) == 0.8


def test_it_stays_within_bounds():
    assert temperature_of([-9.0] * 100, 30) == 1 / MOST_CHANGE
    assert temperature_of([90.0] * 100, 30) == MOST_CHANGE


@pytest.mark.parametrize("flagged", [0, 1, 2])
def test_no_more_good_mail_is_flagged_than_before(flagged):
    odds, ham = np.linspace(-8, 6, 100), [5.0, 4.8, 1.0]
    marks = [number < flagged for number in range(3)]
    temperature = temperature_of(odds, 30, ham=ham, flagged=marks)
    assert reaching(ham, temperature) <= flagged
    assert temperature >= temperature_of(odds, 30)


def test_good_mail_counts_even_where_recent_spam_is_rare():
    assert temperature_of(np.linspace(-8, 5, 100), 3, ham=[6.0]) > 1.0
