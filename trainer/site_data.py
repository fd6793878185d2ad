"""What a night learns from: the site's labels, recent mail with the champion's scores, our letters.

Held out are the corrected campaigns that fall to the gate, and the newest labels, forward in time.
Mails of one campaign are all on one side.
"""

from __future__ import annotations

import json
import random
from collections import Counter
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from filterd.model.manifest import SPAM_TASK
from filterd.pipeline import RENDERED_CHARACTERS
from filterd.store.messages import unlabelled
from filterd.store.sealing import Sealing
from filterd.store.training import labelled_records
from trainer.campaigns import campaigns, near_any
from trainer.corpora import SPAM
from trainer.dataset import Example, Plan, read_letters
from trainer.trust import Trust, accept, capped, share_of

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence
    from pathlib import Path

    from filterd.learner.site import Opinion
    from filterd.store.database import Database
    from filterd.store.messages import MessageRecord
    from filterd.store.training import LabelledRecord
    from trainer.dataset import Split

OPEN = Sealing()
# Names that examples go by, in place of a corpus'.
LABELLED, REPLAYED, LETTERS = "labelled", "replayed", "own_letters"
# Of the campaigns one in five is for the gate, and the newest fifth of the labels, of a week.
HELD_OUT = 5
NEWEST = timedelta(days=7)
NEWEST_SHARE = 0.2
VALIDATION = 10  # one in so many campaigns and replayed mails
# A correction says what the champion got wrong, and is read so often.
CORRECTED_REPEAT = 3
FEWEST_OF_TASK = 50  # examples of each label, for a task of the site's own
FEWEST_OF_EACH = 5  # labels of the rarer class, or it would learn to say one thing
REPLAY_DAYS = 30
LETTERS_TAKEN = 300  # of each kind: what every model of ours must not forget


@dataclass(frozen=True, slots=True)
class SiteMail:
    """A mail as data: its id, what the champion said of it, and its example."""

    id: str
    by: str
    received_at: datetime
    sender: str
    is_correction: bool
    example: Example


@dataclass(frozen=True, slots=True)
class SiteData:
    """All of a night's data. `left_out`: message id, labeller and why its label does not train;
    `recent_spam`: the groups of recent mail without label that is spam to the site.
    """

    examples: list[Example]
    mails: list[SiteMail]
    corrected: list[SiteMail]
    newest: list[SiteMail]
    left_out: list[tuple[str, str, str]]
    counts: dict[str, int] = field(default_factory=dict)
    recent_spam: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class DataRule:
    """How the settings choose: whose labels, and how much of what; `threshold` is that of spam."""

    trust: Trust
    replay: int
    labeller_cap: float
    sender_cap: float
    threshold: float = 0.99
    seed: int = 0


def gather(
    database: Database,
    rule: DataRule,
    now: datetime,
    opinion_on: Callable[[MessageRecord], Opinion | None] = lambda _: None,
) -> SiteData:
    """The data of a night. `opinion_on` tells what the site holds of a mail without label; of one
    that it does not know, the champion is the teacher. Raises StoreError.
    """
    chance = random.Random(f"{rule.seed}/data")  # noqa: S311  # an order, not a secret
    records = labelled_records(database)
    groups = campaigns([record.text for record in records])
    mails, left_out = [], []
    for record, group in zip(records, groups, strict=True):
        labels, why = _labels(record, rule.trust)
        left_out += [(record.id, by, reason) for by, reason in why]
        if labels:
            mails.append(_mail(record, group, labels))
    held, newest, train = _hold_out(mails, now)
    texts = [record.text for record in records]
    replayed: list[Example] = []
    recent_spam: list[str] = []
    for recent in _replay(database, rule.replay, now, chance, texts):
        opinion = opinion_on(recent)
        replayed.append(_replayed(recent, opinion))
        if opinion is not None and opinion.spam >= rule.threshold:
            recent_spam.append(replayed[-1].group)
    letters = _letters(rule.seed)
    total = len(train) + len(replayed) + len(letters)
    train, over = capped(train, _by, share_of(rule.labeller_cap, total), chance)
    left_out += [(mail.id, mail.by, "labeller cap") for mail in over]
    train, over = capped(train, _sender, share_of(rule.sender_cap, total), chance)
    left_out += [(mail.id, mail.by, "sender cap") for mail in over]
    examples = [mail.example for mail in train] + replayed + letters
    counts = Counter(f"{each.corpus} {each.split}" for each in examples)
    counts |= {"held out": len(held), "newest": len(newest), "left out": len(left_out)}
    return SiteData(examples, train, held, newest, left_out, dict(counts), recent_spam)


