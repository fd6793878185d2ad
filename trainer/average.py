"""The moving average of the weights: less noisy than the last step's, and kept beside them."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from torch import Tensor


class Average:
    """An exponential moving average of parameters; with a decay of 0 there is none.

    The decay rises with the steps, min(decay, (1 + step) / (10 + step)), so that the weights
    before training are soon forgotten (as in TensorFlow's ExponentialMovingAverage).
    """

    def __init__(self, parameters: Sequence[Tensor], decay: float) -> None:
        self.decay = decay
        self._parameters: list[Tensor] = list(parameters) if decay else []
        self._mean = [each.detach().clone() for each in self._parameters]

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Take in the parameters as they are after this step, counted from 0."""
        if self._mean:
            weight = 1 - min(self.decay, (1 + step) / (10 + step))
            torch._foreach_lerp_(self._mean, self._parameters, weight)

    @contextlib.contextmanager
    def applied(self) -> Iterator[None]:
        """The parameters are their average inside, and themselves again afterwards."""
        kept = [each.detach().clone() for each in self._parameters]
        self._put(self._mean)
        try:
            yield
        finally:
            self._put(kept)

    def state(self) -> list[Tensor]:
        """What `load_state` takes back: a tensor per parameter, none without an average."""
        return self._mean

    def load_state(self, state: Sequence[Tensor]) -> None:
        """Go on from a state that was kept."""
        for mean, kept in zip(self._mean, state, strict=True):
            mean.copy_(kept)

    @torch.no_grad()
    def _put(self, values: Sequence[Tensor]) -> None:
        for parameter, value in zip(self._parameters, values, strict=True):
            parameter.copy_(value)
