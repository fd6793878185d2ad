"""Words in place of words: synonyms of WordNet that a reader would hardly stop at.

`synonyms.tsv` is what training reads. `python -m trainer.wordnet` makes it anew.
"""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from trainer.errors import CorporaError

if TYPE_CHECKING:
    import random
    from collections.abc import Iterable, Iterator, Mapping

    Sense = tuple[str, str]  # part of speech, and where its synset stands in the data
    Synonyms = dict[str, tuple[str, ...]]

TABLE = Path(__file__).with_suffix(".tsv")

MOST = 12  # words replaced in a text
SHARE = 0.6  # of those that have a synonym, at most

# Not a part of an address, a host, a number or a compound.
_WORD = re.compile(
    r"(?<![\w.@/\-'’=&?%#])[A-Za-z][a-z]{2,}(?![\w@/\-]|['’.]\w)|(?<!\S)[A-Z]{3,}(?!\S)"
)
_STARTS = re.compile(r"(?:\A|[.!?:\n])\s*\Z")


@dataclass(frozen=True, slots=True)
class _Usage:
    """A word's commonest sense, how often it was met, and its and its part of speech's shares."""

    sense: Sense
    met: int
    share: float
    part_share: float


PARTS = {"1": "noun", "2": "verb", "3": "adj", "4": "adv", "5": "adj"}
# A word is taken if it was met this often in its commonest sense in the texts that WordNet's
# authors tagged, and that sense is most of its use; its synonym must mostly mean the same.
_FEWEST, _FEWEST_SYNONYM = 3, 2
_MAIN_SENSE, _MAIN_SENSE_SYNONYM = 0.5, 0.4
_MAIN_PART = 0.85  # of its uses are of one part of speech
_RARER = 25  # times, at most
_PLAIN = re.compile(r"[a-z]{3,}\Z")
# Words that mostly do other work in a sentence than WordNet knows, and coarse ones.
_LEFT_OUT = (
    "about after afterward afterwards babe bask buffet but cardinal clutch colony commission "
    "commit committee cross damn darned dear desperate diarrhea diarrhoea dictate discount dozens "
    "enjoy final finding fleet found gag gay gilt given goddam goddamn goddamned granted growing "
    "growth hail help hesitate hurler idiot imbecile instal install john just kid kind later lay "
    "leaf lean let like link little live looking lots luck marked men merchandise metropolis min "
    "minimum minute mix mode muse newsman noted partner patronize percent percentage person plant "
    "poor precedence pretty print process prompt puncher put queer react receipts reckon runner "
    "sanction save scores secure settlement sire someone soon sort sounding steps sticking swear "
    "thus tidings toilet tons trademark unity upwards war waver way wed well works"
)
_IRREGULAR = (
    "begin bet bite blow break breed bring build burst buy catch choose cling come cost creep cut "
    "deal die dig draw drink drive eat fall feed feel fight find flee fly forbid foresee forget "
    "forgive freeze get give go grow hang have hear hide hit hold hurt keep know lay lead lean "
    "leap learn leave lend let lie light lose make mean meet mow overrun pay put quit read rend "
    "rid ride ring rise run say see seek sell send set sew shake shine shoot show shrink shut "
    "sing sink sit sleep slide speak spend spin spit split spread spring stand steal stick sting "
    "stride strike strive swear sweep swell swim swing take teach tear tell think thrive throw "
    "tread understand wake wear wed weep wet win wind withstand write"
)


@cache
def load_synonyms() -> Mapping[str, tuple[str, ...]]:
    """Each word of the table with the words that may stand for it; read once.

    Raises CorporaError when the table is missing.
    """
    try:
        lines = TABLE.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise CorporaError(f"{TABLE}: {error.strerror}; `python -m trainer.wordnet`") from None
    rows = (line.split("\t") for line in lines if not line.startswith("#"))
    return {word: tuple(synonyms.split(" ")) for word, synonyms in rows}


