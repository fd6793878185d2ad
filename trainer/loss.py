"""What training makes small: the distance from people's labels, and from a teacher's scores."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch.nn.functional import cross_entropy, kl_div, log_softmax

from trainer.batches import UNKNOWN

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from torch import Tensor


def hard_loss(
    outputs: Mapping[str, Tensor], labels: Mapping[str, Tensor], smoothing: Mapping[str, float]
) -> Tensor:
    """Sum over tasks of the cross entropy of the texts labelled for it, per text of the batch.

    A text without a label for a task adds nothing to it, so tasks mix in any proportion.
    """
    total = torch.zeros((), device=next(iter(outputs.values())).device)
    for task, wanted in labels.items():
        total = total + cross_entropy(
            outputs[task].float(),
            wanted,
            ignore_index=UNKNOWN,
            label_smoothing=smoothing.get(task, 0.0),
            reduction="sum",
        )
    return total / len(next(iter(labels.values())))


def belief_loss(logits: Tensor, beliefs: Tensor) -> Tensor:
    """Cross entropy of logits [batch, labels], spam the last, from beliefs [batch] 0..1.

    A text with a belief of NaN adds nothing to it. Per text of the batch.
    """
    held = ~beliefs.isnan()
    spam = beliefs[held]
    wanted = torch.stack([1 - spam, spam], dim=-1)
    return cross_entropy(logits[held].float(), wanted, reduction="sum") / len(beliefs)


def soft_loss(
    student: Mapping[str, Tensor],
    teacher: Mapping[str, Tensor],
    tasks: Iterable[str],
    temperature: float,
    known: Mapping[str, Tensor] | None = None,
) -> Tensor:
    """Sum over tasks of T^2 KL(teacher || student), both at temperature T, per text of the batch.

    Both map task to logits [batch, labels]. T^2 keeps the gradients' size whatever T is
    (Hinton et al. 2015, section 2). With `known`, labels [batch] per task, the teacher is not
    asked where a label is known.
    """
    total = torch.zeros((), device=next(iter(student.values())).device)
    for task in tasks:
        apart = kl_div(
            log_softmax(student[task].float() / temperature, dim=-1),
            log_softmax(teacher[task].float() / temperature, dim=-1),
            reduction="none",
            log_target=True,
        ).sum(dim=-1)
        if known is not None and task in known:
            apart = apart * (known[task] == UNKNOWN)
        total = total + apart.mean()
    return temperature**2 * total
