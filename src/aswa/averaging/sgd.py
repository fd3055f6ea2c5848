"""No averaging: the running model itself, as it stands."""

from __future__ import annotations

from torch import nn

from aswa.averaging.averager import Averager, Evaluate


class SGD(Averager):
    """The baseline of the paper: `.module` is the running model, whatever its update rule."""

    def update(self, model: nn.Module, evaluate: Evaluate) -> None:
        """Follow `model`; it is not evaluated."""
        self._running = model
        self.n_averaged = 1