def too_little(data: SiteData) -> str | None:
    """Why these labels are not worth a training, or None."""
    said = Counter(mail.example.labels.get(SPAM) for mail in data.mails)
    spam, ham = said["spam"], said["ham"]
    if min(spam, ham) < FEWEST_OF_EACH:
        return (
            f"too few labels of one kind: {spam} spam and {ham} ham can be trained on, of each "
            f"{FEWEST_OF_EACH} are needed"
        )
    return None


def new_tasks(data: SiteData, known: Collection[str]) -> dict[str, tuple[str, ...]]:
    """Tasks of the site's own that have enough examples for a head: labels with fewer are no part.

    Task -> its labels, in the order of the alphabet.
    """
    counts: dict[str, Counter[str]] = {}
    for mail in data.mails:
        for task, label in mail.example.labels.items():
            counts.setdefault(task, Counter())[label] += 1
    found = {
        task: tuple(sorted(label for label, count in said.items() if count >= FEWEST_OF_TASK))
        for task, said in counts.items()
        if task not in known
    }
    return {task: labels for task, labels in found.items() if len(labels) > 1}


def only_known(data: SiteData, tasks: Mapping[str, Collection[str]]) -> SiteData:
    """Without labels that these tasks do not have: a head cannot learn or be judged by them."""

    def trimmed(example: Example) -> Example:
        labels = {
            task: label for task, label in example.labels.items() if label in tasks.get(task, ())
        }
        return example if labels == example.labels else replace(example, labels=labels)

    def all_trimmed(mails: Sequence[SiteMail]) -> list[SiteMail]:
        return [replace(mail, example=trimmed(mail.example)) for mail in mails]

    return replace(
        data,
        examples=[trimmed(each) for each in data.examples],
        mails=all_trimmed(data.mails),
        corrected=all_trimmed(data.corrected),
        newest=all_trimmed(data.newest),
    )


def held_recent(data: SiteData) -> list[Example]:
    """Recent mail without label that is not trained on."""
    return [each for each in data.examples if each.corpus == REPLAYED and each.split != "train"]


def spam_among(data: SiteData, recent: Sequence[Example]) -> int:
    """How many of these recent mails without label are spam to the site."""
    is_spam = frozenset(data.recent_spam)
    return sum(each.group in is_spam for each in recent)


def save_data(file: Path, data: SiteData, sealing: Sealing = OPEN) -> None:
    """All of it, with texts, to go on from: whole or not there; sealed as the database is."""
    temporary = file.with_suffix(".writing")
    text = json.dumps(asdict(data), default=datetime.isoformat)
    temporary.touch(mode=0o600)
    temporary.write_bytes(sealing.seal(text.encode(errors="surrogatepass")))
    temporary.rename(file)


def load_data(file: Path, sealing: Sealing = OPEN) -> SiteData:
    """What `save_data` wrote. Raises SealedError."""
    known = json.loads(sealing.open(file.read_bytes()).decode(errors="surrogatepass"))
    mails = {
        name: [_to_mail(row) for row in known[name]] for name in ("mails", "corrected", "newest")
    }
    examples = [_to_example(row) for row in known["examples"]]
    left_out = [(id_, by, why) for id_, by, why in known["left_out"]]
    return SiteData(
        examples=examples,
        left_out=left_out,
        counts=known["counts"],
        recent_spam=known["recent_spam"],
        **mails,
    )


def listing(data: SiteData) -> str:
    """Which mails were used and which left out, a JSON line each, without text: for people."""
    rows: list[dict[str, object]] = [
        {
            "id": mail.id,
            "labels": mail.example.labels,
            "by": mail.by,
            "used": use,
            "campaign": mail.example.group,
        }
        for use, mails in (
            ("train", data.mails),
            ("corrected", data.corrected),
            ("newest", data.newest),
        )
        for mail in mails
    ]
    rows += [{"id": id_, "by": by, "left_out": why} for id_, by, why in data.left_out]
    return "".join(json.dumps(row) + "\n" for row in rows)


