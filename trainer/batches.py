"""Examples to tensors: tokens, and batches of like length, in an order that the seed decides.

The cost of a batch is its tokens, so short texts go with short ones and none is mostly padding.
"""

from __future__ import annotations

import math
import random
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tokenizers import Tokenizer
    from torch import Tensor

    from trainer.dataset import Example

UNKNOWN = -100  # cross_entropy's own mark for "no label here"
PLAIN_SHARE = 0.75  # at a half, mail of a kind never seen was judged worse
POOL = 50  # batches sorted by length together: fewer would pad more, more would order the data


@dataclass(frozen=True, slots=True)
class Batch:
    """Tensors of one step: int64 [batch, tokens], and int64 [batch] per task, UNKNOWN if none.

    `beliefs` float32 [batch] are probabilities of spam, NaN where there is none. `weight` is what
    its mean loss counts beside those of the other processes' shards (`shard`).
    """

    input_ids: Tensor
    attention_mask: Tensor
    labels: dict[str, Tensor]
    beliefs: Tensor
    weight: float = 1.0


def encode(tokenizer: Tokenizer, texts: Sequence[str]) -> list[list[int]]:
    """Token ids of each text."""
    return [encoding.ids for encoding in tokenizer.encode_batch(list(texts))]


def choose_texts(examples: Sequence[Example], seed: int, epoch: int) -> list[tuple[str, Example]]:
    """One reading per example for this epoch: mostly the plain one, else a variant."""
    chance = random.Random(f"{seed}/{epoch}/texts")  # noqa: S311 - an order, not a secret
    chosen = []
    for example in examples:
        for _ in range(example.repeat):
            plain = not example.alike and chance.random() < PLAIN_SHARE
            others = example.texts if example.alike else example.texts[1:]
            text = example.texts[0] if plain or not others else chance.choice(others)
            chosen.append((text, example))
    return chosen


def order(lengths: Sequence[int], size: int, seed: int, epoch: int) -> list[list[int]]:
    """Indices of each batch: shuffled, sorted by length within pools, batches shuffled again."""
    chance = random.Random(f"{seed}/{epoch}/order")  # noqa: S311 - as above
    indices = list(range(len(lengths)))
    chance.shuffle(indices)
    batches = []
    for start in range(0, len(indices), size * POOL):
        pool = sorted(indices[start : start + size * POOL], key=lambda index: lengths[index])
        batches += [pool[begin : begin + size] for begin in range(0, len(pool), size)]
    chance.shuffle(batches)
    return batches


def shard(rows: Sequence[int], process: int, processes: int) -> tuple[list[int], float]:
    """A process' rows of a batch, and a weight for the mean of their losses.

    With it the mean over the processes, which is what gradients are averaged to, is the mean over
    the whole batch. A process without a row takes one that does not count, for all must take part
    in each step.
    """
    mine = list(rows[process::processes])
    return mine or list(rows[:1]), len(mine) * processes / len(rows)


def collate(
    ids: Sequence[Sequence[int]],
    examples: Sequence[Example],
    tasks: Mapping[str, Sequence[str]],
    pad: int,
    weight: float = 1.0,
) -> Batch:
    """One batch, padded to its longest text."""
    width = max(len(row) for row in ids)
    input_ids = torch.full((len(ids), width), pad, dtype=torch.int64)
    attention_mask = torch.zeros((len(ids), width), dtype=torch.int64)
    for row, tokens in enumerate(ids):
        input_ids[row, : len(tokens)] = torch.tensor(tokens)
        attention_mask[row, : len(tokens)] = 1
    labels = {
        task: torch.tensor(
            [
                names.index(each.labels[task]) if task in each.labels else UNKNOWN
                for each in examples
            ]
        )
        for task, names in tasks.items()
    }
    beliefs = torch.tensor(
        [math.nan if each.belief is None else each.belief for each in examples],
        dtype=torch.float32,
    )
    return Batch(input_ids, attention_mask, labels, beliefs, weight)
