"""Fingerprints: the same campaign is near, everything else far."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from filterd.learner.fingerprint import (
    BITS,
    FIRST_ROOM,
    MOST_DISTANCE,
    LabelledTexts,
    distance,
    fingerprint,
)

CAMPAIGN = (
    "Your parcel is waiting\nfrom: {sender}\nlinks: {host}\n\nDear {name}, your parcel {number} could"
    " not be delivered since the shipping fee of {number} euro is unpaid. Please confirm your address"
    " and pay the fee within two days, or it will be sent back. Kind regards, your parcel service"
)
OTHER = (
    "Minutes of Tuesday\nfrom: Ann example.org\n\nHello all, attached are the minutes of our meeting"
    " on Tuesday. Bob will write to the printer, Carol asks for a second offer. Next time we talk"
    " about the summer party. See you all then, Ann"
)


def copy(number):
    chance = random.Random(number)
    letters = "abcdefghij"
    word = "".join(chance.choices(letters, k=7))
    return CAMPAIGN.format(
        sender=f"{word} shop.example",
        host=f"{word}.example",
        name=word,
        number=chance.randrange(999),
    )


def test_copies_of_a_campaign_are_near_each_other():
    first = fingerprint(copy(0))
    assert all(distance(first, fingerprint(copy(number))) < 40 for number in range(1, 50))


def test_other_mail_is_far():
    assert distance(fingerprint(copy(0)), fingerprint(OTHER)) > MOST_DISTANCE + 20


def test_sender_links_figures_and_case_do_not_count():
    other = (
        copy(0).replace("from: ", "from: Someone Else ").replace("links: ", "links: x.example, ")
    )
    assert distance(fingerprint(copy(0)), fingerprint(other.upper())) < 3


def test_a_text_of_few_words_has_none():
    assert fingerprint("Hello\nfrom: Ann\n\ntoo few words") is None
    assert fingerprint("") is None


@given(st.text(max_size=300))
def test_any_text_is_at_no_distance_from_itself(text):
    found = fingerprint(text)
    assert found is None or distance(found, found) == 0


def test_the_nearest_labelled_text_is_found_and_the_newest_of_equals():
    texts = LabelledTexts()
    texts.add(fingerprint(OTHER), "ham", 1, at=10.0)
    texts.add(fingerprint(copy(1)), "ham", 2, at=11.0)
    texts.add(fingerprint(copy(1)), "spam", 3, at=12.0)
    near = texts.nearest(fingerprint(copy(2)), since=0.0)
    assert (near.label_id, near.label) == (3, "spam")
    assert near.distance < 40
    assert near.similarity == pytest.approx(1.0, abs=0.15)


def test_what_is_older_than_asked_for_is_not_found():
    texts = LabelledTexts()
    texts.add(fingerprint(copy(1)), "spam", 1, at=10.0)
    assert texts.nearest(fingerprint(copy(2)), since=10.5) is None


def test_nothing_is_near_where_nothing_is_labelled():
    assert LabelledTexts().nearest(fingerprint(OTHER), since=0.0) is None


def test_there_is_room_for_more():
    texts = LabelledTexts()
    for number in range(2 * FIRST_ROOM + 1):
        texts.add(
            fingerprint(OTHER) if number == 7 else fingerprint(copy(number)), "ham", number, 0.0
        )
    assert texts.nearest(fingerprint(OTHER), since=0.0).label_id == 7


def test_texts_without_relation_differ_in_half_of_the_bits():
    chance = random.Random(1)
    words = ["".join(chance.choices("abcdefghijklmnop", k=6)) for _ in range(4000)]
    found = [fingerprint(" ".join(chance.sample(words, 60))) for _ in range(30)]
    mean = sum(distance(one, other) for one, other in zip(found, found[1:])) / 29
    assert abs(mean - BITS / 2) < 12
