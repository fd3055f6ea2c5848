"""Early stopping: keep the best epoch by validation, reject every other."""

from __future__ import annotations

import math
from typing import Any

from torch import nn

from aswa.averaging.averager import Averager, Evaluate, better, score


class EarlyStopping(Averager):
    """Keeps the weights of the epoch with the highest validation score (the earliest of equals).

    Args:
        model: the running model.
        patience: epochs without improvement after which `should_stop` is true and nothing is
            kept any more. Infinite patience is the control "best epoch by validation".

    Attributes:
        best_score: the highest validation score so far; NaN is worse than every number.
        best_epoch: the call of `update`, from 1, that had it; 0 before the first.
    """

    def __init__(self, model: nn.Module, patience: float = math.inf) -> None:
        if not patience >= 1:
            raise ValueError(f"EarlyStopping needs patience >= 1, not {patience}")
        super().__init__(model)
        self.patience = patience
        self.n_epochs = 0
        self.best_score = math.nan
        self.best_epoch = 0

    @property
    def should_stop(self) -> bool:
        """Whether patience has run out: the training loop may end here."""
        return self.n_epochs - self.best_epoch >= self.patience and self.best_epoch > 0

    def update(self, model: nn.Module, evaluate: Evaluate) -> None:
        """Evaluate `model` and keep its weights if it is the best so far."""
        if self.should_stop:
            return
        self.n_epochs += 1
        v = score(model, evaluate)
        if self.best_epoch == 0 or better(v, self.best_score):
            self._restart(model)
            self.best_score, self.best_epoch = v, self.n_epochs

    def _counters(self) -> dict[str, Any]:
        own = {"n_epochs": self.n_epochs, "best_score": self.best_score}
        return {**super()._counters(), **own, "best_epoch": self.best_epoch}
