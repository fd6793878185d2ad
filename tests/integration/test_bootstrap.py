"""From corpora to a bundle that serves, with a tiny BERT and words of our own."""

import json
import shutil

import pytest
from tiny_bert import make_checkpoint, write_corpora

from filterd.errors import BundleError
from filterd.model.bundle import verify
from filterd.model.encoder import open_encoder
from trainer.cli import main

pytestmark = [pytest.mark.trainer, pytest.mark.timeout(300)]

SHORT = ("--epochs", "4", "--max-tokens", "32", "--batch", "16", "--rate", "3e-3", "--threads", "1")
SHORT += ("--no-letters", "--seed", "1")


def run(*arguments):
    """The command as typed; its exit code."""
    with pytest.raises(SystemExit) as ended:
        main([str(argument) for argument in arguments])
    return ended.value.code


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A folder with corpora, base and the bundle that `bootstrap` made of them."""
    folder = tmp_path_factory.mktemp("bootstrap")
    write_corpora(folder / "corpora")
    make_checkpoint(folder / "base")
    command = ("--corpora", folder / "corpora", "--base", folder / "base")
    assert run("bootstrap", *command, "--out", folder / "bundle", *SHORT, "--version", "7.1") == 0
    return folder


def test_the_bundle_may_serve_and_knows_spam_and_sentiment(made):
    encoder = open_encoder(made / "bundle")
    texts = [
        "claim your casino prize\n\nwinner of a million dollars",
        "agenda\n\nthe meeting minutes and the report",
        "thank you\n\nwonderful and brilliant, we are delighted",
        "complaint\n\nbroken and useless, a dreadful product, refund",
    ]
    spam, ham, kind, angry = (scores.tasks for scores in encoder.encode(texts))
    assert spam["spam"][1] > 0.9 > 0.1 > ham["spam"][1]
    assert kind["sentiment"][2] > 0.5
    assert angry["sentiment"][0] > 0.5


def test_the_bundle_says_where_it_comes_from_and_how_good_it_is(made):
    bundle = verify(made / "bundle")
    assert (bundle.version, bundle.base_model, bundle.max_tokens) == ("7.1", "base", 32)
    assert bundle.data_digest.startswith("sha256:")
    assert 0.5 <= bundle.threshold("spam") <= 0.99
    assert len(bundle.golden) >= 8
    assert bundle.metrics["validation"]["spam"]["one_minus_roca_percent"] < 1
    assert bundle.metrics["test"]["sentiment"]["macro_f1"] > 0.8
    assert bundle.metrics["quantization"]["same_decisions"]["spam"] >= 0.995
    assert bundle.metrics["quantization"]["torch_difference"] <= 1e-4


def test_nothing_in_the_bundle_is_a_pickle(made):
    names = sorted(path.name for path in (made / "bundle").iterdir())
    weights = ["linear.npy", "model.onnx", "tokenizer.json", "weights.safetensors"]
    assert names == ["bundle.json", *weights]


def test_the_same_command_goes_on_from_what_is_done(made, capfd):
    command = ("--corpora", made / "corpora", "--base", made / "base", "--out", made / "again")
    work = ("--work", made / "bundle.work")
    assert run("bootstrap", *command, *work, *SHORT, "--json") == 0
    out, err = capfd.readouterr()
    assert json.loads(out)["bundle"] == str(made / "again")
    assert "reading corpora" not in err
    assert verify(made / "again").data_digest == verify(made / "bundle").data_digest


def test_a_bundle_can_be_gone_on_from(made):
    command = ("--corpora", made / "corpora", "--start", made / "bundle", "--out", made / "further")
    assert run("bootstrap", *command, *SHORT, "--seed", "3", "--version", "7.2") == 0
    further = verify(made / "further")
    assert (further.base_model, further.base_licence) == ("base", "not recorded")
    known = further.metrics["provenance"]["started_from"]
    assert known["version"] == "7.1"
    assert known["recipe"]["seed"] == 1
    (scores,) = open_encoder(made / "further").encode(["claim your casino prize\n\nwinner"])
    assert scores.tasks["spam"][1] > 0.9


def test_what_is_no_bundle_cannot_be_gone_on_from(made, tmp_path, capfd):
    command = ("--corpora", made / "corpora", "--start", made / "base", "--out", tmp_path / "x")
    assert run("bootstrap", *command, *SHORT) == BundleError.exit_code
    assert "no bundle.json there" in capfd.readouterr().err


def test_a_bundle_is_never_overwritten(made, capfd):
    before = (made / "bundle" / "bundle.json").read_bytes()
    command = ("--corpora", made / "corpora", "--base", made / "base", "--out", made / "bundle")
    assert run("bootstrap", *command, *SHORT) == 70
    assert "already there" in capfd.readouterr().err
    assert (made / "bundle" / "bundle.json").read_bytes() == before


def test_a_work_folder_of_another_run_is_left_alone(made, capfd):
    command = ("--corpora", made / "corpora", "--base", made / "base", "--out", made / "other")
    code = run("bootstrap", *command, "--work", made / "bundle.work", *SHORT, "--seed", "9")
    assert code == 70
    assert "a run with other settings" in capfd.readouterr().err
    assert not (made / "other").exists()


def test_a_missing_corpora_folder_is_one_line_and_an_exit_code(made, tmp_path, capfd):
    command = (
        "--corpora",
        tmp_path / "nowhere",
        "--base",
        made / "base",
        "--out",
        tmp_path / "out",
    )
    assert run("bootstrap", *command) == 66
    lines = capfd.readouterr().err.strip().splitlines()
    assert lines[-1].startswith(f"filterd-trainer: {tmp_path}/nowhere: no such folder; it should")
    assert not (tmp_path / "out").exists()


def test_evaluate_prints_the_figures_of_each_corpus(made, capfd):
    assert run("evaluate", made / "bundle", made / "corpora", "--limit", "20", "--json") == 0
    figures = json.loads(capfd.readouterr().out)
    assert sorted(figures["spam"]["corpora"]) == ["letters", "notes"]
    assert figures["spam"]["corpora"]["letters"]["one_minus_roca_percent"] < 1
    assert figures["sentiment"]["corpora"]["opinions"]["count"] == 60


def test_evaluate_prints_a_table(made, capfd):
    command = ("evaluate", made / "bundle", made / "corpora", "--corpus", "notes", "--limit", "9")
    assert run(*command) == 0
    out = capfd.readouterr().out
    assert "1-ROCA%" in out
    assert "letters" not in out


def test_evaluate_names_a_bundle_that_is_broken(made, tmp_path, capfd):
    shutil.copytree(made / "bundle", tmp_path / "broken")
    (tmp_path / "broken" / "model.onnx").write_bytes(b"")
    assert run("evaluate", tmp_path / "broken", made / "corpora") == BundleError.exit_code
    assert "model.onnx" in capfd.readouterr().err
