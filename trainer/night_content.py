"""All that is told of a night: what the report, the summary, the metrics and MLflow draw on."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from trainer.corpora import SPAM
from trainer.night_words import amount, lasting

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import datetime

    from trainer.night_rules import Pair, Rule
    from trainer.scored import Scored, ScoredSets

PROMOTED = "promoted"
TOLD_IN_SUMMARY = ("corrected", "golden_ham")


@dataclass(frozen=True, slots=True)
class Change:
    """A mail that champion and candidate judge differently.

    `place` is the set that it is of; `label` is what it is said to be, "" if nobody said;
    `subject` is "" where the site keeps none. The scores are probabilities of spam.
    """

    place: str
    id: str
    label: str
    before: float
    after: float
    is_flagged: bool  # by the candidate
    subject: str = ""


@dataclass(frozen=True, slots=True)
class LabelCount:
    """How many of one person's labels trained; how many did not, by reason."""

    labeller: str
    used: int
    left_out: Mapping[str, int]


@dataclass(frozen=True, slots=True, eq=False)
class NightContent:
    """One run. `made` is when it ended; `seconds` are those of each stage, in their order.

    `champion` is the bundle that served when it began. Without a candidate, `candidate` is "",
    `rules` are empty and `sets` None; `share` is how far it lies from the champion towards what was
    learnt, 0..1. `thresholds` are champion's and candidate's, of spam.
    `versions` name software and settings that a reader may need to make it again.
    """

    run: int
    state: str
    reason: str
    made: datetime
    champion: str
    champion_created: datetime
    candidate: str = ""
    share: float = 1.0
    rules: Sequence[Rule] = ()
    sets: ScoredSets | None = None
    thresholds: Pair = (0.5, 0.5)
    changes: Sequence[Change] = ()
    labels: Sequence[LabelCount] = ()
    seconds: Mapping[str, float] = field(default_factory=dict)
    data_digest: str = ""
    versions: Mapping[str, str] = field(default_factory=dict)

    @property
    def used(self) -> int:
        """How many labels trained."""
        return sum(each.used for each in self.labels)

    @property
    def left_out(self) -> int:
        """How many labels did not."""
        return sum(sum(each.left_out.values()) for each in self.labels)

    @property
    def duration(self) -> float:
        """Seconds of all stages."""
        return sum(self.seconds.values())


def count_labels(
    used: Iterable[str], left_out: Iterable[tuple[str, str]]
) -> tuple[LabelCount, ...]:
    """Counts by labeller, most used first.

    `used` names the labeller of each label that trains, `left_out` labeller and reason of each
    that does not.
    """
    used_by = Counter(used)
    reasons: dict[str, Counter[str]] = {labeller: Counter() for labeller in used_by}
    for labeller, reason in left_out:
        reasons.setdefault(labeller, Counter())[reason] += 1
    counts = (
        LabelCount(labeller, used_by[labeller], dict(sorted(found.items())))
        for labeller, found in reasons.items()
    )
    return tuple(sorted(counts, key=lambda each: (-each.used, each.labeller)))


def changed_verdicts(
    place: str,
    scored: Scored,
    thresholds: Pair,
    ids: Sequence[str],
    subjects: Sequence[str] | None = None,
) -> list[Change]:
    """The texts of a set that only one of both takes for spam; the largest difference first.

    `ids` and `subjects` go with `scored.examples`.
    """
    names = [""] * len(ids) if subjects is None else subjects
    found = []
    rows = zip(scored.examples, *scored.spam(), ids, names, strict=True)
    for example, before, after, id_, subject in rows:
        flagged = (before >= thresholds[0], after >= thresholds[1])
        if flagged[0] != flagged[1]:
            label = example.labels.get(SPAM, "")
            change = (place, id_, label, float(before), float(after), bool(flagged[1]), subject)
            found.append(Change(*change))
    return sorted(found, key=lambda each: -abs(each.after - each.before))


def summary_line(content: NightContent) -> str:
    """The run in a line, for Slack and digest: plain text, to be escaped for its place."""
    what = f"{content.candidate} {content.state}" if content.candidate else content.state
    if content.state != PROMOTED:
        return f"Run {content.run}: {what}: {content.reason}".rstrip(": ")
    told = [rule.text for rule in content.rules if rule.name in TOLD_IN_SUMMARY]
    begin = f"Run {content.run}: {what} after {lasting(content.duration)}"
    return ". ".join([f"{begin}, with {amount(content.used, 'label')}", *sorted(told)])
