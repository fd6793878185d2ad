"""What is told of a night: the page and its pictures, the line, the metrics, MLflow."""

import json
import re
import sys
import textwrap
from dataclasses import replace
from datetime import UTC, datetime
from html.parser import HTMLParser

import numpy as np
import pytest
from prometheus_client.parser import text_string_to_metric_families

from filterd.errors import SettingsError
from trainer.dataset import Example
from trainer.night_content import (
    Change,
    LabelCount,
    NightContent,
    changed_verdicts,
    count_labels,
    summary_line,
)
from trainer.night_metrics import textfile, write_textfile
from trainer.night_report import write_report
from trainer.night_rules import Rule
from trainer.scored import Scored, ScoredSets
from trainer.tracking import PATIENCE, require_mlflow, track

HOSTILE = '<img src=x onerror=alert(1)>"& \u202etxt'
VOID = {"meta", "br", "img", "link", "input"}
THRESHOLDS = (0.9, 0.9)
RULES = (
    Rule("golden_ham", True, 0, 0, "0 of 10 good mails of the golden set would be taken for spam"),
    Rule("newest_ham", True, None, None, "There was no good mail to judge by"),
    Rule("corrected", True, 5, 3, "Of 5 labels of corrected mails held out, 5 are judged right"),
    Rule("spam_caught", True, 0.875, 0.8, "87.5% of 8 spam mails are caught"),
)
TOO_MANY = Rule("golden_ham", False, 1, 0, "One more good mail would be taken for spam")


def scored(rows):
    """`rows`: label, champion's and candidate's score of spam."""
    examples = [
        Example(("a text",), {"spam": row[0]} if row[0] else {}, "", "test", "") for row in rows
    ]
    before, after = (
        {"spam": np.array([[1 - row[column], row[column]] for row in rows])} for column in (1, 2)
    )
    return Scored(examples, before, after)


GOLDEN = scored([("ham", 0.01, 0.02)] * 10 + [("spam", 0.95, 0.97)] * 7 + [("spam", 0.5, 0.4)])
CORRECTED = scored([("ham", 0.95, 0.3), ("spam", 0.2, 0.96), ("", 0.5, 0.99)])
CHANGES = changed_verdicts("corrected", CORRECTED, THRESHOLDS, ["01A", "01B", "01C"])
CONTENT = NightContent(
    run=12,
    state="promoted",
    reason="All 4 rules passed",
    made=datetime(2026, 11, 27, 3, 12, tzinfo=UTC),
    champion="2026-11-26.3",
    champion_created=datetime(2026, 11, 26, 9, tzinfo=UTC),
    candidate="2026-11-27.1",
    rules=RULES,
    sets=ScoredSets(golden=GOLDEN, corrected=CORRECTED),
    thresholds=THRESHOLDS,
    changes=CHANGES,
    labels=(
        LabelCount("Ana", 24, {"labeller cap": 5}),
        LabelCount("Bo", 10, {"disputed": 2}),
    ),
    seconds={"data": 3.0, "training": 2210.0, "gate": 37.0},
    data_digest="sha256:abcd",
    versions={"filterd": "0.1.0", "renderer": "3"},
)
SKIPPED = NightContent(
    run=13,
    state="skipped",
    reason="too few labels",
    made=CONTENT.made,
    champion="2026-11-27.1",
    champion_created=CONTENT.made,
)


class Page(HTMLParser):
    """Collects tags, attributes and text; notes a tag that is closed out of turn."""

    def __init__(self, html):
        super().__init__()
        self.tags, self.attributes, self.open, self.crossed = [], [], [], []
        self.text = ""
        self.feed(html)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.handle_startendtag(tag, attrs)
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        if tag in {"td", "th", "small", "h1", "h2", "h3", "tr", "b", "p"}:
            self.text += " "

    def handle_endtag(self, tag):
        if self.open.pop() != tag:
            self.crossed.append(tag)

    def handle_data(self, data):
        self.text += data


def page_of(folder, content=CONTENT):
    html = write_report(folder / "report", content)[0].read_text()
    page = Page(html)
    page.text = " ".join(page.text.split())
    return page


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    return write_report(tmp_path_factory.mktemp("night") / "reports" / "run-12", CONTENT)


