"""Trainings that go wrong in one of several processes: stand-ins for `trainer.candidate.train`.

By name, since the processes are told by name what to do.
"""

import os
import signal
import time

import torch

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


def threads(_order, _examples, _observer):
    return torch.get_num_threads()
