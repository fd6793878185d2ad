from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("torch")

from filterd.learner.local import log_odds
from trainer.dataset import Example
from trainer.sharpness import MOST_CHANGE, Aim, temperature_for

pytestmark = pytest.mark.trainer

HAM, SPAM = (Example(("text",), {"spam": each}, "golden", "test", each) for each in ("ham", "spam"))
WANTED = log_odds(0.99)


def recent(spam, ham):
    """Recent mails: so many that the site takes for spam, and so many that it does not."""
    return [
        Example(("text",), {}, "replayed", "validation", "", belief=belief)
        for belief in [0.6] * spam + [0.4] * ham
    ]


def temperature_of(odds, flagged, before=1.0, *, spam=None, golden=(), ham=(), threshold=0.99):
    """`odds` are the candidate's log odds of recent mails, the first `flagged` of which the champion
    flags and the first `spam` of which the site takes for spam, as many if nothing is said.
    `golden` and `ham` are spams and hams of the golden set: log odds, and whether it is flagged.
    """
    spam = flagged if spam is None else spam
    texts = [SPAM] * len(golden) + [HAM] * len(ham)
    marks = [number < flagged for number in range(len(odds))]
    marks += [mark for _, mark in [*golden, *ham]]
    odds = [*odds, *(each for each, _ in [*golden, *ham])]
    return temperature_for(
        Aim(recent(spam, len(odds) - len(texts) - spam), texts, threshold),
        np.where(marks, 0.995, 0.2),
        np.stack([np.zeros(len(odds)), np.asarray(odds, dtype=float)], axis=1),
        before,
    )


def reaching(odds, temperature):
    return int((np.asarray(odds) / temperature >= WANTED).sum())


def test_as_many_reach_the_threshold_as_with_the_champion():
    odds = np.linspace(-12, 9, 100)[::-1]
    temperature = temperature_of(odds, 30)
    assert reaching(odds, temperature) == 30
    assert temperature < 1.0


def test_a_candidate_that_is_too_sure_is_cooled():
    odds = np.linspace(-12, 15, 100)
    temperature = temperature_of(odds, 25)
    assert reaching(odds, temperature) == 25
    assert temperature > 1.0


@pytest.mark.parametrize(("spam", "reached"), [(60, 40), (40, 40), (38, 40), (37, 37), (25, 25)])
def test_but_no_more_than_the_site_takes_for_spam_beyond_chance(spam, reached):
    odds = np.linspace(-12, 15, 100)
    assert reaching(odds, temperature_of(odds, 40, spam=spam)) == reached


def test_what_the_champion_flags_of_the_golden_set_counts_as_well():
    odds = np.linspace(-12, 5, 20)
    golden = [(each, number >= 15) for number, each in enumerate(np.linspace(-4, 10, 40))]
    temperature = temperature_of(odds, 1, golden=golden)
    assert reaching([*odds, *(each for each, _ in golden)], temperature) == 26


@pytest.mark.parametrize("before", [0.7, 1.0, 1.3])
def test_where_there_is_room_nothing_changes(before):
    odds = [*np.linspace(8, 12, 30), *np.linspace(-12, 2, 70)]
    assert temperature_of(odds, 30, before) == before


@pytest.mark.parametrize("flagged", [0, 19, 100])
def test_too_few_of_a_kind_change_nothing(flagged):
    assert temperature_of(np.linspace(-8, 5, 100), flagged, 0.8) == 0.8


def test_without_recent_mail_the_golden_set_alone_says():
    golden = [(each, number >= 15) for number, each in enumerate(np.linspace(-4, 14, 40))]
    assert reaching([each for each, _ in golden], temperature_of([], 0, golden=golden)) == 25


def test_of_mail_that_the_site_knows_nothing_of_the_champion_says():
    odds = np.linspace(-12, 9, 100)
    aim = Aim([replace(each, belief=None) for each in recent(30, 70)], threshold=0.99)
    champion = np.where(np.arange(100) < 30, 0.995, 0.2)
    logits = np.stack([np.zeros(100), odds], axis=1)
    assert reaching(odds, temperature_for(aim, champion, logits, 1.0)) == 30


def test_at_even_odds_no_temperature_changes_a_verdict():
    assert temperature_of(np.linspace(-8, 5, 100), 30, 0.8, threshold=0.5) == 0.8


def test_it_stays_within_bounds():
    assert temperature_of([-9.0] * 100, 30) == 1 / MOST_CHANGE
    assert temperature_of([90.0] * 100, 30) == MOST_CHANGE


@pytest.mark.parametrize("flagged", [0, 1, 2])
def test_no_more_good_mail_is_flagged_than_before(flagged):
    odds = np.linspace(-8, 6, 100)
    ham = [(each, number < flagged) for number, each in enumerate((5.0, 4.8, 1.0))]
    temperature = temperature_of(odds, 30, ham=ham)
    assert reaching([each for each, _ in ham], temperature) <= flagged
    assert temperature >= temperature_of(odds, 30)


def test_good_mail_counts_even_where_recent_spam_is_rare():
    assert temperature_of(np.linspace(-8, 5, 100), 3, ham=[(6.0, False)]) > 1.0
