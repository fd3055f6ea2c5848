"""Exponential moving average of the weights, once an optimizer step."""

from __future__ import annotations

from torch import nn

from aswa.averaging.averager import Averager, Evaluate


class EMA(Averager):
    """Θ_EMA ← decay · Θ_EMA + (1 − decay) · Θ after each optimizer step.

    The first step starts it from the running model. A decay of 0.99 remembers about 100 steps.

    Args:
        model: the running model.
        decay: weight of the past, in [0, 1).

    With batch-norm, call `recompute_batch_norm(ema.module, batches)` before evaluating it.
    """

    def __init__(self, model: nn.Module, decay: float = 0.999) -> None:
        if not 0 <= decay < 1:
            raise ValueError(f"EMA needs 0 <= decay < 1, not {decay}")
        super().__init__(model)
        self.decay = decay

    def step(self, model: nn.Module) -> None:
        """Average `model` in."""
        if self._weights is None:
            self._restart(model)
        else:
            self._weights.lerp(model, 1 - self.decay)
            self.n_averaged += 1

    def update(self, model: nn.Module, evaluate: Evaluate) -> None:
        """Nothing to do at the end of an epoch."""
