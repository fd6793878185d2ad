import json

import pytest
from tiny_bundle import make_tiny_bundle

from filterd.model.encoder import Encoder
from filterd.pipeline import judge
from filterd.policy import Policy
from trainer.feedback import Feedback, parse_feedback
from trainer.replay import Replayed, Score, replay, summarize
from trainer.stream import read_index


@pytest.fixture(scope="module")
def encoder(tmp_path_factory):
    return Encoder(make_tiny_bundle(tmp_path_factory.mktemp("bundle") / "tiny"))


def stream(folder, mails):
    """An INDEX of (label, message) pairs, read."""
    lines = []
    for number, (label, raw) in enumerate(mails):
        (folder / f"inmail.{number}").write_bytes(raw)
        lines.append(f"{label} inmail.{number}")
    (folder / "index").write_text("\n".join(lines))
    return read_index(folder / "index")


def score_of(*pairs):
    score = Score()
    for label, spam in pairs:
        score.add(Replayed("inmail.1", label, spam, taught=False))
    return score


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("none", Feedback()),
        ("immediate", Feedback("immediate")),
        ("delayed:1000", Feedback("delayed", 1000)),
        ("active:25", Feedback("active", 25)),
    ],
)
def test_feedback_is_read_as_it_is_written(typed, meant):
    assert parse_feedback(typed) == meant
    assert str(meant) == typed


@pytest.mark.parametrize(
    "typed", ["", "all", "delayed", "delayed:", "delayed:0", "active:-1", "active:x", "none:1", "immediate:", "delayed:²"]
)  # fmt: skip
def test_feedback_that_is_none_of_the_four_is_refused(typed):
    with pytest.raises(ValueError, match="is not none|immediate|delayed:N|active:N"):
        parse_feedback(typed)


def test_every_mail_is_judged_as_serving_would_in_the_order_of_the_index(encoder, tmp_path):
    mails = [
        ("spam", b"Subject: lottery\n\nyou won the lottery\n"),
        ("ham", b"Subject: minutes\n\nthe minutes\n"),
        ("spam", b"Subject: casino\n\nthe casino lottery\n"),
    ] * 20
    found = list(replay(stream(tmp_path, mails), encoder, threads=3))
    served = [one.spam for one in judge([raw for _, raw in mails], encoder, Policy())]
    assert [each.spam for each in found] == served
    assert [each.path for each in found] == [f"inmail.{number}" for number in range(60)]


@pytest.mark.parametrize(
    "raw", [b"", b"\x00" * 999, b"Content-Type: multipart/mixed; boundary=b\n\n--b\n--b\n" * 50, b"\xff\xfe: \r\r\n"]
)  # fmt: skip
def test_a_broken_mail_is_judged_like_any_other(encoder, tmp_path, raw):
    (found,) = replay(stream(tmp_path, [("ham", raw)]), encoder, threads=1)
    assert 0 <= found.spam <= 1


def test_a_line_holds_what_the_contract_says():
    fields = Replayed("a/1", "ham", 0.25, taught=False).fields()
    assert fields == {"path": "a/1", "label": "ham", "spam": 0.25, "taught": False}


def test_the_summary_counts_mistakes_at_the_bundles_threshold(encoder):
    score = score_of(("ham", 0.1), ("ham", 0.95), ("spam", 0.9), ("spam", 0.89))
    found = summarize(score, encoder.bundle, 2.0)
    assert (found["messages"], found["ham"], found["spam"]) == (4, 2, 2)
    assert found["threshold"] == 0.9
    assert (found["false_positives"], found["false_negatives"], found["accuracy"]) == (1, 1, 0.5)
    assert found["messages_per_second"] == 2.0


def test_the_summary_has_the_measures_of_trecs_spam_track(encoder):
    score = score_of(("ham", 0.1), ("ham", 0.4), ("spam", 0.35), ("spam", 0.8))
    found = summarize(score, encoder.bundle, 1.0)
    assert found["one_minus_roca_percent"] == 25.0
    assert found["recall_at_0.1_percent_fpr"] == 0.5
    assert found["lam_percent"] == pytest.approx(50.0)  # no ham wrong, no spam right
    json.dumps(found)


def test_a_stream_of_one_class_has_no_measure_of_both(encoder):
    found = summarize(score_of(("ham", 0.1)), encoder.bundle, 1.0)
    assert found["one_minus_roca_percent"] is None
    assert found["lam_percent"] is None
    assert found["accuracy"] == 1.0