@pytest.fixture(scope="module")
def html(files):
    return files[0].read_text()


@pytest.fixture(scope="module")
def text(html):
    return " ".join(Page(html).text.split())


# The page


def test_a_page_and_a_picture_of_each_curve_are_written(files):
    names = ["report.html", "roc-golden.png", "roc-corrected.png", "calibration.png"]
    assert [file.name for file in files] == names
    for file in files[1:]:
        assert file.read_bytes().startswith(b"\x89PNG")


def test_a_report_is_written_over_the_one_before(tmp_path):
    first = write_report(tmp_path, replace(CONTENT, state="running"))
    assert write_report(tmp_path, CONTENT) == first
    assert "Run 12: promoted" in first[0].read_text().replace('<span class="passed">', "")


def test_the_page_is_well_formed_and_loads_and_runs_nothing(html):
    page = Page(html)
    assert (page.open, page.crossed) == ([], [])
    assert {"script", "img", "link", "iframe", "object"}.isdisjoint(page.tags)
    for tag, name, value in page.attributes:
        assert not name.startswith("on"), (tag, name)
        if name in {"src", "href", "xlink:href"}:
            assert value.startswith("#"), (tag, name, value)
    assert not re.search(r"@import|url\((?!#)", html)
    assert "default-src 'none'" in html


def test_no_two_elements_share_an_id(html):
    ids = [value for _, name, value in Page(html).attributes if name == "id"]
    assert len(ids) == len(set(ids))


def test_the_page_says_which_run_and_how_it_ended(text):
    assert "Run 12: promoted 27 November 2026, 03:12 UTC." in text
    assert "2026-11-26.3 served, 2026-11-27.1 was the candidate." in text


def test_the_page_says_how_far_the_night_went(tmp_path):
    write_report(tmp_path, replace(CONTENT, share=0.25))
    page = (tmp_path / "report.html").read_text()
    assert "was the candidate: 25% of the way from it to what was learnt." in page


def test_every_rule_has_figure_limit_and_sentence(text):
    assert "Golden set: good mail flagged ✓ passed 0 0 0 of 10 good mails" in text
    assert "Newest labelled: good mail flagged ✓ passed – – There was no good mail" in text
    assert "Spam caught ✓ passed 0.875 0.8 87.5% of 8 spam mails are caught" in text


def test_a_rule_that_refuses_stands_out(tmp_path):
    page = page_of(tmp_path, replace(CONTENT, state="refused", rules=[TOO_MANY, *RULES[1:]]))
    assert "✗ refused 1 0 One more good mail would be taken for spam" in page.text
    assert ("tr", "class", "refuses") in page.attributes
    assert [each for each in page.attributes if each[0] == "span" and each[2] == "failed"]


def test_curves_before_and_after_are_drawn_with_what_they_mean(html, text):
    assert re.findall(r'<svg [^>]*aria-label="([^"]+)"', html) == [
        "ROC of the golden set",
        "ROC of the corrected mails held out",
        "Calibration",
    ]
    assert "10 ham, 8 spam." in text
    assert html.count(">before</text>") == html.count(">after</text>") == 3


def test_verdicts_are_counted_before_and_after(text):
    assert "golden 10 0 0 8 7 7" in text
    assert "corrected 1 1 0 1 0 1" in text


def test_changed_verdicts_come_with_both_scores_and_what_the_label_says(text):
    assert "01B corrected spam 0.2000 0.9600 spam" in text
    assert "01A corrected ham 0.9500 0.3000 ham" in text
    assert "01C corrected – 0.5000 0.9900 spam" in text
    assert "now subject" not in text


def test_a_change_against_the_label_is_red(tmp_path):
    wrong = Change("golden", "01A", "ham", 0.1, 0.95, is_flagged=True)
    page = page_of(tmp_path, replace(CONTENT, changes=[wrong]))
    assert ("td", "class", "failed") in page.attributes


