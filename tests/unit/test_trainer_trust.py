"""Whose labels train, and how many of one person's or sender's."""

import random
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from filterd.store.labels import Label
from trainer.trust import Trust, accept, capped, share_of

NOON = datetime(2026, 11, 26, 12, tzinfo=UTC)


def labels(*said, task="spam"):
    """Labels as "who:what"."""
    found = [one.split(":") for one in said]
    return [
        Label(number, "M", task, label, by, "slack", NOON, None, None)
        for number, (by, label) in enumerate(found, start=1)
    ]


def outcome(trust, *said):
    found = accept(labels(*said), trust)["spam"]
    return found if isinstance(found, str) else f"{found.by}:{found.label}"


@pytest.mark.parametrize(
    ("trust", "said", "wanted"),
    [
        (Trust(), ["ann:spam"], "ann:spam"),
        (Trust(), ["ann:spam", "bob:ham"], "disputed"),
        (Trust(), ["ann:spam", "bob:ham", "carl:ham"], "disputed"),
        (Trust(quorum=2), ["ann:spam"], "quorum"),
        (Trust(quorum=2), ["ann:spam", "bob:spam"], "ann:spam"),
        (Trust(trusted=frozenset({"ann"})), ["ann:spam"], "ann:spam"),
        (Trust(trusted=frozenset({"ann"})), ["bob:spam"], "quorum"),
        (Trust(trusted=frozenset({"ann"})), ["bob:spam", "carl:spam"], "bob:spam"),
        (Trust(trusted=frozenset({"ann"})), ["ann:spam", "bob:ham"], "disputed"),
        (Trust(distrusted=frozenset({"ann"})), ["ann:spam"], "distrusted"),
        (Trust(distrusted=frozenset({"ann"})), ["ann:spam", "bob:ham"], "bob:ham"),
    ],
)
def test_whose_label_counts(trust, said, wanted):
    assert outcome(trust, *said) == wanted


def test_tasks_are_accepted_apart():
    found = accept(
        [*labels("ann:spam"), *labels("ann:negative", "bob:positive", task="sentiment")], Trust()
    )
    assert found["sentiment"] == "disputed"
    assert found["spam"].label == "spam"


@given(st.lists(st.sampled_from("abc"), max_size=60), st.integers(1, 10))
def test_nobody_has_more_than_the_cap_and_order_stays(who, most):
    items = list(enumerate(who))
    kept, over = capped(items, lambda item: item[1], most, random.Random(1))
    assert sorted(kept + over) == items
    assert kept == sorted(kept)
    for one in "abc":
        given_by = sum(by == one for _, by in items)
        assert sum(by == one for _, by in kept) == min(given_by, most)


def test_a_share_of_few_is_one():
    assert (share_of(0.1, 3), share_of(0.5, 101)) == (1, 50)
