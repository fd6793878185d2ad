"""`filterd-trainer replay` and the report of `evaluate`, as they are typed."""

import json
import re

import pytest
from tiny_bundle import make_tiny_bundle

from trainer.cli import main

SPAM = b"Subject: lottery\n\nyou won the lottery\n"
HAM = b"Subject: minutes\n\nthe minutes of the meeting\n"


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    return make_tiny_bundle(tmp_path_factory.mktemp("bundle") / "tiny").path


@pytest.fixture
def trec(tmp_path):
    """A corpus laid out as TREC's are: full/index beside data/; three mails, one mislabelled."""
    for folder in ("full", "data"):
        (tmp_path / folder).mkdir()
    for number, raw in enumerate((SPAM, HAM, HAM), start=1):
        (tmp_path / "data" / f"inmail.{number}").write_bytes(raw)
    lines = "spam ../data/inmail.1\nham ../data/inmail.2\nspam ../data/inmail.3\n"
    (tmp_path / "full" / "index").write_text(lines)
    return tmp_path / "full" / "index"


@pytest.fixture
def run(capfd):
    """The command as typed: its exit code, standard output and standard error."""

    def typed(*arguments):
        with pytest.raises(SystemExit) as ended:
            main([str(argument) for argument in arguments])
        out, err = capfd.readouterr()
        assert "Traceback" not in err
        return ended.value.code or 0, out, err

    return typed


def test_a_line_for_each_message_in_the_order_of_the_index_and_then_the_summary(run, trec, bundle):
    code, out, err = run("replay", trec, "--bundle", bundle, "--feedback", "none", "--json")
    *lines, last = [json.loads(line) for line in out.splitlines()]
    assert (code, err) == (0, "")
    assert [list(line) for line in lines] == [["path", "label", "spam", "taught"]] * 3
    assert [line["path"] for line in lines] == [f"../data/inmail.{n}" for n in (1, 2, 3)]
    assert [line["label"] for line in lines] == ["spam", "ham", "spam"]
    assert lines[0]["spam"] > 0.9 > 0.1 > lines[1]["spam"]
    assert list(last) == ["summary"]


def test_the_summary_says_what_the_contract_names(run, trec, bundle):
    _, out, _ = run("replay", trec, "--bundle", bundle, "--json")
    summary = json.loads(out.splitlines()[-1])["summary"]
    assert (summary["messages"], summary["ham"], summary["spam"]) == (3, 1, 2)
    assert (summary["false_positives"], summary["false_negatives"]) == (0, 1)
    assert summary["one_minus_roca_percent"] == 25.0  # a spam with the text of the ham
    assert summary["recall_at_0.1_percent_fpr"] == 0.5
    assert 0 < summary["lam_percent"] < 100
    assert summary["messages_per_second"] > 0
    assert (summary["feedback"], summary["model"], summary["threshold"]) == ("none", "tiny.1", 0.9)


def test_without_json_there_is_a_table(run, trec, bundle):
    code, out, _ = run("replay", trec, "--bundle", bundle)
    assert code == 0
    assert re.search(r"lam%\s+\d+\.\d{4}", out)
    assert re.search(r"messages/s\s+[\d.]+", out)


@pytest.mark.parametrize("feedback", ["immediate", "delayed:1", "active:100"])
def test_the_kind_of_feedback_stands_in_the_summary(run, trec, bundle, feedback):
    code, out, _ = run("replay", trec, "--bundle", bundle, "--feedback", feedback, "--json")
    *lines, last = [json.loads(line) for line in out.splitlines()]
    assert code == 0
    assert last["summary"]["feedback"] == feedback
    taught = {"immediate": [True] * 3, "delayed:1": [True, True, False]}
    assert [line["taught"] for line in lines] == taught.get(feedback, [False] * 3)


def test_feedback_that_does_not_exist_is_a_wrong_command_line(run, trec, bundle):
    code, _, err = run("replay", trec, "--bundle", bundle, "--feedback", "never")
    assert code == 2
    assert "'never' is not" in err


def test_a_wrong_line_is_named_and_nothing_is_judged(run, trec, bundle):
    trec.write_text("spam ../data/inmail.1\nspam ../data/inmail.7\n")
    code, out, err = run("replay", trec, "--bundle", bundle, "--json")
    assert (code, out) == (66, "")
    assert err == f"filterd-trainer: {trec}:2: no file ../data/inmail.7 beside the index\n"


def test_evaluate_writes_a_page_and_prints_the_same_figures(run, bundle, tmp_path):
    corpora, report = tmp_path / "corpora", tmp_path / "report.html"
    for label, raw in (("spam", SPAM), ("ham", HAM)):
        (corpora / "mail" / label).mkdir(parents=True)
        (corpora / "mail" / label / "1.eml").write_bytes(raw)
    code, plain, _ = run("evaluate", bundle, corpora, "--json")
    assert code == 0
    code, out, _ = run("evaluate", bundle, corpora, "--json", "--report", report)
    assert (code, out) == (0, plain)
    assert json.loads(out)["spam"]["languages"].keys() == {"others"}
    assert "<h1>How well does bundle tiny.1 judge?</h1>" in report.read_text()


def test_a_report_that_could_not_be_written_is_refused_before_judging(run, bundle, tmp_path):
    code, _, err = run("evaluate", bundle, tmp_path, "--report", tmp_path / "no" / "r.html")
    assert code == 2
    assert "no folder" in err


def test_scores_are_kept_and_the_learning_curve_is_drawn(run, trec, bundle, tmp_path):
    extra = ("--scores", tmp_path / "scores", "--plot", tmp_path / "curve.svg")
    code, first, _ = run("replay", trec, "--bundle", bundle, *extra, "--json")
    assert code == 0
    assert "mails so far" in (tmp_path / "curve.svg").read_text()
    _, again, _ = run("replay", trec, "--bundle", bundle, *extra, "--json")
    assert again.splitlines()[:-1] == first.splitlines()[:-1]


def test_a_plot_of_no_kind_is_said(run, trec, bundle, tmp_path):
    code, _, err = run("replay", trec, "--bundle", bundle, "--plot", tmp_path / "curve.txt")
    assert code != 0
    assert "curve.txt: the plot cannot be written" in err


def test_an_index_is_made_of_a_folder(run, tmp_path):
    for label, raw in (("spam", SPAM), ("ham", HAM)):
        (tmp_path / label).mkdir()
        (tmp_path / label / "1.eml").write_bytes(raw)
    assert run("index", tmp_path) == (0, "ham ham/1.eml\nspam spam/1.eml\n", "")
