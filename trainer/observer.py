"""Who is told how a run goes on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping

    from trainer.finetune import Step


class Observer(Protocol):
    """Told how a run goes on; nothing it does changes the outcome."""

    def stage(self, name: str) -> None:
        """A new stage begins."""

    def progress(self, name: str, done: int, total: int) -> None:
        """`done` of `total` of something with a name."""

    def step(self, step: Step) -> None:
        """A training step is done."""

    def data(self, counts: Mapping[tuple[str, str, str], int]) -> None:
        """How many examples there are, by corpus, label and split."""
