"""Polynomial-decay averaging (Shamir and Zhang, ICML 2013): recent epochs weigh more."""

from __future__ import annotations

from typing import Any

from torch import nn

from aswa.averaging.averager import Averager, Evaluate


class PolynomialDecay(Averager):
    """A running average that forgets polynomially, and asks no validation score.

        Θ̄_t ← (1 − (η + 1) / (t + η)) · Θ̄_{t−1} + (η + 1) / (t + η) · Θ_t

    for the t-th averaged epoch, from t = 1 (equation 5 there). Epoch t weighs about t^η, so η = 0
    is the equal mean of SWA. It is the control for what validation adds to ASWA: weights that
    favour recent epochs, without any decision.

    Args:
        model: the running model.
        eta: η ≥ 0.
        start: calls of `update` to let pass before the first that is averaged.

    With batch-norm, call `recompute_batch_norm` on its `module` before evaluating it.
    """

    def __init__(self, model: nn.Module, eta: float = 3.0, start: int = 0) -> None:
        if eta < 0 or start < 0 or int(start) != start:
            raise ValueError(
                f"PolynomialDecay needs eta >= 0 and a whole number start >= 0, "
                f"not {eta} and {start}"
            )
        super().__init__(model)
        self.eta, self.start = eta, start
        self.n_epochs = 0

    def update(self, model: nn.Module, evaluate: Evaluate) -> None:
        """Average `model` in, if averaging has begun; it is not evaluated."""
        self.n_epochs += 1
        if self.n_epochs <= self.start:
            return
        if self._weights is None:
            self._restart(model)
        else:
            t = self.n_averaged + 1
            self._weights.lerp(model, (self.eta + 1) / (t + self.eta))
            self.n_averaged = t

    def _counters(self) -> dict[str, Any]:
        return {**super()._counters(), "n_epochs": self.n_epochs}
