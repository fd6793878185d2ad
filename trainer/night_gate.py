"""Whether a night's candidate may serve: rules over what both bundles say of the same texts. Pure.

Every rule says its figure, its limit and a sentence for people. A rule that has nothing to go by
passes and says so; one that cannot be computed is an error and no pass.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from trainer import night_rules as rules
from trainer.corpora import SPAM
from trainer.dataset import TASKS
from trainer.night_rules import Limits
from trainer.scored import joined

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from trainer.night_rules import Pair, Rule
    from trainer.scored import ScoredSets

MILLISECONDS = "{:.1f} ms for a text, {:.1f} before"
BYTES = "{:,.0f} bytes, {:,.0f} before"


def judge(
    sets: ScoredSets,
    *,
    thresholds: Pair,
    comparison: Mapping[str, Any],
    golden: Mapping[str, Any],
    milliseconds: Pair,
    bytes: Pair,  # noqa: A002 - what it is
    golden_reproduced: bool,
    limits: Limits | None = None,
    tasks: Mapping[str, Sequence[str]] = TASKS,
) -> list[Rule]:
    """Every rule's outcome, in a fixed order. Pairs are the champion's and the candidate's.

    `thresholds` are those that each would serve spam with; `comparison` is
    `trainer.gate.compare_graphs` of the candidate, `golden` its provenance's word on the golden
    set: what it misses, and what was missed and caught before any night; `tasks` are the
    candidate's, with labels.
    """
    limits = Limits() if limits is None else limits
    known = joined(sets.golden, sets.validation)
    others = [task for task in tasks if task != SPAM]
    return [
        # First: of a bundle that gives other scores than its own, no other figure says anything.
        rules.reproduced(reproduced=golden_reproduced),
        rules.golden_ham(sets.golden, thresholds),
        rules.newest_ham(sets.newest, thresholds, limits),
        rules.newest_unlabelled(sets.newest, thresholds, limits),
        rules.validation_ham(sets.validation, thresholds, limits),
        rules.corrected(sets.corrected, thresholds, tasks, limits),
        rules.surprise((sets.corrected, sets.newest, sets.validation)),
        rules.spam_caught((sets.golden, sets.validation, sets.newest), thresholds, limits),
        rules.area_missed(known, limits),
        *(rules.all_nights(golden, task) for task in tasks),
        rules.all_nights_caught(sets.golden, thresholds[1], golden, limits),
        *(rules.f1_of(known, task, tasks[task], limits) for task in others),
        rules.int8_area(comparison, limits),
        rules.int8_verdicts(comparison, limits),
        rules.no_more_than("latency", MILLISECONDS, milliseconds, limits.latency),
        rules.no_more_than("size", BYTES, bytes, limits.size),
    ]


def verdict(rules: Sequence[Rule]) -> tuple[bool, str]:
    """Whether the candidate may serve, and the reason in a line: the first rule that refuses it."""
    failed = [rule for rule in rules if not rule.passed]
    if failed:
        others = f"; and {len(failed) - 1} more" if len(failed) > 1 else ""
        return False, failed[0].text + others
    if not rules:
        return False, "No rule was applied"
    return True, f"All {len(rules)} rules passed"
