"""The golden set that comes with the trainer is that of the mails."""

from collections import Counter
from pathlib import Path

import pytest
from tiny_bundle import make_tiny_bundle

from filterd.model.encoder import Encoder
from trainer.errors import CorporaError
from trainer.golden_set import golden_mails, load_golden, main, read_golden, write_golden
from trainer.scoring import measure_latency, score_with

GOLDEN = Path(__file__).parent.parent / "data" / "golden"


class Told:
    def __init__(self):
        self.progressed = []

    def progress(self, name, done, total):
        self.progressed.append((name, done, total))


@pytest.fixture(scope="module")
def encoder(tmp_path_factory):
    return Encoder(make_tiny_bundle(tmp_path_factory.mktemp("bundle") / "tiny"))


def test_the_packaged_set_is_what_the_renderer_makes_of_the_mails_today():
    """If not: python -m trainer.golden_set tests/data/golden"""
    assert golden_mails() == read_golden(GOLDEN)


def test_the_set_is_judged_on_and_never_trained_on():
    examples = load_golden()
    assert {(each.corpus, each.split) for each in examples} == {("golden", "test")}
    assert Counter(each.labels["spam"] for each in examples) == {"ham": 142, "spam": 74}
    assert all(len(each.texts) == 1 and each.texts[0].strip() for each in examples)


def test_examples_are_in_the_order_of_their_names():
    mails = golden_mails()
    assert [mail.name for mail in mails] == sorted(mail.name for mail in mails)
    assert [each.texts[0] for each in load_golden()] == [mail.text for mail in mails]


def test_what_is_written_is_read_again_whatever_ends_a_line_elsewhere(tmp_path):
    folder = tmp_path / "few"
    folder.mkdir()
    (folder / "labels.tsv").write_text("path\tspam\tsentiment\n1.eml\tham\tneutral\n")
    body = "one\u2028two\x85three"
    raw = f"Subject: Lines\nContent-Type: text/plain; charset=utf-8\n\n{body}\n"
    (folder / "1.eml").write_bytes(raw.encode())
    mails = read_golden(folder)
    write_golden(mails, tmp_path / "few.jsonl")
    assert golden_mails(tmp_path / "few.jsonl") == mails


def test_a_folder_of_another_shape_is_refused(tmp_path, capsys):
    (tmp_path / "mail" / "ham").mkdir(parents=True)
    (tmp_path / "mail" / "ham" / "1.eml").write_bytes(b"Subject: Plans\n\nPlans\n")
    with pytest.raises(CorporaError, match="no folder of mails with labels"):
        read_golden(tmp_path / "mail")
    assert main([str(tmp_path / "mail")]) == 66
    assert main([]) == 64
    assert "usage" in capsys.readouterr().err


def test_scores_are_those_that_serving_gives(encoder):
    examples, told = load_golden()[:5], Told()
    scores = score_with(encoder, examples, told, "golden set")
    assert {task: found.shape for task, found in scores.items()} == {
        "spam": (5, 2),
        "sentiment": (5, 3),
    }
    (wanted,) = encoder.encode(examples[3].texts)
    assert tuple(scores["spam"][3]) == wanted.tasks["spam"]
    assert told.progressed[-1] == ("golden set", 5, 5)


def test_no_texts_give_scores_of_no_rows(encoder):
    scores = score_with(encoder, [], Told(), "nothing")
    assert scores["sentiment"].shape == (0, 3)


def test_latency_is_that_of_a_text_as_long_as_the_encoder_reads(encoder):
    class Heard:
        def __init__(self):
            self.bundle, self.lengths = encoder.bundle, set()

        def encode(self, texts):
            self.lengths |= {len(encoder.tokenizer.encode(text).ids) for text in texts}
            return encoder.encode(texts)

    champion, candidate = Heard(), Heard()
    before, after = measure_latency(champion, candidate, ["the minutes"])
    assert 0 < before < 1000
    assert 0 < after < 1000
    assert champion.lengths == candidate.lengths == {encoder.bundle.max_tokens}


def test_latency_of_no_text_is_an_error(encoder):
    with pytest.raises(ValueError, match="no text"):
        measure_latency(encoder, encoder, [" ", ""])
