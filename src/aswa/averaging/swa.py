"""Stochastic weight averaging (Izmailov et al., UAI 2018): every update is accepted."""

from __future__ import annotations

from typing import Unpack

from torch import nn

from aswa.averaging.averager import Averager, Evaluate, Options, check_turns, has_turn


class SWA(Averager):
    """Equal mean of the running model at epochs start, start + every, start + 2·every, …

        Θ_SWA ← (n · Θ_SWA + Θ) / (n + 1)        (Izmailov et al. 2018, Algorithm 1)

    Args:
        model: the running model.
        start: calls of `update` to let pass before the first that is averaged.
        every: epochs from one averaged model to the next.
        options: `batches`, `forward` and `device` of `Averager`.
    """

    _counters = (*Averager._counters, "n_epochs")

    def __init__(
        self, model: nn.Module, start: int = 0, every: int = 1, **options: Unpack[Options]
    ) -> None:
        check_turns(type(self).__name__, start, every)
        super().__init__(model, **options)
        self.start, self.every, self.n_epochs = start, every, 0

    def update(self, model: nn.Module, evaluate: Evaluate) -> None:
        """Average `model` in, if its turn has come; it is not evaluated."""
        if has_turn(self.n_epochs, self.start, self.every):
            self._average(model, self._weight(self.n_averaged + 1))
        else:
            self._wait(model)
        self.n_epochs += 1

    def _weight(self, t: int) -> float:
        """The share of the t-th averaged epoch, from t = 1."""
        return 1 / t
