"""The rules of the gate, one function each: scores in, a `Rule` out. Pure."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.stats import binom, norm

from trainer.corpora import SPAM
from trainer.dataset import TASKS
from trainer.evaluate import FALSE_POSITIVES, class_figures, labels_of, missed_area
from trainer.gate import AUC_LOSS, CHANGED_DECISIONS
from trainer.golden_losses import most_in_all
from trainer.night_words import amount, more

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from trainer.scored import Scored

    Pair = tuple[float, float]  # champion's, candidate's


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule's outcome. `figure` and `limit` are None where there was nothing to go by."""

    name: str
    passed: bool
    figure: float | None
    limit: float | None
    text: str

    def as_json(self) -> dict[str, Any]:
        """As a run's row keeps it."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Limits:
    """How much worse a candidate may be than the champion, and why no less."""

    # More ham flagged, of the newest and of validation: thresholds are chosen for one ham in a
    # thousand, so chance alone brings that many others. Allowed is what it stays within in 19
    # nights of 20.
    ham_by_chance: float = FALSE_POSITIVES
    confidence: float = 0.95
    # 1-ROCA in percent: one standard error with 400 hams, 400 spams and an area of 0.997
    # (Hanley and McNeil 1982).
    missed_area: float = 0.2
    # Share of spam caught: where the threshold is 0.99, being a little less certain costs some
    # points. With no limit at all, a candidate that flags nothing would pass.
    spam_caught: float = 0.05
    # Of the golden set's spam, all nights together: nights that go on losing five points each
    # would end at nothing.
    spam_caught_in_all: float = 0.1
    # Corrected labels that were held out: of fewer, a campaign or two would decide whether a
    # night's work may serve, and one in ten may go, rounded up: where the model is mostly right,
    # many a correction is a wrong click.
    fewest_to_rise: int = 30
    wrong_clicks: float = 0.1
    # Macro-F1: two texts in 200, or what chance makes of those that only one of both gets right. Of
    # fewer than 50 a single one is more than that.
    f1: float = 0.01
    fewest_for_f1: int = 50
    # Of the champion's milliseconds. It is the same graph with other weights: what is slower
    # than a busy machine makes it is another one.
    latency: float = 1.2
    # Of the champion's bytes, likewise; a new task's head is far below a tenth.
    size: float = 1.1


# A text's score is not taken for surer than this when it is wrong: one must not decide for all.
SUREST = 0.005


def chance_of_ham(count: int, limits: Limits) -> int:
    """How many more of `count` hams chance flags in all but one of 20 nights."""
    return int(binom.ppf(limits.confidence, count, limits.ham_by_chance)) if count else 0


def golden_ham(scored: Scored, thresholds: Pair) -> Rule:
    """No more ham of the golden set may be flagged than before."""
    return _flagged(
        "golden_ham", scored, scored.labelled("ham"), thresholds, 0, "of the golden set"
    )


def newest_ham(scored: Scored, thresholds: Pair, limits: Limits) -> Rule:
    """Nor of what staff labelled ham last, beyond chance."""
    return _labelled_ham("newest_ham", scored, thresholds, limits, "that staff labelled last")


def validation_ham(scored: Scored, thresholds: Pair, limits: Limits) -> Rule:
    """Nor of labelled ham of before, beyond chance; ranks alone would not tell."""
    return _labelled_ham("validation_ham", scored, thresholds, limits, "held out before")


def newest_unlabelled(scored: Scored, thresholds: Pair, limits: Limits) -> Rule:
    """Nor of what the champion takes for ham without doubt, beyond chance."""
    ham = scored.assumed_ham()
    allowed = chance_of_ham(int(ham.sum()), limits)
    where = "of the newest without a label"
    return _flagged("newest_unlabelled", scored, ham, thresholds, allowed, where)


def _labelled_ham(name: str, scored: Scored, thresholds: Pair, limits: Limits, where: str) -> Rule:
    ham = scored.labelled("ham")
    allowed = chance_of_ham(int(ham.sum()), limits)
    return _flagged(name, scored, ham, thresholds, allowed, where)


def _flagged(
    name: str,
    scored: Scored,
    ham: NDArray[np.bool_],
    thresholds: Pair,
    allowed: int,
    where: str,
) -> Rule:
    """No more of this ham may be flagged than the champion does, and `allowed`."""
    if not ham.any():
        return Rule(name, True, None, None, f"There was no good mail {where} to judge by")
    before, after = (
        int((scores[ham] >= threshold).sum())
        for scores, threshold in zip(scored.spam(), thresholds, strict=True)
    )
    limit = before + allowed
    if after > limit:
        text = f"{more(after - before, 'good mail')} {where} would be taken for spam"
        return Rule(name, False, after, limit, f"{text} ({after}, allowed {limit})")
    text = f"{after} of {amount(int(ham.sum()), 'good mail')} {where} would be taken for spam"
    return Rule(name, True, after, limit, f"{text} (before {before}, allowed {limit})")


def corrected(
    scored: Scored, thresholds: Pair, tasks: Mapping[str, Sequence[str]], limits: Limits
) -> Rule:
    """More of what staff corrected must be right than before, or all of it; of spam no less.

    Counted over the labels of all tasks: a night of corrected sentiments has to teach those. Of
    few it need only be hardly less.
    """
    found = {task: _right(scored, task, names, thresholds) for task, names in tasks.items()}
    total = sum(count for count, _, _ in found.values())
    if not total:
        return Rule("corrected", True, None, None, "No corrected mail was held out")
    before = sum(right for _, right, _ in found.values())
    after = sum(right for _, _, right in found.values())
    must_rise = total >= limits.fewest_to_rise
    may_go = 0 if must_rise else math.ceil(limits.wrong_clicks * total)
    limit = min(before + 1, total) if must_rise else max(before - may_go, 0)
    _, spam_before, spam_after = found.get(SPAM, (0, 0, 0))
    told = (
        f"Of {amount(total, 'label')} of corrected mails held out, {after} are judged right, "
        f"{before} before"
    )
    if after < limit:
        must = "they must become more" if must_rise else f"at least {limit} are needed"
        return Rule("corrected", False, after, limit, f"{told}: {must}")
    if spam_after < spam_before - may_go:
        text = f"{told}, but of spam and ham only {spam_after}, {spam_before} before"
        return Rule("corrected", False, after, limit, text)
    return Rule("corrected", True, after, limit, told)


def _right(
    scored: Scored, task: str, names: Sequence[str], thresholds: Pair
) -> tuple[int, int, int]:
    """How many texts are labelled for the task; how many champion and candidate get right."""
    rows, wanted = labels_of(scored.examples, task, names)
    if not len(rows) or task not in scored.champion:
        return 0, 0, 0
    right = []
    for bundle, threshold in zip((scored.champion, scored.candidate), thresholds, strict=True):
        scores = bundle[task][rows]
        given = (
            np.where(scores[:, -1] >= threshold, len(names) - 1, 0)
            if task == SPAM
            else scores.argmax(axis=1)
        )
        right.append(int((given == wanted).sum()))
    return len(rows), right[0], right[1]


def spam_caught(sets: Sequence[Scored], thresholds: Pair, limits: Limits) -> Rule:
    """Of all labelled spam of the sets about as much must be caught, at the thresholds."""
    caught, total = np.zeros(2, dtype=int), 0
    for scored in sets:
        spam = scored.labelled("spam")
        total += int(spam.sum())
        for number, scores in enumerate(scored.spam()):
            caught[number] += int((scores[spam] >= thresholds[number]).sum())
    if not total:
        return Rule("spam_caught", True, None, None, "There was no spam to catch")
    before, after = (round(float(share), 6) for share in caught / total)
    limit = round(before - limits.spam_caught, 6)
    text = f"{100 * after:.1f}% of {total} spam mails are caught, {100 * before:.1f}% before"
    return _at_least("spam_caught", after, limit, text, f"at least {100 * limit:.1f}% is needed")


def surprise(sets: Sequence[Scored]) -> Rule:
    """What staff said of mail that was held out may not surprise it more than the champion.

    The mean log loss, each text's bounded: it moves with every score, where counts at a threshold
    do not. Without it a night that learnt nothing would serve, and nights of chance add up.
    """
    losses: list[list[float]] = [[], []]
    for scored in sets:
        spam = scored.labelled("spam")
        for number, scores in enumerate(scored.spam()):
            for label, rows in ((1, spam), (0, scored.labelled("ham"))):
                said = scores[rows] if label else 1 - scores[rows]
                losses[number] += (-np.log(np.clip(said, SUREST, 1.0))).tolist()
    if not losses[0]:
        return Rule("surprise", True, None, None, "No mail that staff labelled was held out")
    before, after = (round(float(np.mean(each)), 4) for each in losses)
    text = (
        f"The mean log loss over {amount(len(losses[0]), 'mail')} that staff labelled is "
        f"{after:.3f}, {before:.3f} before"
    )
    return _at_most("surprise", after, before, text, "it may not rise")


def area_missed(scored: Scored, limits: Limits) -> Rule:
    """Spam and ham must be told apart about as well, wherever the threshold lies."""
    name = "missed_area"
    rows, wanted = labels_of(scored.examples, SPAM, TASKS[SPAM])
    before, after = (missed_area(scores[rows], wanted == 1) for scores in scored.spam())
    if before is None or after is None:
        return Rule(name, True, None, None, "There were not both ham and spam to tell apart")
    before, after = round(before, 4), round(after, 4)
    limit = round(before + limits.missed_area, 4)
    text = f"1-ROCA of spam is {after:.3f}%, {before:.3f}% before"
    return _at_most(name, after, limit, text, f"at most {limit:.3f}% is allowed")


def all_nights(golden: Mapping[str, Any], task: str) -> Rule:
    """Of the golden set all nights together may lose little of what the first bundle could do.

    `golden` is what a candidate's provenance tells of it (`trainer.candidate`).
    """
    name = f"all_nights_{task}"
    if task not in golden.get("losses", {}):
        return Rule(name, True, None, None, f"The golden set has nothing to judge {task} by")
    missed, first = (round(float(golden[each][task]), 5) for each in ("losses", "first"))
    limit = round(most_in_all(task, first), 5)
    if task == SPAM:
        text = f"1-ROCA of spam on the golden set is {missed:.3f}%, {first:.3f}% before any night"
        return _at_most(name, missed, limit, text, f"at most {limit:.3f}% is allowed")
    text = f"Macro-F1 of {task} on the golden set is {1 - missed:.3f}, {1 - first:.3f} before any"
    return _at_most(name, missed, limit, text, f"at least {1 - limit:.3f} is needed")


def all_nights_caught(
    scored: Scored, threshold: float, golden: Mapping[str, Any], limits: Limits
) -> Rule:
    """Nor may they catch much less of its spam; `threshold` is the candidate's."""
    name, spam = "all_nights_caught", scored.labelled("spam")
    if "caught" not in golden or not spam.any():
        return Rule(name, True, None, None, "The golden set has no spam to catch")
    after = round(float((scored.spam()[1][spam] >= threshold).mean()), 6)
    first = float(golden["caught"])
    limit = round(first - limits.spam_caught_in_all, 6)
    text = f"{100 * after:.1f}% of the golden set's spam are caught, {100 * first:.1f}% before any"
    return _at_least(name, after, limit, text, f"at least {100 * limit:.1f}% is needed")


