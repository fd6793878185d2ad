"""What is said to have led to a verdict: parts of the text, and what the learner goes by."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lessons import both_kinds, evidence
from tiny_bundle import make_tiny_bundle

from filterd.learner.explain import reasons
from filterd.learner.features import Evidence, features
from filterd.learner.local import LocalModel
from filterd.model.encoder import Encoder
from filterd.model.explain import MOST_PARTS, explain, split

TEXT = (
    "Good news\nfrom: Ann shop.example\nlinks: a.example\n\n"
    "The minutes are attached as always. You won the lottery of our town! See you on Tuesday then."
)


@pytest.fixture(scope="module")
def encoder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bundle") / "tiny"
    return Encoder(make_tiny_bundle(folder, max_tokens=256))


def test_a_text_falls_into_its_fields_and_sentences():
    assert [(kind, part.strip()) for kind, part in split(TEXT)] == [
        ("subject", "Good news"),
        ("from", "from: Ann shop.example"),
        ("links", "links: a.example"),
        ("text", "The minutes are attached as always."),
        ("text", "You won the lottery of our town!"),
        ("text", "See you on Tuesday then."),
    ]


@given(st.text(alphabet="ab .!?\n:from", max_size=400))
def test_no_letter_is_lost_and_the_parts_are_bounded(text):
    parts = split(text)
    assert "".join(part for _, part in parts) == text
    assert len(parts) <= MOST_PARTS + text.partition("\n\n")[0].count("\n") + 1


def test_the_sentence_that_makes_it_spam_counts_most(encoder):
    first, *rest = explain(encoder, TEXT)
    assert first.text == "You won the lottery of our town!"
    assert first.odds > 3.0
    assert all(abs(part.odds) < 1.0 for part in rest)


def test_a_text_of_nothing_is_explained_by_nothing(encoder):
    assert explain(encoder, "") == []


def learnt():
    model = LocalModel()
    for each in both_kinds(20):
        model.teach(0.0, each.clues.features, each.label)
    return model


def test_the_learner_speaks_in_words_and_all_adds_up_to_its_margin():
    model, found = learnt(), evidence(99, "watch")
    everything = reasons(model, found, most=10_000)
    assert sum(each.odds for each in everything) == pytest.approx(
        model.margin(features(found)), abs=1e-3
    )
    names = {each.what for each in everything}
    assert {"“watch”", "how subject is written", "sender: watcher watch.example"} <= {
        name.lower() for name in names
    }


def test_the_strongest_reasons_come_first():
    found = reasons(learnt(), evidence(99, "watch"), most=5)
    assert len(found) == 5
    strengths = [abs(each.odds) for each in found]
    assert strengths == sorted(strengths, reverse=True)
    assert all(each.odds > 0 for each in found)


@given(st.binary(max_size=200), st.text(max_size=200))
def test_any_mail_can_be_explained(head, text):
    found = Evidence(head, text)
    total = sum(each.odds for each in reasons(MODEL, found, most=10_000))
    assert total == pytest.approx(MODEL.margin(features(found)), abs=1e-3)


MODEL = learnt()