def _to_mail(row: dict[str, Any]) -> SiteMail:
    at = datetime.fromisoformat(row["received_at"])
    return SiteMail(**{**row, "received_at": at, "example": _to_example(row["example"])})


def _to_example(row: dict[str, Any]) -> Example:
    return Example(**{**row, "texts": tuple(row["texts"])})


def _labels(
    record: LabelledRecord, trust: Trust
) -> tuple[dict[str, tuple[str, str]], list[tuple[str, str]]]:
    """Task -> label and who gave it; and labellers with the reasons why theirs do not count."""
    taken: dict[str, tuple[str, str]] = {}
    left: list[tuple[str, str]] = []
    for task, found in accept(record.labels, trust).items():
        if isinstance(found, str):
            left += [(label.by, found) for label in record.labels if label.task == task]
        else:
            taken[task] = (found.label, found.by)
    return taken, left


def _mail(record: LabelledRecord, group: str, labels: Mapping[str, tuple[str, str]]) -> SiteMail:
    said = labels.get(SPAM_TASK)
    corrects = said is not None and record.verdict is not None and said[0] != record.verdict
    by = said[1] if said is not None else next(iter(labels.values()))[1]
    example = Example(
        texts=(record.text,),
        labels={task: label for task, (label, _) in labels.items()},
        corpus=LABELLED,
        split="validation" if int(group, 16) // HELD_OUT % VALIDATION == 0 else "train",
        group=group,
        repeat=CORRECTED_REPEAT if corrects else 1,
    )
    return SiteMail(record.id, by, record.received_at, record.from_address, corrects, example)


def _hold_out(
    mails: Sequence[SiteMail], now: datetime
) -> tuple[list[SiteMail], list[SiteMail], list[SiteMail]]:
    """Corrected campaigns for the gate, the newest labels, and what is left to train on."""
    most = int(NEWEST_SHARE * len(mails))
    recent = [mail for mail in mails if mail.received_at >= now - NEWEST]
    newest = recent[len(recent) - min(most, len(recent)) :]
    # The campaign of a mail that is held out in time is held out with it.
    new_groups = {mail.example.group for mail in newest}
    held_groups = {
        mail.example.group
        for mail in mails
        if mail.is_correction and int(mail.example.group, 16) % HELD_OUT == 0
    }
    held = [mail for mail in mails if mail.example.group in held_groups - new_groups]
    rest = [mail for mail in mails if mail.example.group not in held_groups | new_groups]
    return held, newest, rest


def _replay(
    database: Database,
    count: int,
    now: datetime,
    chance: random.Random,
    labelled: Sequence[str],
) -> list[MessageRecord]:
    """Recent mail that nobody labelled: the champion's own scores of it are not to be forgotten.

    None that is nearly the same as a labelled one: of that, people know better.
    """
    found = unlabelled(database, SPAM_TASK, now - timedelta(days=REPLAY_DAYS), 4 * count)
    records = [record for record in found if record.text]
    known = near_any([record.text or "" for record in records], labelled)
    records = [record for record, is_known in zip(records, known, strict=True) if not is_known]
    if len(records) > count:
        records = chance.sample(records, count)
    return records


def _replayed(record: MessageRecord, opinion: Opinion | None) -> Example:
    digits = int(record.digest[:16] or "1", 16)
    split: Split = "validation" if digits % VALIDATION == 0 else "train"
    group, belief = record.digest[:16], None if opinion is None else opinion.belief
    return Example((record.text or "",), {}, REPLAYED, split, group, belief=belief)


def _letters(seed: int) -> list[Example]:
    plan = Plan(RENDERED_CHARACTERS, seed=seed, limit=LETTERS_TAKEN, letters=True)
    return [replace(each, repeat=1) for each in read_letters(plan) if each.split == "train"]


def _by(mail: SiteMail) -> str:
    return mail.by


def _sender(mail: SiteMail) -> str:
    return mail.sender.lower()
