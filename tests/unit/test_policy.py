import pytest
from hypothesis import given
from hypothesis import strategies as st

from filterd.policy import Action, Policy, Verdict, spamassassin_score

probability = st.floats(0, 1)


def test_the_bundles_threshold_decides_unless_the_site_has_its_own():
    assert Policy().verdict(0.85, 0.9) is Verdict.HAM
    assert Policy().verdict(0.9, 0.9) is Verdict.SPAM
    assert Policy(spam_threshold=0.8).verdict(0.85, 0.9) is Verdict.SPAM


@pytest.mark.parametrize(
    ("mode", "spam", "action"),
    [
        ("tag", 1.0, Action.DELIVER),
        ("shadow", 1.0, Action.DELIVER),
        ("reject", 0.98, Action.DELIVER),
        ("reject", 0.999, Action.REJECT),
        ("quarantine", 0.95, Action.QUARANTINE),
    ],
)
def test_what_a_mode_does_with_spam(mode, spam, action):
    assert Policy(mode).action(Verdict.SPAM, spam) is action


@pytest.mark.parametrize("mode", ["tag", "shadow", "reject", "quarantine"])
@given(spam=probability)
def test_ham_is_always_delivered(mode, spam):
    assert Policy(mode).action(Verdict.HAM, spam) is Action.DELIVER


@given(spam=probability, threshold=st.floats(0.01, 1))
def test_spamassassins_five_is_our_threshold(spam, threshold):
    score = spamassassin_score(spam, threshold)
    assert 0 <= score <= 10
    assert (score >= 5.0) == (spam >= threshold) or abs(score - 5.0) < 1e-9


@given(threshold=st.floats(0.01, 1), scores=st.tuples(probability, probability))
def test_the_scale_keeps_the_order(threshold, scores):
    low, high = sorted(scores)
    assert spamassassin_score(low, threshold) <= spamassassin_score(high, threshold) + 1e-9
