"""Fine-tuning: masked multi-task loss over mixed batches, resumable after a kill at any moment.

The run's own folder holds its settings and two checkpoints, `last` to go on from and `best` to
export. They never leave it: what is published is ONNX, safetensors and JSON.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from accelerate.utils import broadcast_object_list

from trainer.average import Average
from trainer.batches import Batch, choose_texts, collate, encode, order, shard
from trainer.checkpoint import Position, load_position, save_network, save_position
from trainer.compute import choose_precision, computing_in, join_processes
from trainer.corpora import SPAM
from trainer.errors import TrainingError
from trainer.evaluate import score_tasks
from trainer.loss import belief_loss, hard_loss, soft_loss
from trainer.network import shape
from trainer.optimizer import make_optimizer, schedule

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
    Judged = Callable[[int, dict[str, Any]], None]


@dataclass(frozen=True, slots=True)
class Recipe:
    """How to train. Learning rates are AdamW's at the peak; `layer_decay` per layer downwards.

    `average` is the decay of the weights' moving average, which is what is judged and exported;
    0: the weights themselves. `dropout` None is the base's own. `frozen_layers` above 0 leaves
    the embeddings and so many of the lowest layers as they are; `layers` keeps only so many of
    the base (`trainer.network.keep_layers`). `gradient_checkpoint` computes a layer twice rather
    than keep what it computed. The two of `distil` count with a teacher only (`trainer.distil`).
    """

    epochs: int = 1
    batch: int = 32
    max_tokens: int = 128
    encoder_rate: float = 1.5e-4
    head_rate: float = 7.5e-4
    layer_decay: float = 0.9
    weight_decay: float = 0.01
    warm_up: float = 0.06
    smoothing: float = 0.02
    clip: float = 1.0
    patience: int = 2
    checkpoint_every: int = 100
    seed: int = 0
    average: float = 0.99
    dropout: float | None = 0.0
    frozen_layers: int = 0
    layers: int | None = None
    gradient_checkpoint: bool = False
    distil_alpha: float = 0.5
    distil_temperature: float = 2.0
    distil_unknown: bool = False  # ask the teacher only where no label is known


@dataclass(frozen=True, slots=True)
class Step:
    """What is reported after each step; `loss` is a running mean, `eta` seconds to the end."""

    number: int
    total: int
    loss: float
    eta: float


class Trainer:
    """One run: network, optimizer and where it stands. Not for use from several threads.

    The network is shaped to the recipe: what layers it has, which of them learn, its dropout.
    With a teacher it learns from what that makes of each text, too (`trainer.distil`). Of
    several processes each takes its share of every batch, and the first one writes and reports.
    """

    def __init__(
        self,
        network: MultiTaskBert,
        tokenizer: Tokenizer,
        recipe: Recipe,
        folder: Path,
        teacher: MultiTaskBert | None = None,
    ) -> None:
        self._processes = join_processes()
        self.device = self._processes.device
        shape(network, recipe)
        self.network = network
        self._model = self._processes.prepare(network)
        self._teacher = teacher.to(self.device).eval() if teacher else None
        self.tokenizer = tokenizer
        self.recipe = recipe
        self.folder = folder
        # One choice for all, or their gradients would not fit together.
        self.precision = broadcast_object_list([choose_precision(self.device)])[0]
        self.tasks: dict[str, list[str]] = network.config.tasks
        self._optimizer = make_optimizer(network, recipe)
        learning = [each for each in network.parameters() if each.requires_grad]
        self._average = Average(learning, recipe.average)
        self._rates = [group["lr"] for group in self._optimizer.param_groups]
        self._smoothing = {"spam": recipe.smoothing}
        self._loss = 0.0

    def run(
        self,
        train: Sequence[Example],
        validation: Sequence[Example],
        report: Report,
        judged: Judged | None = None,
    ) -> Position:
        """Train to the end, from `last` if it exists; leaves `best`, returns how it went.

        `judged` is told each epoch's number, from 1, and metrics; what it raises ends the run.
        Raises TrainingError when the loss is no longer a number.
        """
        steps = math.ceil(sum(each.repeat for each in train) / self.recipe.batch)
        total = steps * self.recipe.epochs
        with self._processes.main_process_first():
            position = load_position(
                self.folder / "last", self.network, self._optimizer, self._average
            )
        self._loss = position.loss
        while position.epoch < self.recipe.epochs and position.stale < self.recipe.patience:
            self._train_epoch(train, position, steps, total, report)
            began = time.monotonic()
            metrics = score_tasks(self.tasks, self.predict(validation), validation)
            position.end_epoch(metrics)
            position.seconds += time.monotonic() - began
            self._save(position, best=position.stale == 0)
            if judged is not None:
                judged(position.epoch, metrics)
        self._processes.wait_for_everyone()
        return position

    def _save(self, position: Position, *, best: bool = False) -> None:
        if not self._processes.is_main_process:
            return
        if best:
            with self._average.applied():
                save_network(self.folder / "best", self.network)
        save_position(self.folder / "last", self.network, self._optimizer, self._average, position)

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
            # Dropout by the step's number: a run that goes on draws what an unbroken one would.
            processes = self._processes
            torch.manual_seed(
                self.recipe.seed + done * processes.num_processes + processes.process_index
            )
            self._take_step(batch, schedule(done, total, self.recipe.warm_up))
            self._average.update(done)
            position.step, position.loss = number + 1, self._loss
            position.seconds = spent + time.monotonic() - began
            pace = (time.monotonic() - began) / (number + 1 - begun_at)
            if processes.is_main_process:
                report(Step(done + 1, total, self._loss, pace * (total - done - 1)))
            if position.step % self.recipe.checkpoint_every == 0:
                self._save(position)

    def _take_step(self, batch: Batch, share: float) -> None:
        for group, rate in zip(self._optimizer.param_groups, self._rates, strict=True):
            group["lr"] = rate * share
        loss = self._loss_of(batch)
        value = float(self._processes.reduce(loss.detach(), "mean"))
        if not math.isfinite(value):
            raise TrainingError("the loss is no longer a number; try a smaller learning rate")
        self._loss = value if self._loss == 0.0 else 0.98 * self._loss + 0.02 * value
        self._processes.backward(loss)
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), self.recipe.clip)
        self._optimizer.step()
        self._optimizer.zero_grad(set_to_none=True)

    def _loss_of(self, batch: Batch) -> Tensor:
        outputs = self._forward(self._model, batch)
        labels = {task: each.to(self.device) for task, each in batch.labels.items()}
        loss = hard_loss(outputs, labels, self._smoothing)
        if SPAM in outputs:
            beliefs = batch.beliefs.to(self.device)
            loss = loss + belief_loss(outputs[SPAM], beliefs)
            labels[SPAM] = labels[SPAM].where(beliefs.isnan(), len(self.tasks[SPAM]) - 1)
        if self._teacher is not None:
            with torch.no_grad():
                taught = self._forward(self._teacher, batch)
            recipe = self.recipe
            known = labels if recipe.distil_unknown else None
            tasks = [task for task in self.tasks if task in taught]
            soft = soft_loss(outputs, taught, tasks, recipe.distil_temperature, known)
            loss = (1 - recipe.distil_alpha) * loss + recipe.distil_alpha * soft
        return loss * batch.weight

    def _forward(self, model: torch.nn.Module, batch: Batch) -> dict[str, Tensor]:
        with computing_in(self.precision, self.device):
            outputs: dict[str, Tensor] = model(
                batch.input_ids.to(self.device), batch.attention_mask.to(self.device)
            )
        return outputs

    def _batches(self, examples: Sequence[Example], epoch: int) -> Iterator[Batch]:
        chosen = choose_texts(examples, self.recipe.seed, epoch)
        ids = encode(self.tokenizer, [text for text, _ in chosen])
        pad = int(self.network.config.pad_token_id or 0)
        process, processes = self._processes.process_index, self._processes.num_processes
        for whole in order([len(each) for each in ids], self.recipe.batch, self.recipe.seed, epoch):
            rows, weight = shard(whole, process, processes)
            picked = [chosen[row][1] for row in rows]
            yield collate([ids[row] for row in rows], picked, self.tasks, pad, weight)

    @torch.no_grad()
    def predict(self, examples: Sequence[Example]) -> dict[str, NDArray[np.float64]]:
        """Logits [examples, labels] per task for the plain readings, in their order.

        By the averaged weights, if the recipe averages.
        """
        self.network.eval()
        with self._average.applied():
            return self._predict(examples)

    def _predict(self, examples: Sequence[Example]) -> dict[str, NDArray[np.float64]]:
        ids = encode(self.tokenizer, [each.texts[0] for each in examples])
        found = {
            task: torch.zeros(len(examples), len(names), device=self.device)
            for task, names in self.tasks.items()
        }
        pad = int(self.network.config.pad_token_id or 0)
        ranked = sorted(range(len(ids)), key=lambda row: len(ids[row]))
        process, processes = self._processes.process_index, self._processes.num_processes
        for start in range(64 * process, len(ranked), 64 * processes):
            rows = ranked[start : start + 64]
            batch = collate([ids[row] for row in rows], [examples[row] for row in rows], {}, pad)
            outputs = self._forward(self.network, batch)
            for task in self.tasks:
                found[task][rows] = outputs[task].float()
        # Each process leaves 0 where another one has the figures.
        whole = self._processes.reduce(found, "sum")
        return {task: logits.double().cpu().numpy() for task, logits in whole.items()}
