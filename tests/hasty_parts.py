"""What one of several processes does in place of `trainer.candidate.train`; mostly, goes wrong.

In a module of their own, which each process imports.
"""

import os
import signal
import time

import torch

from trainer import finetune
from trainer.candidate import train
from trainer.errors import TrainingError

LONG = 60.0


def _is_first():
    return os.environ["RANK"] == "0"


def out_of_memory(_order, _examples, _observer):
    if _is_first():
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 1 TB")
    time.sleep(LONG)


def killed(_order, _examples, _observer):
    if not _is_first():
        os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(LONG)


def wrong(_order, _examples, _observer):
    if not _is_first():
        raise ZeroDivisionError("a bug")
    time.sleep(LONG)


def fruitless(_order, _examples, _observer):
    raise TrainingError("the loss is no longer a number; try a smaller learning rate")


def in_full_precision(order, examples, observer):
    """The real one; in bfloat16, which some processors have, sums over shares are other ones."""
    finetune.choose_precision = lambda _device: None
    return train(order, examples, observer)


def threads(_order, _examples, _observer):
    return torch.get_num_threads()