def test_subjects_are_shown_where_the_site_keeps_them(tmp_path):
    changes = [replace(CHANGES[0], subject="Minutes of today"), *CHANGES[1:]]
    text = page_of(tmp_path, replace(CONTENT, changes=changes)).text
    assert "now subject" in text
    assert "Minutes of today" in text


def test_what_came_from_outside_is_shown_as_text(tmp_path):
    change = Change(HOSTILE, HOSTILE, HOSTILE, 0.1, 0.95, is_flagged=True, subject=HOSTILE)
    page = page_of(
        tmp_path,
        replace(
            CONTENT,
            reason=HOSTILE,
            champion=HOSTILE,
            candidate=HOSTILE,
            rules=[Rule(HOSTILE, False, 1, 0, HOSTILE)],
            changes=[change],
            labels=count_labels([HOSTILE], [(HOSTILE, HOSTILE)]),
            seconds={HOSTILE: 1.0},
            data_digest=HOSTILE,
            versions={HOSTILE: HOSTILE},
        ),
    )
    assert "img" not in page.tags
    assert (page.open, page.crossed) == ([], [])
    assert page.text.count("<img src=x onerror=alert(1)>") == 15


def test_more_changes_than_a_page_holds_are_counted(tmp_path):
    page = page_of(tmp_path, replace(CONTENT, changes=[CHANGES[0]] * 230))
    assert "230 mails that only one of both takes for spam" in page.text
    assert "and 30 more" in page.text


def test_labels_are_counted_by_person_and_reason(text):
    assert "by used disputed labeller cap Ana 24 0 5 Bo 10 2 0" in text


def test_each_stage_has_its_time_and_share(text):
    assert "training 36 min 50 s 98.2%" in text


def test_the_footer_says_what_would_make_it_again(text):
    assert "Data sha256:abcd. filterd 0.1.0, renderer 3" in text


def test_a_run_that_made_no_candidate_has_a_page_too(tmp_path):
    page = page_of(tmp_path, SKIPPED)
    assert "Run 13: skipped" in page.text
    assert "svg" not in page.tags
    assert "No label was used or left out" in page.text


def test_a_set_of_ham_alone_has_no_curve(tmp_path):
    sets = ScoredSets(golden=scored([("ham", 0.1, 0.2)] * 3))
    written = write_report(tmp_path, replace(CONTENT, sets=sets))
    assert [file.name for file in written] == ["report.html", "calibration.png"]


# What goes into it


def test_only_what_changed_sides_is_a_change_and_the_largest_comes_first():
    rows = [("ham", 0.95, 0.91), ("ham", 0.95, 0.85), ("spam", 0.1, 0.99), ("ham", 0.1, 0.2)]
    found = changed_verdicts("newest", scored(rows), THRESHOLDS, list("abcd"), list("ABCD"))
    assert [(each.id, each.subject, each.is_flagged) for each in found] == [
        ("c", "C", True),
        ("b", "B", False),
    ]


def test_labels_left_out_count_for_people_of_whom_none_was_used():
    found = count_labels(["bo", "ana", "ana"], [("eve", "quorum"), ("bo", "disputed")])
    assert found == (
        LabelCount("ana", 2, {}),
        LabelCount("bo", 1, {"disputed": 1}),
        LabelCount("eve", 0, {"quorum": 1}),
    )


# The line


def test_the_line_of_a_promotion_says_what_it_brought():
    assert summary_line(CONTENT) == (
        "Run 12: 2026-11-27.1 promoted after 37 min 30 s, with 34 labels. 0 of 10 good mails of "
        "the golden set would be taken for spam. Of 5 labels of corrected mails held out, 5 are "
        "judged right"
    )


def test_the_line_of_another_end_says_why():
    assert summary_line(SKIPPED) == "Run 13: skipped: too few labels"
    refused = replace(CONTENT, state="refused", reason="One more good mail; and 2 more")
    assert summary_line(refused) == "Run 12: 2026-11-27.1 refused: One more good mail; and 2 more"


# Prometheus


def samples(content):
    families = text_string_to_metric_families(textfile(content))
    return {
        (sample.name.removeprefix("filterd_trainer_"), *sample.labels.values()): sample.value
        for family in families
        for sample in family.samples
    }