def reword(text: str, chance: random.Random) -> str:
    """English text with a few of its words replaced, `MOST` at most, in the case they had.

    A capitalised word inside a sentence may be a name and stays. Linear.
    """
    synonyms = load_synonyms()
    found = [each for each in _WORD.finditer(text) if each[0].lower() in synonyms]
    found = [each for each in found if not each[0].istitle() or _is_start(text, each.start())]
    if not found:
        return text
    count = min(MOST, chance.randint(1, max(1, round(SHARE * len(found)))))
    pieces, end = [], 0
    for each in sorted(chance.sample(found, count), key=lambda each: each.start()):
        word = chance.choice(synonyms[each[0].lower()])
        if each[0].isupper():
            word = word.upper()
        elif each[0].istitle():
            word = word.capitalize()
        pieces += [text[end : each.start()], word]
        end = each.end()
    return "".join([*pieces, text[end:]])


def _is_start(text: str, place: int) -> bool:
    return _STARTS.search(text[max(place - 3, 0) : place]) is not None


def derive(senses: Iterable[str], data: Mapping[str, Iterable[str]]) -> Synonyms:
    """The table of WordNet's files: `index.sense`, and `data.*` by part of speech.

    Formats: senseidx(5WN) and wndb(5WN).
    """
    uses: defaultdict[str, dict[Sense, int]] = defaultdict(dict)
    for line in senses:
        key, offset, _, met = line.split()
        lemma, _, rest = key.partition("%")
        uses[lemma][PARTS[rest[0]], offset] = int(met)
    synsets = {
        (part, fields[0]): [re.sub(r"\(.*\)", "", word) for word in _words_of(fields)]
        for part, lines in data.items()
        for fields in (line.split() for line in lines if not line.startswith(" "))
    }
    left_out = set(_LEFT_OUT.split())
    words = {
        word: _usage(senses_of)
        for word, senses_of in uses.items()
        if _PLAIN.match(word) and word not in left_out
    }
    table: defaultdict[str, set[str]] = defaultdict(set)
    for word, usage in words.items():
        if usage.met < _FEWEST or usage.share < _MAIN_SENSE or usage.part_share < _MAIN_PART:
            continue
        for synonym in synsets[usage.sense]:
            other = words.get(synonym)
            if (
                other
                and synonym != word
                and other.sense == usage.sense
                and other.met >= max(_FEWEST_SYNONYM, usage.met / _RARER)
                and other.share >= _MAIN_SENSE_SYNONYM
            ):
                for form, other_form in _forms(usage.sense[0], word, synonym):
                    if form == word or form not in uses:
                        table[form].add(other_form)
    return {word: tuple(sorted(table[word])) for word in sorted(table)}


def _words_of(fields: list[str]) -> list[str]:
    return fields[4 : 4 + 2 * int(fields[3], 16) : 2]


def _usage(uses: Mapping[Sense, int]) -> _Usage:
    sense, met = max(uses.items(), key=lambda use: use[1])
    total = max(sum(uses.values()), 1)
    part = sum(count for (part, _), count in uses.items() if part == sense[0])
    return _Usage(sense, met, met / total, part / total)


def _forms(part: str, word: str, synonym: str) -> Iterator[tuple[str, str]]:
    """Both words in every form that both have by rule."""
    if part == "verb":
        yield word, synonym
        yield _plural(word), _plural(synonym)
        # "stopped", "lying": where letters double or change there is no ending to go by.
        if not any(
            re.search("[^aeiou][aeiou][^aeiouwxy]$|[eoy]e$|ie$", w) for w in (word, synonym)
        ):
            yield _ending(word, "ing"), _ending(synonym, "ing")
            if not {word, synonym} & set(_IRREGULAR.split()):
                yield _ending(word, "ed"), _ending(synonym, "ed")
    elif _takes_an(word) == _takes_an(synonym):
        yield word, synonym
        if part == "noun" and not any(w.endswith(("s", "man", "child")) for w in (word, synonym)):
            yield _plural(word), _plural(synonym)


def _takes_an(word: str) -> bool:
    return word.startswith(("a", "e", "i", "o", "un", "up", "ul", "hon", "hour", "heir"))


def _plural(word: str) -> str:
    if word.endswith("y") and word[-2] not in "aeiou":
        return f"{word[:-1]}ies"
    return f"{word}es" if word.endswith(("s", "x", "z", "ch", "sh")) else f"{word}s"


def _ending(verb: str, ending: str) -> str:
    if verb.endswith("e"):
        return f"{verb[:-1]}{ending}"
    if ending == "ed" and verb.endswith("y") and verb[-2] not in "aeiou":
        return f"{verb[:-1]}ied"
    return f"{verb}{ending}"
