"""Distillation: a small network learns from what a large one makes of each text (Hinton et al.
2015, "Distilling the Knowledge in a Neural Network"), also where no person has labelled it.

Here is where the teacher comes from; `trainer.loss.soft_loss` is what it says.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from trainer.errors import BaseModelError, TrainingError
from trainer.network import load_network

if TYPE_CHECKING:
    from pathlib import Path

    from trainer.network import MultiTaskBert


def load_teacher(folder: Path, student: MultiTaskBert) -> MultiTaskBert:
    """The network at a checkpoint folder, such as a run's `best`, to be asked and not trained.

    Raises BaseModelError if there is none, TrainingError if it knows other tasks or words.
    """
    try:
        teacher = load_network(folder)
    except (OSError, ValueError) as error:
        reason = str(error).strip().splitlines()[0]
        raise BaseModelError(f"{folder}: no teacher can be loaded: {reason}") from None
    for what in ("tasks", "vocab_size"):
        theirs, ours = getattr(teacher.config, what, None), getattr(student.config, what)
        if theirs != ours:
            raise TrainingError(f"{folder}: the teacher's {what} is {theirs}, the student's {ours}")
    teacher.requires_grad_(requires_grad=False)
    return teacher.eval()  # type: ignore[no-any-return] # transformers has no types
