"""The shipped bundle on mail that it was never trained on; the figures are floors, not aims."""

import csv
from pathlib import Path

import pytest

from filterd.model.bundle import SHIPPED
from filterd.model.encoder import open_encoder
from filterd.pipeline import read

GOLDEN = Path(__file__).resolve().parents[1] / "data" / "golden"


@pytest.fixture(scope="module")
def judged():
    """Label, score and sentiment of each mail: (true spam, spam score, true mood, found mood)."""
    encoder = open_encoder(SHIPPED)
    moods = next(task.labels for task in encoder.bundle.tasks if task.name == "sentiment")
    with (GOLDEN / "labels.tsv").open(encoding="utf-8", newline="") as table:
        rows = list(csv.DictReader(table, delimiter="\t"))
    texts = [read((GOLDEN / row["path"]).read_bytes()).text for row in rows]
    return encoder.bundle.threshold("spam"), [
        (
            row["spam"] == "spam",
            scores.tasks["spam"][1],
            row["sentiment"],
            moods[max(range(len(moods)), key=scores.tasks["sentiment"].__getitem__)],
        )
        for row, scores in zip(rows, encoder.encode(texts), strict=True)
    ]


def test_no_wanted_mail_is_above_the_threshold(judged):
    threshold, mails = judged
    above = sum(score >= threshold for is_spam, score, *_ in mails if not is_spam)
    assert above == 0


def test_six_in_ten_spams_are_above_the_threshold(judged):
    threshold, mails = judged
    scores = [score for is_spam, score, *_ in mails if is_spam]
    assert sum(score >= threshold for score in scores) / len(scores) > 0.6


def test_spam_scores_above_wanted_mail_nine_times_in_ten(judged):
    _, mails = judged
    spam = [score for is_spam, score, *_ in mails if is_spam]
    ham = [score for is_spam, score, *_ in mails if not is_spam]
    assert sum(one > other for one in spam for other in ham) / len(spam) / len(ham) > 0.9


def test_the_mood_of_wanted_mail_is_right_three_times_in_four(judged):
    _, mails = judged
    right = [wanted == found for is_spam, _, wanted, found in mails if not is_spam]
    assert sum(right) / len(right) > 0.75
