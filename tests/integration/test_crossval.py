"""A corpus left out: trained on the others, judged by it, with a tiny BERT and words of our own."""

import json
import shutil

import pytest
from tiny_bert import make_checkpoint, write_corpora

from trainer.cli import main

pytestmark = [pytest.mark.trainer, pytest.mark.timeout(300)]

SHORT = ("--epochs", "2", "--max-tokens", "32", "--batch", "16", "--rate", "3e-3", "--threads", "1")
SHORT += ("--no-letters",)


def run(*arguments):
    """The command as typed; its exit code."""
    with pytest.raises(SystemExit) as ended:
        main([str(argument) for argument in arguments])
    return ended.value.code


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A folder with corpora, base and one finished fold."""
    folder = tmp_path_factory.mktemp("crossval")
    write_corpora(folder / "corpora")
    make_checkpoint(folder / "base")
    assert run("crossval", *command(folder), *SHORT) == 0
    return folder


def command(folder, fold="letters"):
    asked = ("--corpora", folder / "corpora", "--base", folder / "base", "--work", folder / "work")
    return (*asked, "--fold", fold)


def test_the_fold_trained_on_nothing_of_what_it_is_judged_by(made):
    fold = made / "work" / "letters"
    lines = {
        name: [json.loads(line) for line in (fold / name).read_text().splitlines()]
        for name in ("train.jsonl", "held.jsonl")
    }
    assert {row["corpus"] for row in lines["held.jsonl"]} == {"letters"}
    assert "letters" not in {row["corpus"] for row in lines["train.jsonl"]}
    trained, held = ({row["group"] for row in rows} for rows in lines.values())
    assert trained.isdisjoint(held)


def test_a_finished_fold_is_shown_again_and_not_trained_again(made, capfd):
    assert run("crossval", *command(made), *SHORT, "--json") == 0
    out, err = capfd.readouterr()
    figures = json.loads(out)
    assert "fine-tuning" not in err
    assert list(figures) == ["letters"]
    assert list(figures["letters"]) == ["tfidf", "bert", "both"]
    assert figures["letters"]["both"]["one_minus_roca_percent"] < 20


def test_the_table_names_what_was_left_out_and_by_which_model(made, capfd, monkeypatch):
    monkeypatch.setenv("COLUMNS", "140")
    assert run("crossval", *command(made), *SHORT) == 0
    out = capfd.readouterr().out
    for word in ("letters", "TF-IDF + LR", "BERT", "both", "1-ROCA%"):
        assert word in out


def test_a_finished_fold_can_still_leave_its_model_as_a_bundle(made, capfd):
    assert run("crossval", *command(made), *SHORT, "--bundles", "--json") == 0
    bundle = made / "work" / "letters" / "bundle"
    capfd.readouterr()
    attacked = ("--corpora", made / "corpora", "--corpus", "letters", "--most", "4", "--json")
    assert run("attack", bundle, *attacked) == 0
    assert list(json.loads(capfd.readouterr().out)) == [str(bundle)]


def test_a_fold_of_other_settings_is_left_alone(made, capfd):
    assert run("crossval", *command(made), *SHORT, "--seed", "9") == 70
    assert "a fold with other settings" in capfd.readouterr().err


def test_a_corpus_that_is_not_there_is_named(made, tmp_path, capfd):
    shutil.copytree(made / "corpora", tmp_path / "corpora")
    asked = ("--corpora", tmp_path / "corpora", "--base", made / "base", "--work", tmp_path / "w")
    assert run("crossval", *asked, "--fold", "mails", *SHORT) == 66
    assert "no corpus 'mails' in it" in capfd.readouterr().err


def test_a_day_that_is_none_is_named(made, capfd):
    assert run("crossval", *command(made, "letters@spring"), *SHORT) == 70
    assert "letters@spring: no day; write YYYY-MM-DD" in capfd.readouterr().err


def test_one_corpus_at_a_time_is_cut_by_a_day(made, capfd):
    fold = "letters@2022-01-01+notes@2022-01-01"
    assert run("crossval", *command(made, fold), *SHORT) == 70
    assert "one corpus at a time" in capfd.readouterr().err


def test_a_change_that_there_is_not_is_named(made, capfd):
    assert run("crossval", *command(made), *SHORT, "--without", "magic") == 70
    assert "no change 'magic'; there are lookalikes" in capfd.readouterr().err


def test_a_search_tries_recipes_on_the_corpus_left_out_and_goes_on_with_those_left(made, capfd):
    asked = ("--corpora", made / "corpora", "--base", made / "base", "--work", made / "search")
    asked += ("--fold", "letters", "--no-letters", "--threads", "1", "--limit", "40")
    assert run("search", *asked, "--trials", "1") == 0
    assert "1 trials to the end" in capfd.readouterr().out
    assert run("search", *asked, "--trials", "2", "--json") == 0
    out, err = capfd.readouterr()
    assert err.count("trial: Recipe(") == 1
    assert {"rate", "epochs", "max_tokens", "layers"} <= set(json.loads(out)["recipe"])


def test_the_corpora_are_probed_and_attacked_from_the_command_line(made, capfd):
    assert run("probe", "--corpora", made / "corpora", "--json") == 0
    told = json.loads(capfd.readouterr().out)
    assert {each["label"] for each in told} == {"ham", "spam"}
    asked = ("--corpora", made / "corpora", "--corpus", "letters", "--most", "8", "--json")
    from filterd.model.bundle import SHIPPED

    assert run("attack", SHIPPED, *asked) == 0
    (result,) = json.loads(capfd.readouterr().out).values()
    assert {"plain", "lookalikes", "grafts"} <= set(result)
    assert 0 <= result["plain"]["recall"] <= 1
