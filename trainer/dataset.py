"""Corpora to examples: rendered, each text once, shared out fairly, split, and kept on disk.

What a training run reads is decided here and written down with its digest; nothing later looks
at a corpus again.
"""

from __future__ import annotations

import csv
import hashlib
import json
import random
import re
from collections import Counter
from dataclasses import asdict, dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from filterd.mail.render import render
from trainer.augment import CHANGES, vary
from trainer.corpora import (
    SENTIMENT,
    SPAM,
    Source,
    arrived_on,
    find_corpora,
    list_sources,
    read_message,
)
from trainer.errors import CorporaError
from trainer.letters import load_templates, unfold
from trainer.near import SeenTexts
from trainer.sentences import plain, wrapped

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Sequence

    from filterd.mail.message import Message

    Progress = Callable[[str, int, int], None]

Split = Literal["train", "validation", "test"]
TASKS = {SPAM: ("ham", "spam"), SENTIMENT: ("negative", "neutral", "positive")}
VALIDATION_PERCENT = 8
VALIDATION_CAP = 400
VARIANTS = 2
LEFT_OUT = Path(__file__).with_name("left_out.tsv")
LETTERS = "own_letters"  # the name that they go by, beside the corpora
UNFOLDINGS = 16  # of a letter's template
FEWEST_LETTERS = 8


@dataclass(frozen=True, slots=True)
class Share:
    """How much of a corpus trains: at most `cap` examples per label, each taken `repeat` times."""

    cap: int = 3000
    repeat: int = 1


# Caps balance the corpora, so that none teaches the model to recognise itself, and keep a run on
# two cores within the hour.
SHARES = {
    "enron_ham": Share(2000),  # one company's mail; ham alone
    "enron_spam_preprocessed": Share(4000),  # subject and text only
    LETTERS: Share(repeat=4),  # a template each, which unfolds into something else each time
    "lingspam_bare": Share(400),  # one linguistics list
    "lists_2019_2023": Share(4000),
    "nazario_csv": Share(1300),
    "scams_2023_2025": Share(repeat=3),  # few, and the newest there is
    "sentiment_custrev": Share(1300),
    "sentiment_sst5": Share(900),
    "sentiment_tweeteval": Share(repeat=3),  # small, and the nearest to what people write
    "sentiment_vader_editorials": Share(1300),  # sentences of newspaper comment
    "sentiment_vader_tweets": Share(),
    "sms_spam_collection": Share(200),  # not mail
    "spamassassin": Share(3000),
}
# These words of a label mean the same to a corpus that names its own split.
SPLITS: dict[str, Split] = {"test": "test", "dev": "validation", "train": "train"}


@dataclass(frozen=True, slots=True)
class Example:
    """A text as the model reads it, and what is known of it.

    `texts` begins with the plain reading; the rest are variants for training, or unfoldings that
    are all `alike`. `labels` maps task
    to label: a task that is not in it is unknown here. `belief` is how likely it is spam, 0..1, by
    all that a site's labels taught, where nobody labelled it. `group` is equal for equal bodies.
    """

    texts: tuple[str, ...]
    labels: dict[str, str]
    corpus: str
    split: Split
    group: str
    repeat: int = 1
    alike: bool = False  # no reading is plainer than another
    belief: float | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """What to read: all that decides the examples, beside the files themselves."""

    max_characters: int
    seed: int = 0
    limit: int | None = None  # most examples per corpus and label; None: by SHARES
    exclude: tuple[str, ...] = ()
    only: tuple[str, ...] = ()  # these corpora alone; none named: all of them
    variants: int = VARIANTS
    changes: tuple[str, ...] = tuple(CHANGES)  # that variants are made by (trainer.augment)
    by_share: bool = True  # False: nothing is trained on, so all of it is test
    cut: tuple[str, str] | None = None  # a corpus and a day (ISO 8601): without its mails from then
    after_cut: bool = False  # or of these alone
    letters: bool = False  # whether our own letters (trainer.letters) come with them


