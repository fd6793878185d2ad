"""AdamW as fine-tuning uses it: which parameter takes how large a step, and when."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from torch import Tensor

    from trainer.finetune import Recipe
    from trainer.network import MultiTaskBert


def make_optimizer(network: MultiTaskBert, recipe: Recipe) -> torch.optim.AdamW:
    """AdamW with smaller steps the nearer a layer is to the words, which know English already."""
    layers = network.config.num_hidden_layers
    groups: dict[tuple[float, float], list[Tensor]] = {}
    for name, parameter in network.named_parameters():
        if not parameter.requires_grad:
            continue
        rate = recipe.head_rate
        if name.startswith("bert."):
            depth = int(name.split(".")[3]) + 1 if name.startswith("bert.encoder.layer.") else 0
            rate = recipe.encoder_rate * recipe.layer_decay ** (layers - depth)
        # Biases and norms are scales, not evidence: decaying them only adds noise.
        decay = 0.0 if parameter.ndim == 1 else recipe.weight_decay
        groups.setdefault((rate, decay), []).append(parameter)
    return torch.optim.AdamW(
        [
            {"params": each, "lr": rate, "weight_decay": decay}
            for (rate, decay), each in groups.items()
        ],
        fused=True,
    )


def schedule(step: int, total: int, warm_up: float) -> float:
    """The share of the peak rate at a step: a linear rise over `warm_up` of all, then a fall."""
    rise = max(int(total * warm_up), 1)
    if step < rise:
        return (step + 1) / rise
    return max((total - step) / max(total - rise, 1), 0.0)
