"""Polynomial-decay averaging (Shamir and Zhang, ICML 2013): recent epochs weigh more."""

from __future__ import annotations

from typing import Unpack

from torch import nn

from aswa.averaging.averager import Options
from aswa.averaging.swa import SWA


class PolynomialDecay(SWA):
    """A running average that forgets polynomially, and asks no validation score.

        Θ̄_t ← (1 − (η + 1) / (t + η)) · Θ̄_{t−1} + (η + 1) / (t + η) · Θ_t

    for the t-th averaged epoch, from t = 1 (equation 5 there). Epoch t weighs about t^η, so η = 0
    is the equal mean of SWA. It is the control for what validation adds to ASWA: weights that
    favour recent epochs, without any decision.

    Args:
        model: the running model.
        eta: η ≥ 0.
        start: calls of `update` to let pass before the first that is averaged.
        options: `batches`, `forward` and `device` of `Averager`.
    """

    def __init__(
        self, model: nn.Module, eta: float = 3.0, start: int = 0, **options: Unpack[Options]
    ) -> None:
        if not eta >= 0:
            raise ValueError(f"PolynomialDecay needs eta >= 0, not {eta}")
        super().__init__(model, start, **options)
        self.eta = eta

    def _weight(self, t: int) -> float:
        return (self.eta + 1) / (t + self.eta)
