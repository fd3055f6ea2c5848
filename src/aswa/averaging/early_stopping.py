"""Early stopping: keep the best epoch by validation, reject every other."""

from __future__ import annotations

import math
from typing import Unpack

from torch import nn

from aswa.averaging.averager import Evaluate
from aswa.averaging.scored import Scored, ScoredOptions


class EarlyStopping(Scored):
    """Keeps the weights of the epoch with the best validation score (the earliest of equals).

    Args:
        model: the running model.
        patience: epochs without improvement after which `should_stop` is true and nothing is
            kept any more. Infinite patience is the control "best epoch by validation".
        options: `mode` and `reduce` of `Scored`, `batches`, `forward` and `device` of `Averager`.

    Attributes:
        best_score: the best validation score so far; NaN is worse than every number.
        best_epoch: the call of `update`, from 1, that had it; 0 before the first.
    """

    _counters = (*Scored._counters, "n_epochs", "best_epoch")

    def __init__(
        self, model: nn.Module, patience: float = math.inf, **options: Unpack[ScoredOptions]
    ) -> None:
        if not patience >= 1:
            raise ValueError(f"EarlyStopping needs patience >= 1, not {patience}")
        super().__init__(model, **options)
        self.patience = patience
        self.n_epochs = self.best_epoch = 0

    @property
    def should_stop(self) -> bool:
        """Whether patience has run out: the training loop may end here."""
        return self.n_epochs - self.best_epoch >= self.patience and self.best_epoch > 0

    def update(self, model: nn.Module, evaluate: Evaluate) -> None:
        """Evaluate `model` and keep its weights if it is the best so far."""
        if self.should_stop:
            return
        v = self._measure(model, evaluate)
        self.n_epochs += 1
        if self.best_epoch == 0 or self._better(v, self.best_score):
            self._restart(model)
            self.best_score, self.best_epoch = v, self.n_epochs
