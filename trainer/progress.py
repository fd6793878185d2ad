"""How a run shows itself to the person who started it: bars on a terminal, lines in a log."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Self

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rich.console import Console
    from rich.progress import TaskID

    from trainer.finetune import Step

LOG_EVERY = 20.0  # seconds between lines where there is no terminal


class Display:
    """The observer of a run that writes to a console; a context, so that its bars end."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.fields[note]}"),
            console=console,
            disable=not console.is_terminal,
        )
        self._bars: dict[str, TaskID] = {}
        self._last = 0.0

    def __enter__(self) -> Self:
        """Show the bars."""
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Take the bars away, however the run ended."""
        self._progress.stop()

    def stage(self, name: str) -> None:
        """A new stage begins."""
        self._console.print(f"[bold]{name}[/bold]")

    def data(self, counts: Mapping[tuple[str, str, str], int]) -> None:
        """How many examples there are, by corpus, label and split."""
        corpora = sorted({(corpus, split) for corpus, _, split in counts})
        for corpus, split in corpora:
            found = [
                f"{label} {count}"
                for (name, label, part), count in sorted(counts.items())
                if (name, part) == (corpus, split)
            ]
            self._console.print(f"  {corpus} {split}: {', '.join(found)}", highlight=False)

    def progress(self, name: str, done: int, total: int) -> None:
        """`done` of `total` of something with a name."""
        self._show(name, done, total, "")

    def step(self, step: Step) -> None:
        """A training step is done."""
        minutes, seconds = divmod(int(step.eta), 60)
        note = f"loss {step.loss:.4f}, {minutes}:{seconds:02} to go"
        self._show("fine-tuning", step.number, step.total, note)

    def _show(self, name: str, done: int, total: int, note: str) -> None:
        if self._console.is_terminal:
            if name not in self._bars:
                self._bars[name] = self._progress.add_task(name, total=total, note="")
            self._progress.update(self._bars[name], completed=done, total=total, note=note)
        elif time.monotonic() - self._last > LOG_EVERY or (done == total and note):
            self._last = time.monotonic()
            self._console.print(f"  {name}: {done}/{total} {note}".rstrip(), highlight=False)
