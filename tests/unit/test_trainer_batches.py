import pytest

pytest.importorskip("torch")

from hypothesis import given, settings
from hypothesis import strategies as st

from trainer.batches import UNKNOWN, choose_texts, collate, order, shard
from trainer.dataset import Example

TASKS = {"spam": ["ham", "spam"], "sentiment": ["negative", "neutral", "positive"]}


def example(labels, repeat=1, texts=("plain", "variant")):
    return Example(texts, labels, "notes", "train", "00", repeat)


@settings(deadline=None)  # the machine may be busy
@given(st.lists(st.integers(1, 128), max_size=300), st.integers(1, 40), st.integers(0, 3))
def test_every_text_is_in_exactly_one_batch(lengths, size, epoch):
    batches = order(lengths, size, seed=0, epoch=epoch)
    assert sorted(row for rows in batches for row in rows) == list(range(len(lengths)))
    assert all(len(rows) <= size for rows in batches)


def test_texts_of_a_batch_are_of_like_length():
    lengths = [1 + number % 100 for number in range(1600)]
    spreads = [
        max(lengths[row] for row in rows) - min(lengths[row] for row in rows)
        for rows in order(lengths, 32, seed=0, epoch=0)
    ]
    assert max(spreads) <= 2


def test_epochs_differ_and_the_same_one_does_not():
    lengths = list(range(200))
    assert order(lengths, 8, seed=0, epoch=0) == order(lengths, 8, seed=0, epoch=0)
    assert order(lengths, 8, seed=0, epoch=0) != order(lengths, 8, seed=0, epoch=1)


def test_an_example_to_repeat_comes_as_often_as_it_says():
    chosen = choose_texts([example({"spam": "ham"}, repeat=3)], seed=0, epoch=0)
    assert len(chosen) == 3


def test_plain_readings_and_variants_are_both_chosen():
    texts = {text for text, _ in choose_texts([example({})] * 50, seed=0, epoch=0)}
    assert texts == {"plain", "variant"}


def test_a_missing_label_is_marked_and_short_texts_are_padded():
    examples = [example({"spam": "spam"}), example({"sentiment": "neutral"})]
    batch = collate([[5, 6, 7], [8]], examples, TASKS, pad=0)
    assert batch.input_ids.tolist() == [[5, 6, 7], [8, 0, 0]]
    assert batch.attention_mask.tolist() == [[1, 1, 1], [1, 0, 0]]
    assert batch.labels["spam"].tolist() == [1, UNKNOWN]
    assert batch.labels["sentiment"].tolist() == [UNKNOWN, 1]


@given(st.integers(1, 40), st.integers(1, 8))
def test_every_text_of_a_batch_counts_once_among_the_processes(size, processes):
    values = [float(number * number) for number in range(size)]
    shards = [shard(range(size), process, processes) for process in range(processes)]
    counted = [row for rows, weight in shards if weight for row in rows]
    assert sorted(counted) == list(range(size))
    means = [weight * sum(values[row] for row in rows) / len(rows) for rows, weight in shards]
    assert sum(means) / processes == pytest.approx(sum(values) / size)


def test_a_process_without_a_text_of_its_own_takes_part_all_the_same():
    assert shard([7], 1, 2) == ([7], 0.0)


def test_one_process_takes_the_whole_batch_as_it_is():
    assert shard([4, 2, 9], 0, 1) == ([4, 2, 9], 1.0)


def test_readings_that_are_alike_are_chosen_alike():
    letter = Example(("one", "two", "three"), {}, "letters", "train", "00", 300, alike=True)
    texts = [text for text, _ in choose_texts([letter], seed=0, epoch=0)]
    assert all(texts.count(word) > 60 for word in letter.texts)
