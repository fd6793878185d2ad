"""Figures of merit, temperatures and thresholds: logits and labels in, numbers out. Pure.

Spam filtering's own measures first (TREC spam track): 1-ROCA% and recall at few false positives.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.special import expit, logit
from scipy.stats import rankdata
from sklearn.metrics import f1_score, roc_auc_score

from filterd.model.encoder import softmax
from trainer.corpora import SPAM

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from trainer.dataset import Example

    Figures = dict[str, Any]

LOWEST_THRESHOLD, HIGHEST_THRESHOLD = 0.5, 0.99
FALSE_POSITIVES = 0.001
FEWEST_ABOVE = 3  # hams above a threshold, to know it by counting
FEWEST_IN_TAIL = 10  # hams, to tell how their odds fall off


def missed_area(scores: NDArray[np.float64], is_spam: NDArray[np.bool_]) -> float | None:
    """1-ROCA%: the area above the ROC curve in percent; None if one class is missing."""
    if is_spam.all() or not is_spam.any():
        return None
    return float(100 * (1 - roc_auc_score(is_spam, scores)))


def error_of_difference(
    first: NDArray[np.float64], second: NDArray[np.float64], is_spam: NDArray[np.bool_]
) -> float | None:
    """Standard error of the difference of two areas under the ROC curve, 0..1, on the same texts.

    By DeLong, DeLong and Clarke-Pearson 1988. None with fewer than two texts of a class.
    """
    spam, ham = int(is_spam.sum()), int((~is_spam).sum())
    if min(spam, ham) < 2:
        return None
    parts = []
    for scores in (first, second):
        ranks = rankdata(scores)
        # Of each spam the share of hams below it, of each ham the share of spams above it.
        below = (ranks[is_spam] - rankdata(scores[is_spam])) / ham
        above = 1 - (ranks[~is_spam] - rankdata(scores[~is_spam])) / spam
        parts.append((below, above))
    (below, above), (below_second, above_second) = parts
    of_spam = np.var(below - below_second, ddof=1) / spam
    of_ham = np.var(above - above_second, ddof=1) / ham
    return float(np.sqrt(of_spam + of_ham))


def recall_at(
    scores: NDArray[np.float64], is_spam: NDArray[np.bool_], false_positives: float
) -> float | None:
    """Share of spam above the lowest threshold that at most this share of ham reaches."""
    if is_spam.all() or not is_spam.any():
        return None
    return float((scores[is_spam] > highest_ham(scores[~is_spam], false_positives)).mean())


def logistic_average(
    false_positives: int, ham: int, false_negatives: int, spam: int
) -> float | None:
    """lam%: both shares of mistakes averaged as log odds, in percent; None if one class is missing.

    TREC 2005 Spam Track Overview (Cormack and Lynam): logit⁻¹((logit(hm%) + logit(sm%)) / 2).
    It says how well a filter tells the two apart, wherever its threshold lies. No mistake at all
    would be odds of 0 and a perfect score whatever the other share: half a mistake is added to
    mistakes and to hits (Haldane and Anscombe; CEAS 2007 added the same half to mistakes,
    SpamAssassin bug 5376).
    """
    if not ham or not spam:
        return None
    odds = [
        (mistakes + 0.5) / (count - mistakes + 0.5)
        for mistakes, count in ((false_positives, ham), (false_negatives, spam))
    ]
    average = math.sqrt(odds[0] * odds[1])
    return 100 * average / (1 + average)


def highest_ham(ham: NDArray[np.float64], false_positives: float) -> float:
    """The ham score that only this share of all ham exceeds."""
    ranked = np.sort(ham)[::-1]
    return float(ranked[min(int(len(ranked) * false_positives), len(ranked) - 1)])


def choose_threshold(
    probabilities: NDArray[np.float64],
    is_spam: NDArray[np.bool_],
    false_positives: float = FALSE_POSITIVES,
) -> float:
    """The spam threshold for at most this share of false positives, kept within bounds.

    Above 0.99 no spam would be left on other mail; below 0.5 the verdict would go against the
    model's own belief.
    """
    if is_spam.all():
        return HIGHEST_THRESHOLD
    wanted = ham_quantile(probabilities[~is_spam], false_positives) + 1e-4
    return round(float(np.clip(wanted, LOWEST_THRESHOLD, HIGHEST_THRESHOLD)), 4)


def ham_quantile(ham: NDArray[np.float64], false_positives: float) -> float:
    """The probability (0..1) that this share of all ham exceeds.

    Of few hams the highest says little of the one in a thousand. Then the upper twentieth of their
    log odds is taken for exponential and goes on as it begins (peaks over threshold; Pickands
    1975).
    """
    if len(ham) * false_positives >= FEWEST_ABOVE:
        return highest_ham(ham, false_positives)
    odds = np.sort(logit(np.clip(ham, 1e-9, 1 - 1e-9)))[::-1]
    count = max(min(len(odds) - 1, FEWEST_IN_TAIL), len(odds) // 20)
    base = odds[count]
    excess = float((odds[:count] - base).mean()) if count else 0.0
    share = max(count, 1) / len(odds)
    return float(expit(max(base + excess * math.log(share / false_positives), odds[0])))


def fit_temperature(logits: NDArray[np.float64], labels: NDArray[np.int64]) -> float:
    """The T for which softmax(logits / T) has the least log loss (Guo et al. 2017).

    Golden-section search over log T in [-2, 3]: the loss has one minimum in 1/T.
    """
    if not len(labels):
        return 1.0
    rows = np.arange(len(labels))

    def loss(log_t: float) -> float:
        probabilities = softmax(logits / np.exp(log_t))[rows, labels]
        return float(-np.log(np.maximum(probabilities, 1e-12)).mean())

    low, high, ratio = -2.0, 3.0, (5**0.5 - 1) / 2
    for _ in range(40):
        left, right = high - ratio * (high - low), low + ratio * (high - low)
        low, high = (low, right) if loss(left) < loss(right) else (left, high)
    return round(float(np.exp((low + high) / 2)), 4)


def spam_figures(
    probabilities: NDArray[np.float64], is_spam: NDArray[np.bool_], threshold: float
) -> Figures:
    """All that is said of spam scores (0..1) against labels at a threshold."""
    flagged = probabilities >= threshold
    ham, spam = int((~is_spam).sum()), int(is_spam.sum())
    caught, blamed = int((flagged & is_spam).sum()), int((flagged & ~is_spam).sum())
    precision = caught / (caught + blamed) if caught + blamed else None
    recall = caught / spam if spam else None
    return {
        "ham": ham,
        "spam": spam,
        "one_minus_roca_percent": _rounded(missed_area(probabilities, is_spam)),
        "recall_at_0.1_percent": _rounded(recall_at(probabilities, is_spam, 0.001)),
        "recall_at_0.5_percent": _rounded(recall_at(probabilities, is_spam, 0.005)),
        "accuracy": _rounded(float((flagged == is_spam).mean())) if len(is_spam) else None,
        "precision": _rounded(precision),
        "recall": _rounded(recall),
        "f1": _rounded(2 * caught / (2 * caught + blamed + spam - caught)) if spam else None,
        "false_positives": blamed,
        "false_negatives": spam - caught,
    }


def class_figures(
    logits: NDArray[np.float64], labels: NDArray[np.int64], names: Sequence[str]
) -> Figures:
    """Accuracy, macro-F1 and the confusion matrix (rows: true, columns: given) of any task.

    Macro-F1 is over the labels that occur, so a two-class corpus is judged by its two.
    """
    given = logits.argmax(axis=1)
    present = sorted(set(labels.tolist()))
    confusion = np.zeros((len(names), len(names)), dtype=np.int64)
    np.add.at(confusion, (labels, given), 1)
    return {
        "count": len(labels),
        "accuracy": _rounded(float((given == labels).mean())) if len(labels) else None,
        "macro_f1": _rounded(
            float(f1_score(labels, given, labels=present, average="macro", zero_division=0))
        )
        if present
        else None,
        "confusion": confusion.tolist(),
    }


def labels_of(
    examples: Sequence[Example], task: str, names: Sequence[str]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Rows that have a label for the task, and the label's number: two int64 arrays."""
    rows = [row for row, each in enumerate(examples) if task in each.labels]
    labels = [names.index(examples[row].labels[task]) for row in rows]
    return np.array(rows, dtype=np.int64), np.array(labels, dtype=np.int64)


