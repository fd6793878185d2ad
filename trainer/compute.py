"""What a run computes on and in: its processes, their devices, and the number format.

One process or many is the same code; who starts them (`accelerate launch`, `torchrun`) decides.
"""

from __future__ import annotations

import contextlib
import time
from datetime import timedelta

import torch
from accelerate import Accelerator
from accelerate.utils import InitProcessGroupKwargs

PATIENCE = timedelta(hours=6)  # others wait while the first process reads the corpora


def join_processes() -> Accelerator:
    """The caller's place among the processes of its run, on its GPU or, without one, on the CPU.

    Each call gives another handle on the same thing.
    """
    return Accelerator(
        cpu=not torch.cuda.is_available(),  # else several processes without a GPU stay strangers
        mixed_precision="no",  # `choose_precision` instead
        kwargs_handlers=[InitProcessGroupKwargs(timeout=PATIENCE)],
    )


def choose_precision(device: torch.device) -> torch.dtype | None:
    """bfloat16 on CUDA and where it is the faster on a CPU, else None for plain fp32.

    A CPU without AVX512-BF16 computes it in software, fifty times slower; so the two race.
    """
    if device.type != "cpu":
        return torch.bfloat16 if device.type == "cuda" else None
    times = {}
    for dtype in (torch.float32, torch.bfloat16):
        left, right = torch.ones(256, 384, dtype=dtype), torch.ones(384, 384, dtype=dtype)
        left @ right  # the first call compiles the kernel
        # Of the processor's time and three goes: on a busy machine a clock on the wall has let
        # the slower one win, and a run with it goes on otherwise than it began.
        times[dtype] = min(_seconds(left, right) for _ in range(3))
    return torch.bfloat16 if times[torch.bfloat16] < times[torch.float32] else None


def _seconds(left: torch.Tensor, right: torch.Tensor) -> float:
    started = time.process_time()
    left @ right
    return time.process_time() - started


def computing_in(
    precision: torch.dtype | None, device: torch.device
) -> contextlib.AbstractContextManager[object]:
    """Inside, products are computed in this format; in fp32 for None."""
    if precision is None:
        return contextlib.nullcontext()
    return torch.autocast(device.type, precision)