class Seen:
    """The texts that were taken, so that none is taken twice, nor one that is nearly the same.

    Given to `read_examples` again, it keeps what was trained on out of what is judged.
    """

    def __init__(self) -> None:
        self._groups: set[str] = set()
        self._near = SeenTexts()

    def has(self, group: str) -> bool:
        """Whether a text with the same letters was taken."""
        return group in self._groups

    def add(self, group: str, text: str, *, is_mail: bool) -> bool:
        """Take a text; False if a near-duplicate of it was taken before."""
        self._groups.add(group)
        return not is_mail or self._near.add(text)


@dataclass(slots=True)
class _Quota:
    """Counts what a corpus has given, per label and split."""

    share: Share
    limit: int | None
    by_share: bool
    taken: Counter[tuple[str, str]] = field(default_factory=Counter)

    def cap(self, split: Split) -> float:
        if split == "test":  # of a corpus that trains, all that it keeps for judging
            return float("inf") if self.limit is None or self.by_share else self.limit
        cap = self.share.cap if split == "train" else VALIDATION_CAP
        return cap if self.limit is None else min(cap, self.limit)

    def is_spent(self, label: str, split: Split) -> bool:
        return self.taken[label, split] >= self.cap(split)

    def spend(self, label: str, split: Split) -> None:
        self.taken[label, split] += 1

    def is_full(self, label: str) -> bool:
        """Whether reading on is worth nothing: validation has its share of what trains by then."""
        return self.is_spent(label, "train" if self.by_share else "test")


def read_examples(
    folder: Path, plan: Plan, progress: Progress, seen: Seen | None = None
) -> list[Example]:
    """Every example of a corpora folder by this plan, in a fixed order, and nothing in `seen`.

    `progress` is told corpus, sources done and sources in all. Raises CorporaError.
    """
    names = find_corpora(folder)
    if unknown := {*plan.exclude, *plan.only} - set(names):
        raise CorporaError(f"{folder}: no corpus '{min(unknown)}' in it")
    names = [name for name in plan.only or names if name not in plan.exclude]
    seen = Seen() if seen is None else seen
    examples: list[Example] = []
    for name in names:
        examples += _read_corpus(folder, name, plan, seen, progress)
    if plan.letters:
        examples += read_letters(plan)
    if not examples:
        raise CorporaError(f"{folder}: no message in it; nothing to learn from")
    return examples


def _read_corpus(
    folder: Path, name: str, plan: Plan, seen: Seen, progress: Progress
) -> Iterator[Example]:
    sources = list_sources(folder, name, plan.seed)
    left_out = load_left_out()
    quota = _Quota(SHARES.get(name, Share()), plan.limit, plan.by_share)
    has_train = any(source.split == "train" for source in sources)
    pools: dict[str, list[str]] = {}
    for source in sources:
        if source.task == SENTIMENT:
            pools.setdefault(source.label, []).append(str(source.fields["text"]))
    for number, source in enumerate(sources):
        progress(name, number, len(sources))
        if not source.split and quota.is_full(source.label):
            continue
        chance = random.Random(f"{plan.seed}/{name}/{number}")  # noqa: S311 - no secret
        is_sentence = source.task == SENTIMENT
        message = plain(source.fields["text"]) if is_sentence else read_message(source)
        if plan.cut and name == plan.cut[0] and not _is_in_time(message, plan):
            continue
        group = fingerprint(message)
        if seen.has(group) or (name, group) in left_out:
            continue
        split = choose_split(source.split, group, has_train=has_train) if plan.by_share else "test"
        if quota.is_spent(source.label, split):
            continue
        if not seen.add(group, message.text, is_mail=not is_sentence):
            continue
        quota.spend(source.label, split)
        others = pools.get(source.label, []) if split == "train" else []
        yield Example(
            tuple(_readings(source, message, split, others, plan, chance)),
            source.labels,
            name,
            split,
            group,
            quota.share.repeat if split == "train" else 1,
        )
    progress(name, len(sources), len(sources))


@cache
def load_left_out() -> frozenset[tuple[str, str]]:
    """Corpus and fingerprint of mails whose label is wrong, as found among the worst mistakes."""
    with LEFT_OUT.open(encoding="utf-8", newline="") as lines:
        return frozenset(
            (row["corpus"], row["fingerprint"]) for row in csv.DictReader(lines, delimiter="\t")
        )


