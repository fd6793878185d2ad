"""Whether an error says that memory ran out. Torch has a class for a GPU's, else only words."""

from __future__ import annotations

import torch

WORDS = ("out of memory", "not enough memory", "can't allocate memory")


def is_out_of_memory(error: MemoryError | RuntimeError) -> bool:
    """Whether smaller batches may help."""
    if isinstance(error, MemoryError | torch.cuda.OutOfMemoryError):
        return True
    text = str(error).lower()
    return any(words in text for words in WORDS)