def test_metrics_tell_how_the_last_run_ended():
    found = samples(CONTENT)
    assert found["last_run_state", "promoted"] == 1
    assert sum(value for key, value in found.items() if key[0] == "last_run_state") == 1
    assert found["last_run_seconds",] == 2250
    assert found["last_run_timestamp_seconds",] == CONTENT.made.timestamp()
    assert found["stage_seconds", "training"] == 2210
    assert (found["labels", "trained"], found["labels", "left_out"]) == (34, 7)


def test_metrics_hold_each_rule_and_figures_where_there_are_any():
    found = samples(replace(CONTENT, rules=[TOO_MANY, *RULES[1:]]))
    assert found["rule_passed", "golden_ham"] == 0
    assert (found["rule_figure", "golden_ham"], found["rule_limit", "golden_ham"]) == (1, 0)
    assert found["rule_passed", "newest_ham"] == 1
    assert ("rule_figure", "newest_ham") not in found


def test_metrics_name_the_bundle_that_serves_now():
    key = "champion_created_timestamp_seconds"
    assert samples(CONTENT)[key, "2026-11-27.1"] == CONTENT.made.timestamp()
    refused = samples(replace(CONTENT, state="refused"))
    assert refused[key, "2026-11-26.3"] == CONTENT.champion_created.timestamp()


def test_the_text_file_is_replaced_as_a_whole(tmp_path):
    file = write_textfile(tmp_path, SKIPPED)
    assert write_textfile(tmp_path, CONTENT) == file == tmp_path / "trainer.prom"
    assert file.read_text() == textfile(CONTENT)
    assert list(tmp_path.iterdir()) == [file]


# MLflow

FAKE = """
import json, os, pathlib
FILE = pathlib.Path(__file__).with_name("told.jsonl")
def tell(*what):
    with FILE.open("a") as lines:
        lines.write(json.dumps(what) + chr(10))
def set_tracking_uri(url):
    if url == "http://down": raise OSError("no such host")
    tell("uri", url)
def set_experiment(name): tell("experiment", name)
def log_params(params): tell("params", params)
def log_metrics(metrics): tell("metrics", metrics)
def log_artifact(path): tell("artifact", path)
class start_run:
    def __init__(self, run_name): tell("run", run_name)
    def __enter__(self): return self
    def __exit__(self, *_): tell("end")
"""


@pytest.fixture
def mlflow(tmp_path, monkeypatch):
    """A package of that name, which writes down what it is told."""
    (tmp_path / "mlflow.py").write_text(textwrap.dedent(FAKE))
    monkeypatch.syspath_prepend(str(tmp_path))
    for name, value in PATIENCE.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delitem(sys.modules, "mlflow", raising=False)
    yield lambda: [json.loads(line) for line in (tmp_path / "told.jsonl").read_text().splitlines()]
    sys.modules.pop("mlflow", None)


def test_a_site_without_mlflow_needs_none(files):
    require_mlflow("")
    assert track("", CONTENT, files) is False


def test_a_server_without_the_package_is_named_at_the_start_of_a_run():
    with pytest.raises(SettingsError, match="mlflow_url is set, but the package mlflow is not"):
        require_mlflow("http://127.0.0.1:5000")


def test_mlflow_gets_figures_and_files_of_the_run(mlflow, files):
    require_mlflow("http://127.0.0.1:5000")
    assert track("http://127.0.0.1:5000", CONTENT, files)
    told = mlflow()
    assert [each[0] for each in told] == [
        "uri", "experiment", "run", "params", "metrics", *["artifact"] * 4, "end",
    ]  # fmt: skip
    found = {name: value for name, *rest in told for value in rest}
    assert found["run"] == "run-12"
    assert found["params"]["candidate"] == "2026-11-27.1"
    assert found["metrics"]["gate/corrected"] == 5
    assert "gate/newest_ham" not in found["metrics"]
    assert found["metrics"]["seconds/training"] == 2210


def test_a_server_that_is_down_fails_no_run(mlflow, files):
    assert track("http://down", CONTENT, files) is False
