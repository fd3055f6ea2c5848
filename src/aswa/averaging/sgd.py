"""No averaging: the running model itself, as it stands."""

from __future__ import annotations

from torch import nn

from aswa.averaging.averager import Averager, Evaluate
from aswa.averaging.weights import unwrapped


class SGD(Averager):
    """The baseline of the paper: `module` is the running model, whatever its update rule."""

    @property
    def module(self) -> nn.Module:
        """The running model, without wrappers."""
        return self._running

    def members(self) -> list[nn.Module]:
        """The running model with the batch-norm statistics of its training."""
        return [self._running]

    def update(self, model: nn.Module, evaluate: Evaluate) -> None:
        """Follow `model`; it is not evaluated."""
        self._running = unwrapped(model)
        self.n_averaged = 1
        self.version += 1
