"""Where a training run stands, on disk: weights as safetensors, the rest as torch saves it.

Only this run's own folder is read back, never a file from elsewhere. A checkpoint is replaced by
renames, so a kill leaves the old one or the new one.
"""

from __future__ import annotations

import contextlib
import json
import secrets
import shutil
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import torch
from safetensors.torch import load_file

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from trainer.average import Average
    from trainer.network import MultiTaskBert

STATE, POSITION, WEIGHTS = "state.pt", "position.json", "model.safetensors"


@dataclass(slots=True)
class Position:
    """How far a run has come: `step` of `epoch`, and the best epoch's metrics so far.

    `stale` counts the epochs since the best, `seconds` the time that went into training.
    """

    epoch: int = 0
    step: int = 0
    loss: float = 0.0
    stale: int = 0
    seconds: float = 0.0
    best: dict[str, Any] = field(default_factory=dict)

    def end_epoch(self, metrics: dict[str, Any]) -> None:
        """Begin the next epoch; the metrics' "objective" (higher is better) may be the best."""
        self.epoch, self.step = self.epoch + 1, 0
        if not self.best or metrics["objective"] > self.best["objective"]:
            self.best, self.stale = {**metrics, "epoch": self.epoch}, 0
        else:
            self.stale += 1


def save_network(folder: Path, network: MultiTaskBert) -> None:
    """Replace the checkpoint at `folder` by the network alone: to export, not to go on from."""
    with _replaced(folder) as temporary:
        network.save_pretrained(str(temporary))


def save_position(
    folder: Path,
    network: MultiTaskBert,
    optimizer: torch.optim.Optimizer,
    average: Average,
    position: Position,
) -> None:
    """Replace the checkpoint at `folder` by all that `load_position` needs to go on from here."""
    with _replaced(folder) as temporary:
        network.save_pretrained(str(temporary))
        state = {"optimizer": optimizer.state_dict(), "average": average.state()}
        torch.save(state, temporary / STATE)
        (temporary / POSITION).write_text(json.dumps(asdict(position)), encoding="utf-8")


@contextlib.contextmanager
def _replaced(folder: Path) -> Iterator[Path]:
    """A new folder to fill, which takes the place of `folder` once it is whole."""
    temporary = folder.parent / f".{folder.name}.{secrets.token_hex(4)}"
    temporary.mkdir(parents=True)
    yield temporary
    old = folder.parent / f"{folder.name}.old"
    if folder.exists():
        shutil.rmtree(old, ignore_errors=True)
        folder.rename(old)
    temporary.rename(folder)
    shutil.rmtree(old, ignore_errors=True)


def load_position(
    folder: Path, network: MultiTaskBert, optimizer: torch.optim.Optimizer, average: Average
) -> Position:
    """Put a run back to where its last checkpoint stands; a fresh Position if there is none."""
    old = folder.parent / f"{folder.name}.old"
    if not folder.exists() and old.exists():  # killed between two renames
        old.rename(folder)
    if not (folder / POSITION).is_file():
        return Position()
    network.load_state_dict(load_file(str(folder / WEIGHTS)))
    state = torch.load(folder / STATE, weights_only=True)
    optimizer.load_state_dict(state["optimizer"])
    average.load_state(state["average"])
    return Position(**json.loads((folder / POSITION).read_text(encoding="utf-8")))
