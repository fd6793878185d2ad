"""How far a night goes: a point on the way from the champion's weights to those that were learnt.

A site's mail is little and of few kinds, and a network that has learnt it well may do worse than
before with other mail. Between the two sets of weights it keeps most of both (Wortsman et al. 2022,
"Robust fine-tuning of zero-shot models"). So a night goes as far as the golden set lets it, and the
next one goes on from there. What all nights together may cost is bounded, too: against what the
bundle that they began with made of the golden set.
"""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from trainer.golden_losses import most_in_all, most_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from trainer.network import MultiTaskBert

SHARES = (1.0, 0.75, 0.5, 0.25)


@dataclass(frozen=True, slots=True)
class Way:
    """A network, its share of the way, 0..1, and its losses (`trainer.golden_losses`).

    `first` are those of the bundle that nights began with, by task.
    """

    network: MultiTaskBert
    share: float
    losses: Mapping[str, float]
    first: Mapping[str, float]


def farthest(
    before: MultiTaskBert,
    after: MultiTaskBert,
    judge: Callable[[MultiTaskBert], Mapping[str, float]],
    known: Mapping[str, float],
) -> Way:
    """As far from `before` towards `after` as it may go.

    `judge` gives the losses, by task; `known` are those of the bundle that nights began with, if
    `before` is not it. A quarter of the way it always goes: whether that may serve is for the gate
    to say.
    """
    at_before = judge(before)
    first = {task: known.get(task, loss) for task, loss in at_before.items()}
    limits = {
        task: min(loss + most_of(task), most_in_all(task, first[task]))
        for task, loss in at_before.items()
    }
    for share in SHARES:
        network = between(before, after, share)
        losses = judge(network)
        if all(losses[task] <= limit for task, limit in limits.items()):
            break
    return Way(network, share, losses, first)


def between(before: MultiTaskBert, after: MultiTaskBert, share: float) -> MultiTaskBert:
    """A network with weights so far on the way; heads that `before` lacks are those of `after`."""
    network, old = deepcopy(after), before.state_dict()
    weights = {
        name: torch.lerp(old[name], new, share) if new.is_floating_point() and name in old else new
        for name, new in after.state_dict().items()
    }
    network.load_state_dict(weights)
    return network
