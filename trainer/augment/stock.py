"""Ordinary words of ours to put into mails: sentences, signatures, disclaimers, quotations.

None says how the writer feels or wants anything of the reader that spam would. A line of
`stock.jsonl` is a kind, a language and a text, which unfolds as the templates of `trainer.letters`.
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from trainer.letters import choose
from trainer.letters.words import Words

if TYPE_CHECKING:
    import random
    from collections.abc import Mapping

FILE = Path(__file__).with_name("stock.jsonl")
_ENGLISH_SHARE = 0.7  # where a text's language is not known
_OTHER_SHARE = 0.15  # of mails that have a line in another language than their own


@cache
def load_stock() -> Mapping[tuple[str, str], tuple[str, ...]]:
    """All texts by kind and language; read once."""
    stock: dict[tuple[str, str], list[str]] = {}
    for line in FILE.read_text(encoding="utf-8").splitlines():
        entry = json.loads(line)
        stock.setdefault((entry["kind"], entry["language"]), []).append(entry["text"])
    return {key: tuple(texts) for key, texts in stock.items()}


@cache
def languages() -> tuple[str, ...]:
    """Those that there are texts in, of every kind."""
    return tuple(sorted({language for _, language in load_stock()}))


class Stock:
    """The stock for one mail: its texts speak of the same company and city."""

    def __init__(self, language: str, chance: random.Random) -> None:
        if not language:
            is_english = chance.random() < _ENGLISH_SHARE
            language = "en" if is_english else chance.choice(languages())
        elif chance.random() < _OTHER_SHARE:
            language = chance.choice(languages())
        self._language = language
        self._chance = chance
        self._words = Words(language, chance)

    @property
    def host(self) -> str:
        """The host of the company that its texts speak of."""
        return self._words.fill("<host>")

    def one(self, kind: str) -> str:
        """Some text of this kind."""
        text = self._chance.choice(load_stock()[kind, self._language])
        return self._words.fill(choose(text, self._chance))

    def several(self, kind: str, count: int) -> list[str]:
        """Texts of this kind, none from the same line of the stock; fewer if it has fewer."""
        texts = load_stock()[kind, self._language]
        chosen = self._chance.sample(texts, min(count, len(texts)))
        return [self._words.fill(choose(text, self._chance)) for text in chosen]
