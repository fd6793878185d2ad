"""Words that mean nothing together, put into spam so that filters that count words see many rare
ones; and passages of prose that have nothing to do with the rest.

`salad.txt` holds the words, one a line, and sentences, one a line: WordNet's lemmas and examples.
"""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from trainer.augment.reading import head_and_tail, reread

if TYPE_CHECKING:
    import random
    from collections.abc import Iterable, Iterator, Mapping

    from filterd.mail.message import Message

FILE = Path(__file__).with_name("salad.txt")
MOST_WORDS, MOST_BEFORE = 80, 30
_EVERY_WORD, _EVERY_SENTENCE = 7, 12  # of those that WordNet has: 100 kB do
_LEMMA = re.compile(r"[a-z]{4,12}\Z")
_EXAMPLE = re.compile(r'"([A-Za-z][^"]{30,140})"')


@cache
def load_salad() -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Words and sentences; read once."""
    lines = FILE.read_text(encoding="utf-8").splitlines()
    lines = [line for line in lines if not line.startswith("#")]
    return (
        tuple(line for line in lines if " " not in line),
        tuple(line for line in lines if " " in line),
    )


def add_word_salad(message: Message, chance: random.Random) -> Message:
    """With words or prose after its text or before it, and at times a word more in its subject."""
    head, tail = head_and_tail(message.text)
    if chance.random() < 0.7:
        head = f"{head}\n\n{_toss(chance, chance.randint(8, MOST_WORDS))}"
    else:
        head = f"{_toss(chance, chance.randint(5, MOST_BEFORE))}\n\n{head}"
    subject = message.subject
    if subject and chance.random() < 0.3:
        subject = f"{subject} {' '.join(chance.choices(load_salad()[0], k=chance.randint(1, 3)))}"
    return reread(message, subject=subject, head=head, tail=tail)


def prose(chance: random.Random, count: int) -> str:
    """So many sentences that have nothing to do with each other."""
    return " ".join(
        f"{each[0].upper()}{each[1:]}." for each in chance.sample(load_salad()[1], count)
    )


def _toss(chance: random.Random, count: int) -> str:
    """So many words: as a list, in lines, as sentences, or as prose of about that length."""
    words = chance.sample(load_salad()[0], count)
    draw = chance.random()
    if draw < 0.3:
        return " ".join(words)
    if draw < 0.55:
        return "\n".join(" ".join(line) for line in _cut(words, chance, (2, 6)))
    if draw < 0.75:
        return " ".join(f"{' '.join(each).capitalize()}." for each in _cut(words, chance, (4, 12)))
    return prose(chance, max(1, count // 12))


def _cut(words: list[str], chance: random.Random, bounds: tuple[int, int]) -> Iterator[list[str]]:
    start = 0
    while start < len(words):
        length = chance.randint(*bounds)
        yield words[start : start + length]
        start += length


def derive_words(senses: Iterable[str]) -> list[str]:
    """Some of the rare lemmas of WordNet's `index.sense` (senseidx(5WN)), evenly from A to Z.

    Rare are those that its authors never met in the texts that they tagged.
    """
    met: dict[str, int] = {}
    for line in senses:
        key, _, _, count = line.split()
        lemma = key.partition("%")[0]
        met[lemma] = met.get(lemma, 0) + int(count)
    rare = sorted(lemma for lemma, count in met.items() if not count and _LEMMA.match(lemma))
    return rare[::_EVERY_WORD]


def derive_sentences(data: Mapping[str, Iterable[str]]) -> list[str]:
    """Some of the examples within the glosses of WordNet's `data.*` (wndb(5WN))."""
    examples = {
        each
        for lines in data.values()
        for line in lines
        for each in _EXAMPLE.findall(line.partition(" | ")[2])
    }
    return sorted(each for each in examples if each.count(" ") > 4)[::_EVERY_SENTENCE]
