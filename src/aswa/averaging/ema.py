"""Exponential moving average of the weights, once an optimizer step."""

from __future__ import annotations

from typing import Unpack

from torch import nn

from aswa.averaging.averager import Averager, Evaluate, Options

WARMUP = 10  # as in TensorFlow's ExponentialMovingAverage with num_updates


class EMA(Averager):
    """Θ_EMA ← β_t · Θ_EMA + (1 − β_t) · Θ after each optimizer step.

    The first step (t = 0) starts it from the running model. β_t is `decay`, of which 0.99
    remembers about 100 steps; with warm-up, β_t = min(decay, (1 + t) / (warmup + t)), so that the
    first models are forgotten sooner.

    Args:
        model: the running model.
        decay: weight of the past, in [0, 1); 0.999 if `half_life` is not given either.
        half_life: in place of `decay`, optimizer steps after which a model weighs half as much.
        warmup: true for 10, or a number > 1; false for none.
        options: `batches`, `forward` and `device` of `Averager`.
    """

    def __init__(
        self,
        model: nn.Module,
        decay: float | None = None,
        half_life: float | None = None,
        warmup: float | bool = False,
        **options: Unpack[Options],
    ) -> None:
        if half_life is not None:
            if decay is not None or half_life <= 0:
                raise ValueError(
                    "EMA needs half_life > 0 steps without a decay, "
                    f"not half_life {half_life} and decay {decay}"
                )
            decay = 0.5 ** (1 / half_life)
        self.decay = 0.999 if decay is None else decay
        self.warmup = WARMUP if warmup is True else warmup
        if not 0 <= self.decay < 1 or self.warmup < 0:
            raise ValueError(
                f"EMA needs 0 <= decay < 1 and warmup >= 0, not {self.decay} and {warmup}"
            )
        super().__init__(model, **options)

    def step(self, model: nn.Module) -> None:
        """Average `model` in."""
        t = self.n_averaged
        decay = min(self.decay, (1 + t) / (self.warmup + t)) if self.warmup else self.decay
        self._average(model, 1 - decay)

    def update(self, model: nn.Module, evaluate: Evaluate) -> None:
        """Nothing to do at the end of an epoch, but for showing Θ before the first step."""
        self._wait(model)
