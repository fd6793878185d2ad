from rich.console import Console

from trainer.dataset import Example
from trainer.probe import probe, probe_table


def mails(corpus, label, words, count=60):
    return [
        Example((f"{words} {number % 7} and so on",), {"spam": label}, corpus, "train", str(number))
        for number in range(count)
    ]


def test_a_corpus_that_leaves_its_mark_in_every_mail_is_told_by_it():
    found = probe([*mails("a", "ham", "ximian list"), *mails("b", "ham", "report")], 100, 0)
    assert [each.label for each in found] == ["ham"]
    assert found[0].recall == {"a": 1.0, "b": 1.0}
    assert found[0].chance == 0.5
    assert {"ximian", "list"} <= set(found[0].words["a"])
    assert "report" in found[0].words["b"]


def test_corpora_of_the_same_mail_are_told_by_chance():
    chance = ["order", "meeting", "lunch", "report", "invoice", "garden", "travel"]
    examples = [
        Example(
            (f"{chance[number % 7]} {chance[number % 5]}",), {"spam": "spam"}, corpus, "train", ""
        )
        for corpus in ("a", "b")
        for number in range(140)
    ]
    told = probe(examples, 200, 0)[0]
    assert told.mean < 0.6


def test_labels_are_probed_apart_and_a_corpus_of_few_mails_is_left_out():
    found = probe(
        [
            *mails("a", "ham", "one"),
            *mails("b", "ham", "two"),
            *mails("c", "ham", "three", count=5),
            *mails("a", "spam", "four"),
        ],
        100,
        0,
    )
    assert [(each.label, sorted(each.recall)) for each in found] == [("ham", ["a", "b"])]


def test_the_table_names_what_tells():
    console = Console(width=120, record=True, file=None, quiet=False)
    with console.capture() as capture:
        console.print(
            probe_table(probe([*mails("a", "ham", "x1"), *mails("b", "ham", "y1")], 9**9, 0))
        )
    assert "100.0%" in capture.get()
    assert "by chance 50.0%" in capture.get()
