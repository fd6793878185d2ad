"""What the learner sees of a mail."""

import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from filterd.learner.features import (
    BUCKETS,
    HEAD_BYTES,
    Evidence,
    features,
    field_names,
    grams,
    head_of,
    marks,
    network_of,
    pack,
    unpack,
    words,
)

RAW = b"""Received: from a.example
 by b.example; Tue, 4 Jan 2022 10:00:00 +0100
X-Spam-Status: Yes, score=9
 tests=BAYES_99
From: Ann <ann@shop.example>
Subject: Watches

Buy them now.
"""
TEXT = "Watches\nfrom: Ann shop.example\nlinks: a.example, b.example\n\nBuy them now."


def test_a_head_has_no_verdicts_of_other_filters():
    head = head_of(RAW)
    assert b"X-Spam" not in head
    assert b"BAYES" not in head
    assert head.endswith(b"Subject: Watches\n\nBuy them now.\n")
    assert field_names(head) == ["received", "from", "subject"]


def test_a_head_is_bounded_and_keeps_verdict_like_lines_of_the_body():
    assert len(head_of(b"Subject: x\n\n" + b"y" * 10**6)) == HEAD_BYTES
    assert head_of(b"Subject: x\r\n\r\nX-Spam-Flag: YES\n").endswith(b"X-Spam-Flag: YES\n")


def test_words_hash_alike_wherever_they_stand():
    assert set(words("buy cheap watches").tolist()) <= set(
        words("now, BUY cheap watches!").tolist()
    )
    assert set(words("watches cheap").tolist()) != set(words("cheap watches").tolist())


def test_pairs_tell_the_order_of_words():
    one, other = (set(words(text).tolist()) for text in ("cheap watches", "watches cheap"))
    assert len(one & other) == 2
    assert len(one) == len(other) == 3


def test_marks_are_words_that_a_person_understands():
    found = list(marks(Evidence(head_of(RAW), TEXT, "Mail.example", "192.0.2.7")))
    assert found == [
        "header: start, then received",
        "header: received, then from",
        "header: from, then subject",
        "header: subject, then end",
        "sender: Ann shop.example",
        "sender's domain: shop.example",
        "link to a.example",
        "link to b.example",
        "client calls itself mail.example",
        "client's network: 192.0.2",
    ]


def test_networks_are_what_a_site_is_given():
    assert network_of("192.0.2.77") == network_of("192.0.2.8")
    assert network_of("2001:db8:1:2::3") == network_of("2001:db8:1:9::1") == "2001:db8:1"


@settings(max_examples=200)
@given(st.binary(max_size=300), st.text(max_size=300), st.text(max_size=20), st.text(max_size=20))
def test_no_mail_breaks_the_features(raw, text, helo, address):
    found = features(Evidence(head_of(raw), text, helo, address))
    assert np.all(np.diff(found.buckets) > 0)
    assert not len(found.buckets) or (found.buckets.min() >= 0 and found.buckets.max() < BUCKETS)
    assert len(found.values) == len(found.buckets)


def test_a_mail_of_nothing_has_only_the_marks_of_its_bare_header():
    assert len(grams(b"abc")) == len(words("")) == 0
    assert len(features(Evidence(b"", "")).buckets) == 1


@given(st.binary(max_size=5000))
def test_a_head_comes_back_from_its_record(raw):
    packed = pack(head_of(raw))
    assert len(packed) <= 4000
    assert unpack(packed) == head_of(raw)


def test_a_damaged_record_is_said_to_be_one():
    with pytest.raises(ValueError, match="not a packed head"):
        unpack(b"damaged")


def test_a_record_cannot_unfold_into_more_than_a_head():
    assert len(unpack(zlib.compress(bytes(10**6)))) == HEAD_BYTES
