"""Fine-tuning: masked multi-task loss over mixed batches, resumable after a kill at any moment.

The run's own folder holds its settings and two checkpoints, `last` to go on from and `best` to
export. They never leave it: what is published is ONNX, safetensors and JSON.
"""

from __future__ import annotations

import contextlib
import math
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch.nn.functional import cross_entropy

from trainer.batches import UNKNOWN, Batch, choose_texts, collate, encode, order
from trainer.checkpoint import Position, load_position, save_checkpoint
from trainer.errors import TrainingError
from trainer.evaluate import score_tasks

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray
    from tokenizers import Tokenizer
    from torch import Tensor

    from trainer.dataset import Example
    from trainer.network import MultiTaskBert

    Report = Callable[["Step"], None]


@dataclass(frozen=True, slots=True)
class Recipe:
    """How to train. Learning rates are AdamW's at the peak; `layer_decay` per layer downwards."""

    epochs: int = 2
    batch: int = 32
    max_tokens: int = 128
    encoder_rate: float = 1e-4
    head_rate: float = 5e-4
    layer_decay: float = 0.9
    weight_decay: float = 0.01
    warm_up: float = 0.06
    smoothing: float = 0.05
    clip: float = 1.0
    patience: int = 2
    checkpoint_every: int = 100
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Step:
    """What is reported after each step; `loss` is a running mean, `eta` seconds to the end."""

    number: int
    total: int
    loss: float
    eta: float


def loss_of(
    outputs: dict[str, Tensor], labels: dict[str, Tensor], smoothing: dict[str, float]
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


def make_optimizer(network: MultiTaskBert, recipe: Recipe) -> torch.optim.AdamW:
    """AdamW with smaller steps the nearer a layer is to the words, which know English already."""
    layers = network.config.num_hidden_layers
    groups: dict[tuple[float, float], list[Tensor]] = {}
    for name, parameter in network.named_parameters():
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


def choose_precision(device: torch.device) -> torch.dtype | None:
    """bfloat16 where it is the faster, else None for plain fp32.

    A CPU without AVX512-BF16 computes it in software, fifty times slower; so the two race for a
    few milliseconds.
    """
    if device.type == "cuda":
        return torch.bfloat16
    times = {}
    for dtype in (torch.float32, torch.bfloat16):
        left, right = torch.ones(256, 384, dtype=dtype), torch.ones(384, 384, dtype=dtype)
        left @ right  # the first call compiles the kernel
        started = time.perf_counter()
        left @ right
        times[dtype] = time.perf_counter() - started
    return torch.bfloat16 if times[torch.bfloat16] < times[torch.float32] else None


class Trainer:
    """One run: network, optimizer and where it stands. Not for use from several threads."""

    def __init__(
        self, network: MultiTaskBert, tokenizer: Tokenizer, recipe: Recipe, folder: Path
    ) -> None:
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.network = network.to(self.device)
        self.tokenizer = tokenizer
        self.recipe = recipe
        self.folder = folder
        self.precision = choose_precision(self.device)
        self.tasks: dict[str, list[str]] = network.config.tasks
        self._optimizer = make_optimizer(network, recipe)
        self._rates = [group["lr"] for group in self._optimizer.param_groups]
        self._smoothing = {"spam": recipe.smoothing}
        self._loss = 0.0

    def run(
        self,
        train: Sequence[Example],
        validation: Sequence[Example],
        report: Report,
    ) -> Position:
        """Train to the end, from `last` if it exists; leaves `best`, returns how it went.

        Raises TrainingError when the loss is no longer a number.
        """
        torch.manual_seed(self.recipe.seed)
        steps = math.ceil(sum(each.repeat for each in train) / self.recipe.batch)
        total = steps * self.recipe.epochs
        position = load_position(self.folder / "last", self.network, self._optimizer)
        self._loss = position.loss
        while position.epoch < self.recipe.epochs and position.stale < self.recipe.patience:
            self._train_epoch(train, position, steps, total, report)
            began = time.monotonic()
            metrics = score_tasks(self.tasks, self.predict(validation), validation)
            position.end_epoch(metrics)
            position.seconds += time.monotonic() - began
            if position.stale == 0:
                save_checkpoint(self.folder / "best", self.network)
            save_checkpoint(self.folder / "last", self.network, self._optimizer, position)
        return position

    def _train_epoch(
        self,
        examples: Sequence[Example],
        position: Position,
        steps: int,
        total: int,
        report: Report,
    ) -> None:
        self.network.train()
        batches = self._batches(examples, position.epoch)
        began, begun_at = time.monotonic(), position.step
        spent = position.seconds
        for number, batch in enumerate(batches):
            if number < position.step:
                continue
            done = position.epoch * steps + number
            self._take_step(batch, schedule(done, total, self.recipe.warm_up))
            position.step, position.loss = number + 1, self._loss
            position.seconds = spent + time.monotonic() - began
            pace = (time.monotonic() - began) / (number + 1 - begun_at)
            report(Step(done + 1, total, self._loss, pace * (total - done - 1)))
            if position.step % self.recipe.checkpoint_every == 0:
                save_checkpoint(self.folder / "last", self.network, self._optimizer, position)

    def _take_step(self, batch: Batch, share: float) -> None:
        for group, rate in zip(self._optimizer.param_groups, self._rates, strict=True):
            group["lr"] = rate * share
        labels = {task: each.to(self.device) for task, each in batch.labels.items()}
        loss = loss_of(self._forward(batch), labels, self._smoothing)
        value = float(loss.detach())
        if not math.isfinite(value):
            raise TrainingError("the loss is no longer a number; try a smaller learning rate")
        self._loss = value if self._loss == 0.0 else 0.98 * self._loss + 0.02 * value
        loss.backward()  # type: ignore[no-untyped-call] # torch's own
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), self.recipe.clip)
        self._optimizer.step()
        self._optimizer.zero_grad(set_to_none=True)

    def _forward(self, batch: Batch) -> dict[str, Tensor]:
        cast = (
            torch.autocast(self.device.type, self.precision)
            if self.precision
            else contextlib.nullcontext()
        )
        with cast:
            outputs: dict[str, Tensor] = self.network(
                batch.input_ids.to(self.device), batch.attention_mask.to(self.device)
            )
        return outputs

    def _batches(self, examples: Sequence[Example], epoch: int) -> Iterator[Batch]:
        chosen = choose_texts(examples, self.recipe.seed, epoch)
        ids = encode(self.tokenizer, [text for text, _ in chosen])
        pad = int(self.network.config.pad_token_id or 0)
        for rows in order([len(each) for each in ids], self.recipe.batch, self.recipe.seed, epoch):
            picked = [chosen[row][1] for row in rows]
            yield collate([ids[row] for row in rows], picked, self.tasks, pad)

    @torch.no_grad()
    def predict(self, examples: Sequence[Example]) -> dict[str, NDArray[np.float64]]:
        """Logits [examples, labels] per task for the plain readings, in their order."""
        self.network.eval()
        ids = encode(self.tokenizer, [each.texts[0] for each in examples])
        found = {task: torch.zeros(len(examples), len(names)) for task, names in self.tasks.items()}
        pad = int(self.network.config.pad_token_id or 0)
        ranked = sorted(range(len(ids)), key=lambda row: len(ids[row]))
        for start in range(0, len(ranked), 64):
            rows = ranked[start : start + 64]
            batch = collate([ids[row] for row in rows], [examples[row] for row in rows], {}, pad)
            outputs = self._forward(batch)
            for task in self.tasks:
                found[task][rows] = outputs[task].float().cpu()
        return {task: logits.double().numpy() for task, logits in found.items()}
