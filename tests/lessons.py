"""Mails of two kinds and their labels, for the learner's tests."""

from filterd.learner.features import Evidence
from filterd.learner.site import Lesson, clues_of


def evidence(number, kind):
    """The number-th mail of a kind: alike in most words, each with some of its own."""
    text = (
        f"{kind} {kind}s of the week\nfrom: {kind}er {kind}.example\n\n"
        f"number{number} {kind} {'x' * (number % 17 + 1)} {'y' * (number % 13 + 1)}"
    )
    return Evidence(f"Subject: {kind} {number}\n\n{text}".encode(), text)


def lesson(number, kind, label, by="ann", bert=0.5, at=0.0):
    """A label for the number-th mail of a kind, to which the BERT gives `bert`."""
    return Lesson(number, label, by, at, bert, clues_of(evidence(number, kind)))


def both_kinds(count, by="ann"):
    """So many watches that are spam, and as many minutes that are ham, by turns."""
    return [
        lesson(
            2 * number + is_ham, "minute" if is_ham else "watch", "ham" if is_ham else "spam", by
        )
        for number in range(count)
        for is_ham in (False, True)
    ]