def f1_of(scored: Scored, task: str, names: Sequence[str], limits: Limits) -> Rule:
    """Every other task must be done about as well."""
    name = f"f1_{task}"
    rows, wanted = labels_of(scored.examples, task, names)
    if len(rows) < limits.fewest_for_f1:
        text = f"Too few texts are labelled for {task} to judge by ({len(rows)})"
        return Rule(name, True, None, None, text)
    if task not in scored.champion:
        return Rule(name, True, None, None, f"The champion does not know the task {task}")
    given = [bundle[task][rows] for bundle in (scored.champion, scored.candidate)]
    before, after = (float(class_figures(each, wanted, names)["macro_f1"]) for each in given)
    right_before, right_after = (each.argmax(axis=1) == wanted for each in given)
    chance = _chance_of_change(right_before, right_after, limits.confidence)
    limit = round(before - max(limits.f1, chance), 4)
    text = f"Macro-F1 of {task} is {after:.3f}, {before:.3f} before"
    return _at_least(name, after, limit, text, f"at least {limit:.3f} is needed")


def _chance_of_change(
    before: NDArray[np.bool_], after: NDArray[np.bool_], confidence: float
) -> float:
    """By how much the share of what is right falls by chance alone in all but one of 20 nights.

    Of the texts that only one of both gets right, either may get each (McNemar 1947).
    """
    return float(norm.ppf(confidence)) * float(np.sqrt((before != after).sum())) / len(before)


