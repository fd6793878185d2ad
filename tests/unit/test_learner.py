"""Features and the local model: what a label changes, and what it leaves alone."""

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
    words,
)
from filterd.learner.local import HALF_TRUST, LocalModel

RAW = b"""Received: from a.example
 by b.example; Tue, 4 Jan 2022 10:00:00 +0100
X-Spam-Status: Yes, score=9
 tests=BAYES_99
From: Ann <ann@shop.example>
Subject: Watches

Buy them now.
"""
TEXT = "Watches\nfrom: Ann shop.example\nlinks: a.example, b.example\n\nBuy them now."


def evidence(number, kind):
    """The number-th mail of a kind: alike in most words, each with some of its own."""
    text = f"{kind} {kind}s of the week\nfrom: {kind}er {kind}.example\n\nnumber {number} {kind}"
    return Evidence(f"Subject: {kind} {number}\n\n{text}".encode(), text)


def taught(*labels):
    """A model taught (evidence, label) pairs by a BERT that has no opinion."""
    model = LocalModel()
    for found, label in labels:
        model.teach(0.5, features(found), label)
    return model


def both_kinds(count):
    return [
        (evidence(number, kind), label)
        for number in range(count)
        for kind, label in (("watch", "spam"), ("minute", "ham"))
    ]


# --- features


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


# --- the model


@given(st.floats(0, 1))
def test_an_untaught_site_gets_the_berts_word_to_the_last_bit(spam):
    assert LocalModel().judge(spam, features(evidence(1, "watch"))) == spam


def test_one_class_alone_changes_nothing():
    model = taught(*((evidence(number, "watch"), "spam") for number in range(50)))
    assert model.judge(0.3, features(evidence(99, "minute"))) == 0.3


def test_labels_carry_over_to_mail_of_the_same_kind():
    model = taught(*both_kinds(HALF_TRUST))
    assert model.judge(0.5, features(evidence(99, "watch"))) > 0.8
    assert model.judge(0.5, features(evidence(99, "minute"))) < 0.2


def test_it_learns_against_the_bert():
    model = LocalModel()
    for found, label in both_kinds(40):
        model.teach(0.02 if label == "spam" else 0.98, features(found), label)
    assert model.judge(0.02, features(evidence(99, "watch"))) > 0.5
    assert model.judge(0.98, features(evidence(99, "minute"))) < 0.5


def test_the_same_labels_give_the_same_model():
    found = features(evidence(99, "watch"))
    assert taught(*both_kinds(20)).margin(found) == taught(*both_kinds(20)).margin(found)


@pytest.mark.parametrize("spam", [0.0, 1.0])
def test_a_bert_that_is_certain_can_still_be_taught(spam):
    model = LocalModel()
    for found, label in both_kinds(20):
        model.teach(spam, features(found), label)
    assert 0 < model.judge(spam, features(evidence(99, "watch"))) < 1
