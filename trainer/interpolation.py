"""How far a night goes: a point on the way from the champion's weights to those that were learnt.

A site's mail is little and of few kinds, and a network that has learnt it well may do worse than
before with other mail. Between the two sets of weights it keeps most of both (Wortsman et al. 2022,
"Robust fine-tuning of zero-shot models"). So a night goes as far as the golden set lets it, and the
next one goes on from there.
"""

from __future__ import annotations

from copy import deepcopy
from typing import TYPE_CHECKING

import torch

from trainer.corpora import SPAM
from trainer.evaluate import class_figures, labels_of, missed_area

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from trainer.dataset import Example
    from trainer.network import MultiTaskBert

SHARES = (1.0, 0.75, 0.5, 0.25)
# Points of 1-ROCA%, and of macro-F1 of every other task, that a night may cost: half of what the
# gate allows (`trainer.night_rules.Limits`), since int8 and other mail have their say there.
MOST_AREA, MOST_F1 = 0.1, 0.005


def farthest(
    before: MultiTaskBert,
    after: MultiTaskBert,
    judge: Callable[[MultiTaskBert], Mapping[str, float]],
) -> tuple[MultiTaskBert, float]:
    """The network that lies as far from `before` towards `after` as it may, and its share, 0..1.

    `judge` gives `golden_losses`, by task. A quarter of the way it always goes: whether that may
    serve is for the gate to say.
    """
    at_first = judge(before)
    limits = {
        task: loss + (MOST_AREA if task == SPAM else MOST_F1) for task, loss in at_first.items()
    }
    for share in SHARES[:-1]:
        network = between(before, after, share)
        losses = judge(network)
        if all(losses[task] <= limit for task, limit in limits.items()):
            return network, share
    return between(before, after, SHARES[-1]), SHARES[-1]


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


def between(before: MultiTaskBert, after: MultiTaskBert, share: float) -> MultiTaskBert:
    """A network with weights so far on the way; heads that `before` lacks are those of `after`."""
    network, old = deepcopy(after), before.state_dict()
    weights = {
        name: torch.lerp(old[name], new, share) if new.is_floating_point() and name in old else new
        for name, new in after.state_dict().items()
    }
    network.load_state_dict(weights)
    return network
