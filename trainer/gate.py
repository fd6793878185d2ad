"""What a model has to pass before it is published; so far, that int8 decides as fp32 does."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from filterd.model.encoder import softmax
from trainer.corpora import SPAM
from trainer.errors import TrainingError
from trainer.evaluate import error_of_difference, labels_of, missed_area

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from trainer.dataset import Example

AUC_LOSS = 0.0005
CHANGED_DECISIONS = 0.005


def compare_graphs(
    names: Mapping[str, Sequence[str]],
    full: Mapping[str, NDArray[np.float64]],
    int8: Mapping[str, NDArray[np.float64]],
    examples: Sequence[Example],
    spam: tuple[float, float],
    *,
    everywhere: bool = False,
) -> dict[str, Any]:
    """AUC of both on spam, the standard error of their difference, and per task the share of texts
    on which they decide alike, and of how many.

    `spam` is the spam task's temperature and threshold. Each task is compared on the texts that
    are labelled for it; whether they decide alike, with `everywhere`, on all texts.
    """
    temperature, threshold = spam
    alike: dict[str, float | None] = {}
    auc: dict[str, float | None] = {}
    counts: dict[str, int] = {}
    error = None
    for task, labels in names.items():
        rows, wanted = labels_of(examples, task, labels)
        graphs = {"fp32": full[task][rows], "int8": int8[task][rows]}
        if task == SPAM:
            scores = {name: softmax(logits / temperature)[:, -1] for name, logits in graphs.items()}
            is_spam = wanted == len(labels) - 1
            for name, each in scores.items():
                area = missed_area(each, is_spam)
                auc[name] = None if area is None else round(1 - area / 100, 6)
            error = error_of_difference(scores["fp32"], scores["int8"], is_spam)
        compared = slice(None) if everywhere else rows
        pair = [each[task][compared] for each in (full, int8)]
        if task == SPAM:
            first, second = (softmax(each / temperature)[:, -1] >= threshold for each in pair)
        else:
            first, second = (each.argmax(axis=1) for each in pair)
        alike[task] = round(float((first == second).mean()), 5) if len(first) else None
        counts[task] = len(first)
    return {"auc": auc, "auc_error": error, "same_decisions": alike, "compared": counts}


def refuse_unless_equal(comparison: Mapping[str, Any]) -> None:
    """TrainingError when int8 lost more than 0.0005 of AUC or moved over 0.5% of the verdicts."""
    full, int8 = comparison["auc"].get("fp32"), comparison["auc"].get("int8")
    if full is not None and int8 is not None and full - int8 > AUC_LOSS:
        raise TrainingError(
            f"int8 is not fit to serve: AUC {int8:.5f}, full precision has {full:.5f}"
        )
    same = comparison["same_decisions"].get(SPAM)
    if same is not None and 1 - same > CHANGED_DECISIONS:
        raise TrainingError(
            f"int8 is not fit to serve: it changes {100 * (1 - same):.2f}% of the verdicts"
        )
