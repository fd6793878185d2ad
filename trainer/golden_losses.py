"""What is missed of the golden set, and how much more of it a night, and all nights, may miss."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trainer.corpora import SPAM
from trainer.evaluate import class_figures, labels_of, missed_area

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from trainer.dataset import Example

# Points of 1-ROCA%, and of macro-F1 of every other task, that a night may cost: half of what the
# gate allows (`trainer.night_rules.Limits`), since int8 and other mail have their say there.
MOST_AREA, MOST_F1 = 0.1, 0.005
# All nights together may cost so many times as much.
NIGHTS_TOGETHER = 3


def golden_losses(
    logits: Mapping[str, NDArray[np.float64]],
    golden: Sequence[Example],
    tasks: Mapping[str, Sequence[str]],
) -> dict[str, float]:
    """What is missed of each task: 1-ROCA of spam in percent, of any other 1 - macro-F1, 0..1.

    `logits` [texts, labels] by task. Tasks of which the golden set has no labels are left out.
    """
    found: dict[str, float | None] = {}
    for task, labels in tasks.items():
        rows, wanted = labels_of(golden, task, labels)
        given = logits[task][rows]
        if task == SPAM:
            found[task] = missed_area(given[:, -1] - given[:, 0], wanted == len(labels) - 1)
        else:
            f1 = class_figures(given, wanted, labels)["macro_f1"]
            found[task] = None if f1 is None else 1 - f1
    return {task: loss for task, loss in found.items() if loss is not None}


def most_of(task: str) -> float:
    """How much more one night may miss of a task."""
    return MOST_AREA if task == SPAM else MOST_F1


def most_in_all(task: str, first: float) -> float:
    """How much may be missed of a task after any number of nights; `first` was before them."""
    return first + NIGHTS_TOGETHER * most_of(task)
