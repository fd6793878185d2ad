"""What a night's process says, given to whoever shows it; the other side of its JSON lines."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from collections.abc import Mapping

    from trainer.finetune import Step
    from trainer.observer import Observer


def pass_on(said: Mapping[str, Any], observer: Observer) -> None:
    """One line as the call that it stands for; what is not understood is left out."""
    match said:
        case {"stage": str(name)}:
            observer.stage(name)
        case {"progress": [str(name), int(done), int(total)]}:
            observer.progress(name, done, total)
        case {
            "step": {
                "number": int(number),
                "total": int(total),
                "loss": float() | int() as loss,
                "eta": float() | int() as eta,
            }
        }:
            # Not `Step` itself: that would load torch to show a number.
            step = SimpleNamespace(number=number, total=total, loss=loss, eta=eta)
            observer.step(cast("Step", step))
        case {"data": dict(counts)}:
            observer.data(_counts(counts))
        case _:
            pass


def _counts(counts: Mapping[Any, Any]) -> dict[tuple[str, str, str], int]:
    found = {}
    for name, count in counts.items():
        match str(name).rsplit(" ", 2), count:
            case [str(corpus), str(label), str(split)], int(number):
                found[corpus, label, split] = number
    return found
