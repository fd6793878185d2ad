"""A night's training by several processes at once, one for each GPU; they end as one."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import torch
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
from torch.distributed.launcher.api import LaunchConfig, elastic_launch

from filterd.errors import FilterdError
from trainer.candidate import train
from trainer.errors import TrainingError
from trainer.memory import is_out_of_memory
from trainer.stages import EXIT_OUT_OF_MEMORY, OUT_OF_MEMORY
from trainer.telling import Lines

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from trainer.candidate import Order
    from trainer.checkpoint import Position
    from trainer.dataset import Example
    from trainer.observer import Observer

    Training = Callable[[Order, Sequence[Example], Observer], Position]

HERE = "127.0.0.1"


def how_many(wanted: int) -> int:
    """Processes that train: as many as wanted; for 0 one for each GPU, one where there is none."""
    return wanted or max(torch.cuda.device_count(), 1)


def train_together(
    order: Order,
    examples: Sequence[Example],
    processes: int,
    threads: int,
    training: Training = train,
) -> Position:
    """What `trainer.candidate.train` does, by so many processes of this machine.

    They share `threads`, and the first one says how it goes on standard output (`trainer.telling`).
    Raises TrainingError, and MemoryError when one of them has run out of memory.
    """
    config = LaunchConfig(
        min_nodes=1,
        max_nodes=1,
        nproc_per_node=processes,
        rdzv_backend="c10d",
        rdzv_endpoint=f"{HERE}:0",
        local_addr=HERE,
        run_id=order.version,
        max_restarts=0,  # from the last checkpoint, by whoever takes the run again
        start_method="spawn",
    )
    share = max(threads // processes, 1)
    try:
        found = elastic_launch(config, _take_part)(order, examples, share, training)
    except ChildFailedError as error:
        codes = {failure.exitcode for failure in error.failures.values()}
        if codes & OUT_OF_MEMORY:
            raise MemoryError("one of the processes that train ran out of memory") from None
        text = f"one of {processes} processes that train ended with exit code {min(codes)}"
        raise TrainingError(text) from error
    first = found[0]
    if isinstance(first, str):
        raise TrainingError(first)
    position: Position = first
    return position


def _take_part(
    order: Order, examples: Sequence[Example], threads: int, training: Training
) -> Position | str:
    """One process's part; the reason if the training failed, as it does in all of them."""
    torch.set_num_threads(threads)
    try:
        return training(order, examples, Lines())
    except FilterdError as error:
        return str(error)
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        sys.exit(EXIT_OUT_OF_MEMORY)