def int8_area(comparison: Mapping[str, Any], limits: Limits) -> Rule:
    """int8 must tell spam from ham as its full precision does, but for chance."""
    full, int8 = comparison["auc"].get("fp32"), comparison["auc"].get("int8")
    if full is None or int8 is None:
        return Rule("int8_area", True, None, None, "int8 had no ham and spam to be compared on")
    lost = round(full - int8, 6)  # as the areas are: a difference of floats is never exact
    text = f"int8 loses {lost:.5f} of its full precision's area under the ROC curve"
    # A night has some hundred labelled texts: there two that change places are more than that.
    chance = float(norm.ppf(limits.confidence)) * (comparison.get("auc_error") or 0.0)
    limit = round(AUC_LOSS + chance, 6)
    return _at_most("int8_area", lost, limit, text, f"at most {limit:.5f} is allowed")


def int8_verdicts(comparison: Mapping[str, Any], limits: Limits) -> Rule:
    """int8 must decide as its full precision does, but for chance."""
    same = comparison["same_decisions"].get(SPAM)
    if same is None:
        return Rule("int8_verdicts", True, None, None, "int8 had no texts to be compared on")
    changed = round(1 - same, 5)
    text = f"int8 changes {100 * changed:.2f}% of its full precision's verdicts"
    # Of some hundred texts that lie at the threshold now and then a few are one in two hundred.
    count = comparison.get("compared", {}).get(SPAM, 0)
    by_chance = float(binom.ppf(limits.confidence, count, CHANGED_DECISIONS)) if count else 0.0
    limit = max(CHANGED_DECISIONS, round(by_chance / max(count, 1), 5))
    allowed = f"of {amount(count, 'text')} at most {100 * limit:.2f}% is allowed"
    return _at_most("int8_verdicts", changed, limit, text, allowed)


def no_more_than(name: str, words: str, pair: Pair, allowed: float) -> Rule:
    """The candidate's of a pair may be at most so many times the champion's.

    `words` has a place for each, the candidate's first.
    """
    before, after = pair
    limit = round(before * allowed, 6)
    text = words.format(after, before)
    return _at_most(name, after, limit, text, f"at most {allowed:g} times as much is allowed")


def reproduced(*, reproduced: bool) -> Rule:
    """The bundle must give its own golden scores when it is loaded again."""
    text = (
        "The golden scores come out the same when the bundle is loaded again"
        if reproduced
        else "The golden scores come out otherwise when the bundle is loaded again"
    )
    return Rule("reproduced", reproduced, float(reproduced), 1.0, text)


def _at_most(name: str, figure: float, limit: float, text: str, allowed: str) -> Rule:
    passed = figure <= limit
    return Rule(name, passed, figure, limit, text if passed else f"{text}: {allowed}")


def _at_least(name: str, figure: float, limit: float, text: str, needed: str) -> Rule:
    return replace(_at_most(name, -figure, -limit, text, needed), figure=figure, limit=limit)
