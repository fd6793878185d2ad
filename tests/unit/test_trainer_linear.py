import pytest
from tiny_bert import HAM, SPAM

from trainer.dataset import Example
from trainer.linear import fit_linear, margins


def example(words, label, number, repeat=1):
    texts = tuple(f"{words[(number + n) % len(words)]} {words[number % 7]} note" for n in range(3))
    return Example(texts, {"spam": label}, "notes", "train", str(number), repeat)


EXAMPLES = [example(SPAM, "spam", n) for n in range(40)] + [
    example(HAM, "ham", n) for n in range(9)
]


def test_words_of_spam_and_of_ham_are_told_apart_however_many_of_each_there_are():
    model = fit_linear(EXAMPLES, share=0.5)
    low, high, unknown = margins(model, ["the minutes note", "casino prize note", "xylophone"])
    assert low < 0 < high
    assert abs(unknown) < 1
    assert model.share == 0.5


def test_a_text_is_fitted_in_as_many_readings_as_it_is_repeated():
    odd = Example(("plain", "zebra"), {"spam": "spam"}, "notes", "train", "x", 2)
    once = Example(("plain", "zebra"), {"spam": "spam"}, "notes", "train", "x", 1)
    (twice_read,), (once_read,) = (
        margins(fit_linear([*EXAMPLES, each], 1.0), ["zebra"]) for each in (odd, once)
    )
    assert (
        twice_read > once_read == pytest.approx(fit_linear([*EXAMPLES, once], 1.0).bias, abs=1e-3)
    )
