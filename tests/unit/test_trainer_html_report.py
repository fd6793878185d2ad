"""The page of an evaluation, as a browser would take it apart."""

import re
from datetime import UTC, datetime
from html.parser import HTMLParser

import pytest
from tiny_bundle import make_tiny_bundle

from filterd.model.encoder import Encoder
from trainer.html_report import html_report
from trainer.judge import judge_corpora

HOSTILE = b"""Subject: <img src=x onerror=alert(1)> the minutes

</div><script>alert("casino")</script> the casino & the minutes
"""
MADE = datetime(2026, 11, 26, 8, 30, tzinfo=UTC)
VOID = {"meta", "br", "img", "link", "input"}


class Silent:
    def progress(self, name, done, total):
        pass


class Page(HTMLParser):
    """Collects tags, attributes and text; notes a tag that is closed out of turn."""

    def __init__(self, html):
        super().__init__()
        self.tags, self.attributes, self.open, self.crossed = [], [], [], []
        self.text = ""
        self.feed(html)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        if tag not in VOID:
            self.open.append(tag)
        if tag in {"td", "th", "small"}:
            self.text += " "

    def handle_startendtag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]

    def handle_endtag(self, tag):
        if self.open.pop() != tag:
            self.crossed.append(tag)

    def handle_data(self, data):
        self.text += data


@pytest.fixture(scope="module")
def encoder(tmp_path_factory):
    return Encoder(make_tiny_bundle(tmp_path_factory.mktemp("bundle") / "tiny"))


def page_of(encoder, folder):
    judged = judge_corpora(encoder, folder, (), None, Silent())
    return html_report(judged, encoder.bundle, made=MADE, source=str(folder))


@pytest.fixture(scope="module")
def html(encoder, tmp_path_factory):
    """A report on four hams, one of them hostile and flagged, two spams, one of them missed."""
    folder = tmp_path_factory.mktemp("corpora")
    mails = {
        "ham/1.eml": HOSTILE,
        "ham/2.eml": b"Subject: Plans\n\nPlans for the garden, thanks for all of it\n",
        "ham/3.eml": b"Subject: Train\n\nThe train leaves at nine on Monday\n",
        "ham/4.eml": b"Subject: Lunch\n\n" + b"Lunch at the noodle place, as ever. " * 50,
        "spam/1.eml": b"Subject: Lottery\n\nYou won the lottery, claim it now\n",
        "spam/2.eml": b"Subject: Offer\n\nAn offer that you will not refuse\n",
    }
    for name, raw in mails.items():
        (folder / "mail" / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / "mail" / name).write_bytes(raw)
    (folder / "moods.jsonl").write_text(
        '{"text": "this is great, i love it", "label": "positive"}\n'
        '{"text": "terrible, i want a refund", "label": "negative"}\n'
    )
    return page_of(encoder, folder)


def test_the_page_is_well_formed(html):
    page = Page(html)
    assert (page.open, page.crossed) == ([], [])


def test_the_page_loads_nothing_and_runs_nothing(html):
    page = Page(html)
    assert {"script", "img", "link", "iframe", "object"}.isdisjoint(page.tags)
    for tag, name, value in page.attributes:
        assert not name.startswith("on"), (tag, name)
        if name in {"src", "href", "xlink:href"}:
            assert value.startswith("#"), (tag, name, value)
    assert not re.search(r"@import|url\((?!#)", html)
    assert "default-src 'none'" in html


def test_mail_is_shown_as_text_whatever_it_holds(html):
    page = Page(html)
    assert "<img src=x onerror=alert(1)> the minutes" in page.text
    assert '</div><script>alert("casino")</script> the casino & the minutes' in page.text


def test_the_worst_mistakes_come_with_score_file_and_language(html):
    ham, _, spam = Page(html).text.partition("Spam that looks most like ham")
    worst_ham = ham.rpartition("Ham that looks most like spam")[2]
    assert worst_ham.index("the casino") < worst_ham.index("Plans")
    assert "mail/ham/1.eml" in worst_ham
    assert spam.index("An offer") < spam.index("lottery")
    assert "not flagged en · " in spam


def test_a_long_mail_is_quoted_in_part(html):
    assert Page(html).text.count("noodle") < 10


def test_every_plot_is_there_with_a_sentence_on_what_it_means(html):
    assert re.findall(r'<svg [^>]*aria-label="([^"]+)"', html) == [
        "ROC curve",
        "Precision and recall",
        "Reliability diagram",
    ]
    assert html.count("<figcaption>") == 6


def test_verdicts_and_moods_are_counted(html):
    text = " ".join(Page(html).text.split())
    assert "ham 3 75.0% 1 25.0% spam 1 50.0% 1 50.0%" in text
    assert "negative 1 100.0%" in text


def test_tables_are_by_corpus_and_by_language(html):
    text = Page(html).text
    assert text.count("By corpus") == text.count("By language") == 2


def test_the_page_says_what_was_judged_and_when(html):
    text = Page(html).text
    assert "How well does bundle tiny.1 judge?" in text
    assert "26 November 2026, 08:30 UTC" in text
    assert "keep it as private as the mail itself" in text


def test_corpora_of_one_class_have_no_curve_and_say_so(encoder, tmp_path):
    (tmp_path / "kept.jsonl").write_text('{"text": "the minutes of today", "label": "ham"}\n')
    page = Page(page_of(encoder, tmp_path))
    assert "only ham or only spam" in page.text
    assert page.tags.count("svg") == 1


def test_corpora_without_ham_and_spam_are_judged_by_the_other_tasks(encoder, tmp_path):
    (tmp_path / "moods.jsonl").write_text('{"text": "great work, thanks", "label": "positive"}\n')
    page = Page(page_of(encoder, tmp_path))
    assert "svg" not in page.tags
    assert "Sentiment" in page.text
    assert "worst mistakes" not in page.text
