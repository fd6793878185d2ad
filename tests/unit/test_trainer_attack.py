import json
from types import SimpleNamespace

import pytest
from rich.console import Console

from filterd.mail.message import Message
from filterd.model.encoder import Scores
from filterd.model.manifest import Task
from filterd.pipeline import RENDERED_CHARACTERS
from trainer.attack import BATCH, PLAIN, Caught, attack, attack_table, read_mails, threshold_at
from trainer.augment import CHANGES, SPAM_ONLY
from trainer.errors import CorporaError

SPAM = [
    Message(subject=f"offer {n}", text=f"Cheap watches are waiting here, number {n}.")
    for n in range(60)
]


class FakeEncoder:
    """Calls spam, with 0.9, whatever has a certain word in it."""

    def __init__(self, word="watches", max_tokens=128):
        task = Task("spam", ("ham", "spam"), threshold=0.5)
        self.word = word
        self.texts = []
        self.bundle = SimpleNamespace(task={"spam": task}.__getitem__, max_tokens=max_tokens)

    def encode(self, texts):
        self.texts += texts
        return [
            Scores(self.bundle, {"spam": (0.1, 0.9) if self.word in text else (0.8, 0.2)}, None)
            for text in texts
        ]


def run(encoder, messages=SPAM, threshold=0.5, seed=1, progress=lambda *_: None):
    return attack(encoder, messages, threshold, seed, progress)


def test_there_is_a_figure_for_the_plain_messages_and_one_for_each_change():
    assert list(run(FakeEncoder())) == [PLAIN, *CHANGES]


def test_what_the_encoder_knows_is_caught_as_it_came():
    assert run(FakeEncoder())[PLAIN] == Caught(1.0, pytest.approx(0.9))


def test_split_words_get_past_a_model_that_looks_for_a_word():
    found = run(FakeEncoder())["split_words"]
    assert 0 < found.recall < 1
    assert found.mean == pytest.approx(0.9 * found.recall + 0.2 * (1 - found.recall))


def test_a_score_at_the_threshold_is_caught():
    assert run(FakeEncoder(), threshold=0.9)[PLAIN].recall == 1
    assert run(FakeEncoder(), threshold=0.9001)[PLAIN].recall == 0


def test_two_models_are_asked_the_same_texts_by_the_same_seed_only():
    first, second, other = FakeEncoder(), FakeEncoder("offer"), FakeEncoder()
    run(first)
    run(second)
    run(other, seed=2)
    assert first.texts == second.texts != other.texts


def test_texts_are_as_long_as_serving_makes_them():
    encoder = FakeEncoder()
    run(encoder, [Message(subject="offer", text="Cheap watches are waiting here. " * 400)])
    assert max(map(len, encoder.texts)) == RENDERED_CHARACTERS


def test_the_threshold_is_where_so_much_of_the_ham_is_flagged():
    ham = [Message(subject="minutes", text=f"Nothing to sell, {n}.") for n in range(9)]
    assert threshold_at(FakeEncoder(), [*ham, SPAM[0]], 0.1) == pytest.approx(0.2)
    assert threshold_at(FakeEncoder(), [*ham, SPAM[0]], 0.05) == pytest.approx(0.9)


def test_mails_are_read_by_label_and_each_once(tmp_path):
    lines = [("spam", "pills one and two"), ("spam", "PILLS one, and two!"), ("ham", "the minutes")]
    rows = [json.dumps({"text": f"{text} and more", "label": label}) for label, text in lines]
    (tmp_path / "notes.jsonl").write_text("\n".join(rows))
    observer = SimpleNamespace(progress=lambda *_: None)
    found = read_mails(tmp_path, ["notes"], 5, observer)
    assert {label: len(mails) for label, mails in found.items()} == {"ham": 1, "spam": 1}
    with pytest.raises(CorporaError, match="no corpus 'other'"):
        read_mails(tmp_path, ["other"], 5, observer)
    (tmp_path / "spam.jsonl").write_text(rows[0])
    with pytest.raises(CorporaError, match="no ham in spam"):
        read_mails(tmp_path, ["spam"], 5, observer)


def test_progress_tells_of_every_batch_and_ends_with_every_change_done():
    told = []
    count = BATCH + 1
    run(FakeEncoder(), SPAM[:1] * count, progress=lambda *words: told.append(words))
    assert told == [(name, done, count) for name in (PLAIN, *CHANGES) for done in (0, BATCH, count)]


def test_there_is_no_table_of_nothing():
    with pytest.raises(ValueError, match="no spam"):
        run(FakeEncoder(), messages=[])


def test_the_table_sets_two_models_side_by_side():
    results = {
        "without": {PLAIN: Caught(0.98, 0.9), "split_words": Caught(0.5, 0.55)},
        "with": {PLAIN: Caught(0.97, 0.91), "split_words": Caught(0.93, 0.9)},
    }
    console = Console(width=100, record=True, file=open("/dev/null", "w"))  # noqa: SIM115, PTH123
    console.print(attack_table(results))
    text = console.export_text()
    rows = {words[0]: words[1:] for line in text.splitlines() if (words := line.split())}
    assert rows["split_words*"] == ["0.5000", "0.5500", "0.9300", "0.9000"]
    assert rows["grafts"] == ["–"] * 4
    assert all(f"{name}*" in rows for name in SPAM_ONLY)
