"""Trains the tiny BERT on a few words: a script for `torchrun`, which starts it several times.

Arguments: the folder of the checkpoint, and that of the run. Prints each step that is reported.
"""

from __future__ import annotations

import sys
from pathlib import Path

import torch
from tiny_bert import BAD, GOOD, HAM, SPAM

from filterd.model.runtime import open_tokenizer
from trainer.compute import join_processes
from trainer.dataset import TASKS, Example
from trainer.finetune import Recipe, Trainer
from trainer.network import start_from
from trainer.pretrained import BaseModel

# No dropout: each process would draw its own. A batch of 7 leaves one of 22 examples to the last
# batch, so that there is nothing in it for a second process.
RECIPE = Recipe(epochs=2, batch=7, max_tokens=32, encoder_rate=1e-3, average=0.9, dropout=0.0)
EXAMPLES = [
    Example((f"{word} {other}",), {task: label}, "notes", "train", f"{word}{other}")
    for words, task, label in (
        (SPAM, "spam", "spam"),
        (HAM, "spam", "ham"),
        (GOOD, "sentiment", "positive"),
        (BAD, "sentiment", "negative"),
    )
    for word, other in zip(words[:6], words[1:7], strict=True)
][:22]


def train(base: Path, work: Path) -> None:
    torch.set_num_threads(1)
    torch.manual_seed(0)
    network = start_from(BaseModel(str(base), "tiny", "x"), TASKS)
    tokenizer = open_tokenizer(base / "tokenizer.json", RECIPE.max_tokens)
    trainer = Trainer(network, tokenizer, RECIPE, work)
    # In bfloat16, which some processors have, a sum over shares is another one than a whole one's.
    trainer.precision = None
    processes = join_processes()
    if processes.is_main_process:
        print(processes.num_processes, "processes")
    trainer.run(EXAMPLES, EXAMPLES, lambda step: print("step", step.number, flush=True))


if __name__ == "__main__":
    train(Path(sys.argv[1]), Path(sys.argv[2]))
