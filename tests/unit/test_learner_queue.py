"""Which mails are worth a question."""

import random
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from filterd.learner.queue import Candidate, choose, is_worth_asking

EVEN = {"ham": 10, "spam": 10}


def candidate(number, spam=0.001, bert=None, similarity=0.9):
    return Candidate(f"id{number}", spam, spam if bert is None else bert, 0.9, similarity)


def asked(candidates, budget, seed=1):
    return choose(candidates, budget, random.Random(seed))


def by_reason(questions, reason):
    return {question.id for question in questions if question.reason == reason}


def test_doubtful_mail_is_asked_about_and_sure_mail_is_not():
    assert is_worth_asking(0.5, EVEN)
    assert not is_worth_asking(0.0001, EVEN)
    assert not is_worth_asking(0.9999, EVEN)


def test_after_much_spam_what_looks_like_ham_is_worth_more():
    labels = {"ham": 0, "spam": 40}
    assert is_worth_asking(0.01, labels)
    assert not is_worth_asking(0.5, labels)


def test_each_reason_has_its_mails():
    sure = [candidate(number, random.Random(number).choice([0.001, 0.999])) for number in range(60)]
    doubtful = [candidate(100 + number, 0.9 - number / 1000) for number in range(10)]
    disputed = [candidate(200 + number, 0.99, bert=0.01) for number in range(6)]
    new = [candidate(300 + number, similarity=0.0) for number in range(2)]
    found = asked(sure + doubtful + disputed + new, 20)
    assert len(found) == 20
    assert len(by_reason(found, "disputed") & {one.id for one in disputed}) >= 5
    assert len(by_reason(found, "doubtful") & {one.id for one in doubtful}) >= 7
    assert by_reason(found, "new") <= {one.id for one in new}
    assert len(by_reason(found, "random")) == 4


def test_the_random_ones_are_of_either_verdict():
    mails = [candidate(number) for number in range(900)]
    mails += [candidate(1000 + number, 0.999) for number in range(100)]
    random_ones = by_reason(asked(mails, 40), "random")
    assert Counter(int(one[2:]) >= 1000 for one in random_ones) == {True: 4, False: 4}


@given(
    st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1), st.floats(0, 1)), max_size=60),
    st.integers(0, 40),
)
def test_the_budget_is_kept_and_used_and_nobody_is_asked_twice(scores, budget):
    mails = [
        Candidate(str(number), spam, bert, 0.9, near)
        for number, (spam, bert, near) in enumerate(scores)
    ]
    found = [question.id for question in asked(mails, budget)]
    assert len(found) == len(set(found)) == min(budget, len(mails))


@pytest.mark.parametrize("seed", [1, 2])
def test_the_same_chance_asks_the_same(seed):
    mails = [candidate(number, number / 100) for number in range(100)]
    assert asked(mails, 10, seed) == asked(mails, 10, seed)