def score_tasks(
    tasks: Mapping[str, Sequence[str]],
    logits: Mapping[str, NDArray[np.float64]],
    examples: Sequence[Example],
    spam: tuple[float, float] = (1.0, 0.5),
) -> Figures:
    """Figures of every task, in all and by corpus, and the "objective" that training follows.

    `spam` is the spam task's temperature and threshold.

    The objective adds each task's own measure: for spam 1 - ten times the missed area, for
    others macro-F1; an empty task adds nothing.
    """
    figures: Figures = {}
    objective = 0.0
    for task, names in tasks.items():
        rows, labels = labels_of(examples, task, names)
        if not len(rows):
            continue
        found = logits[task][rows]
        figures[task] = _task_figures(task, found, labels, names, spam)
        corpora = [examples[row].corpus for row in rows]
        figures[task]["corpora"] = _by_group(task, found, labels, names, spam, corpora)
        missed = figures[task].get("one_minus_roca_percent")
        objective += figures[task]["macro_f1"] if missed is None else 1 - missed / 10
    return {**figures, "objective": round(objective, 5)}


def score_groups(
    tasks: Mapping[str, Sequence[str]],
    logits: Mapping[str, NDArray[np.float64]],
    examples: Sequence[Example],
    groups: Sequence[str],
    spam: tuple[float, float] = (1.0, 0.5),
) -> dict[str, dict[str, Figures]]:
    """Figures of every task by group, as `score_tasks` has them by corpus.

    `groups` names each example's group: its language, its kind, whatever is to be told apart.
    """
    found: dict[str, dict[str, Figures]] = {}
    for task, names in tasks.items():
        rows, labels = labels_of(examples, task, names)
        if len(rows):
            of_rows = [groups[row] for row in rows]
            found[task] = _by_group(task, logits[task][rows], labels, names, spam, of_rows)
    return found


def _by_group(
    task: str,
    logits: NDArray[np.float64],
    labels: NDArray[np.int64],
    names: Sequence[str],
    spam: tuple[float, float],
    groups: Sequence[str],
) -> dict[str, Figures]:
    of_rows = np.array(groups)
    return {
        group: _task_figures(task, logits[of_rows == group], labels[of_rows == group], names, spam)
        for group in sorted(set(groups))
    }


def _task_figures(
    task: str,
    logits: NDArray[np.float64],
    labels: NDArray[np.int64],
    names: Sequence[str],
    spam: tuple[float, float],
) -> Figures:
    figures = class_figures(logits, labels, names)
    if task == SPAM:
        figures |= spam_figures(softmax(logits / spam[0])[:, -1], labels == len(names) - 1, spam[1])
    return figures


def _rounded(figure: float | None) -> float | None:
    return None if figure is None else round(figure, 4)
