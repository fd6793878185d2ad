"""How far a night goes: a point on the way from the champion's weights to those that were learnt.

A site's mail is little and of few kinds, and a network that has learnt it well may tell other mail
apart worse than before. Between the two sets of weights it keeps most of both (Wortsman et al.
2022, "Robust fine-tuning of zero-shot models"). So a night goes as far as the golden set lets it,
and the next one goes on from there.
"""

from __future__ import annotations

from copy import deepcopy
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from collections.abc import Callable

    from trainer.network import MultiTaskBert

SHARES = (1.0, 0.75, 0.5, 0.25)
# Percent of 1-ROCA that a night may cost: half of what the gate allows (`trainer.night_rules`),
# since int8 and other mail have their say there.
MOST_LOST = 0.1


def farthest(
    before: MultiTaskBert, after: MultiTaskBert, missed: Callable[[MultiTaskBert], float | None]
) -> tuple[MultiTaskBert, float]:
    """The network that lies as far from `before` towards `after` as it may, and its share, 0..1.

    `missed` is a network's 1-ROCA in percent on mail that neither was trained on; None if that has
    not both spam and ham.
    """
    best = missed(before)
    for share in SHARES[:-1]:
        network = between(before, after, share)
        if best is None or (missed(network) or 0.0) <= best + MOST_LOST:
            return network, share
    return between(before, after, SHARES[-1]), SHARES[-1]


def between(before: MultiTaskBert, after: MultiTaskBert, share: float) -> MultiTaskBert:
    """A network with weights so far on the way; heads that `before` lacks are those of `after`."""
    network, old = deepcopy(after), before.state_dict()
    weights = {
        name: torch.lerp(old[name], new, share) if new.is_floating_point() and name in old else new
        for name, new in after.state_dict().items()
    }
    network.load_state_dict(weights)
    return network
