"""Stochastic weight averaging (Izmailov et al., UAI 2018): every update is accepted."""

from __future__ import annotations

from typing import Any

from torch import nn

from aswa.averaging.averager import Averager, Evaluate


class SWA(Averager):
    """Equal mean of the running model at epochs start, start + every, start + 2·every, …

        Θ_SWA ← (n · Θ_SWA + Θ) / (n + 1)        (Izmailov et al. 2018, Algorithm 1)

    Args:
        model: the running model.
        start: calls of `update` to let pass before the first that is averaged.
        every: epochs from one averaged model to the next.

    With batch-norm, call `recompute_batch_norm(swa.module, batches)` before evaluating it.
    """

    def __init__(self, model: nn.Module, start: int = 0, every: int = 1) -> None:
        if start < 0 or every < 1 or int(start) != start or int(every) != every:
            raise ValueError(
                f"SWA needs whole numbers start >= 0 and every >= 1, not {start} and {every}"
            )
        super().__init__(model)
        self.start, self.every = start, every
        self.n_epochs = 0

    def update(self, model: nn.Module, evaluate: Evaluate) -> None:
        """Average `model` in, if its turn has come; it is not evaluated."""
        since_start = self.n_epochs - self.start
        self.n_epochs += 1
        if since_start < 0 or since_start % self.every:
            return
        if self._weights is None:
            self._restart(model)
        else:
            self._weights.lerp(model, 1 / (self.n_averaged + 1))
            self.n_averaged += 1

    def _counters(self) -> dict[str, Any]:
        return {**super()._counters(), "n_epochs": self.n_epochs}
