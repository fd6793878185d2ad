"""What a night's process says, in JSON lines: `Lines` writes them, `pass_on` gives them to whoever
shows them.
"""

from __future__ import annotations

import json
import sys
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


class Lines:
    """The observer of a run whose parent reads JSON lines."""

    def stage(self, name: str) -> None:
        """A new stage begins."""
        self._say({"stage": name})

    def progress(self, name: str, done: int, total: int) -> None:
        """`done` of `total` of something with a name."""
        if done == total or done % 25 == 0:
            self._say({"progress": [name, done, total]})

    def step(self, step: Step) -> None:
        """A training step is done."""
        said = {"number": step.number, "total": step.total, "loss": step.loss, "eta": step.eta}
        self._say({"step": said})

    def data(self, counts: Mapping[tuple[str, str, str], int]) -> None:
        """How many examples there are, by corpus, label and split."""
        self._say({"data": {" ".join(key): count for key, count in sorted(counts.items())}})

    @staticmethod
    def _say(value: Mapping[str, Any]) -> None:
        sys.stdout.write(json.dumps(value) + "\n")
        sys.stdout.flush()