def _is_in_time(message: Message, plan: Plan) -> bool:
    """Whether a mail of the corpus that is cut stands on the plan's side; undated ones on none."""
    day = arrived_on(message)
    if day is None or plan.cut is None:
        return False
    return (day.isoformat() >= plan.cut[1]) == plan.after_cut


def read_letters(plan: Plan) -> Iterator[Example]:
    """An example per template of our own letters, with its unfoldings for readings."""
    templates = load_templates()
    step = 1 if plan.limit is None else max(len(templates) // plan.limit, 1)  # of every kind some
    for number, template in enumerate(templates):
        if number % step:
            continue
        chance = random.Random(f"{plan.seed}/{LETTERS}/{number}")  # noqa: S311 - no secret
        group = hashlib.sha256(template.body.encode()).hexdigest()[:16]
        split = choose_split("", group, has_train=True)
        count = UNFOLDINGS if split == "train" else 1
        texts = (
            render(unfold(template, chance), max_characters=plan.max_characters)
            for _ in range(count)
        )
        repeat = SHARES[LETTERS].repeat if split == "train" else 1
        yield Example(tuple(texts), template.labels, LETTERS, split, group, repeat, alike=True)


def _readings(
    source: Source,
    message: Message,
    split: Split,
    others: Sequence[str],
    plan: Plan,
    chance: random.Random,
) -> Iterator[str]:
    yield render(message, max_characters=plan.max_characters)
    for _ in range(plan.variants if split == "train" else 0):
        if source.task == SENTIMENT:
            variant = wrapped(source.fields["text"], others, chance)
        else:
            is_spam = source.labels[SPAM] == "spam"
            variant = vary(message, chance, plan.changes, spam=is_spam)
        yield render(variant, max_characters=plan.max_characters)


def fingerprint(message: Message) -> str:
    """Equal for messages with the same letters in their bodies: hex of 64 bits.

    Figures, punctuation and case do not count, so a form letter with another sum is the same one.
    """
    letters = re.sub(r"[\W\d_]+", "", message.text.lower())
    if len(letters) < FEWEST_LETTERS:  # nothing to tell it by but the subject
        letters = re.sub(r"\s+", "", f"{message.subject}\n{message.text}".lower())
    return hashlib.sha256(letters.encode("utf-8", "replace")).hexdigest()[:16]


def choose_split(given: str, group: str, *, has_train: bool) -> Split:
    """The split of an example: its corpus' own, else by its group, so that copies stay together.

    A corpus that names a validation split but no training split is there to be trained on.
    """
    if given in SPLITS and (has_train or given == "test"):
        return SPLITS[given]
    return "validation" if int(group, 16) % 100 < VALIDATION_PERCENT else "train"


def digest(examples: Collection[Example]) -> str:
    """SHA-256 over texts, labels and splits, whatever their order: which data it was."""
    rows = sorted(json.dumps([each.texts, each.labels, each.split]) for each in examples)
    return hashlib.sha256("\n".join(rows).encode()).hexdigest()


def save_examples(file: Path, examples: Sequence[Example]) -> None:
    """One JSON line each; whole or not there."""
    temporary = file.with_suffix(".writing")
    with temporary.open("w", encoding="utf-8", errors="surrogatepass") as lines:
        lines.writelines(json.dumps(asdict(each)) + "\n" for each in examples)
    temporary.rename(file)


def load_examples(file: Path) -> list[Example]:
    """What `save_examples` wrote."""
    with file.open(encoding="utf-8", errors="surrogatepass") as lines:
        rows = [json.loads(line) for line in lines]
    return [Example(**{**row, "texts": tuple(row["texts"])}) for row in rows]


def choose(examples: Sequence[Example], task: str, split: Split) -> list[Example]:
    """The examples of a split that carry a label for the task."""
    return [each for each in examples if each.split == split and task in each.labels]


def tally(examples: Sequence[Example]) -> Counter[tuple[str, str, str]]:
    """How many examples there are per corpus, label and split."""
    return Counter(
        (each.corpus, label, each.split) for each in examples for label in each.labels.values()
    )
