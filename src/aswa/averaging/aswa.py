"""Adaptive stochastic weight averaging (Demir, Sharma, Ngonga Ngomo 2024, arXiv 2406.19092)."""

from __future__ import annotations

import enum
import math
from typing import Any

from torch import nn

from aswa.averaging.averager import Averager, Evaluate, better, score
from aswa.averaging.batch_norm import Batches, has_batch_norm, recompute_batch_norm
from aswa.averaging.weights import AveragedWeights


class Decision(enum.Enum):
    """What an epoch did to the ensemble."""

    HARD = "hard"
    SOFT = "soft"
    REJECT = "reject"


class ASWA(Averager):
    """A running average of weights that is updated only when validation improves.

    Running model Θ with score v; ensemble Θ_ASWA of n members with score v*; look-ahead

        Θ̂ = (n · Θ_ASWA + Θ) / (n + 1)    with score v̂

    1. first call:                     Θ_ASWA ← Θ, n ← 1, v* ← v     (a hard update)
    2. hard update, if v > v* and v > v̂: Θ_ASWA ← Θ, n ← 1, v* ← v
    3. soft update, else if v̂ > v*:      Θ_ASWA ← Θ̂, n ← n + 1, v* ← v̂
    4. reject, otherwise:                nothing changes, to the last bit

    NaN is worse than every number. An epoch costs one evaluation of Θ and one of Θ̂.

    Args:
        model: the running model.
        batches: training inputs for the batch-norm statistics of Θ̂, iterated anew each time (a
            list or a loader: see `recompute_batch_norm`). Without them Θ̂ is scored with the
            averaged statistics. Models without batch-norm never use them.

    Attributes:
        n_averaged: n, the members of the ensemble.
        best_score: v*, never decreasing; NaN before the first update.
        last_scores: (v, v̂) of the last update; v̂ is NaN after the first.
    """

    def __init__(self, model: nn.Module, *, batches: Batches | None = None) -> None:
        super().__init__(model)
        self._batches = batches
        self._look_ahead: AveragedWeights | None = None
        self.best_score = math.nan
        self.last_scores = (math.nan, math.nan)

    def update(self, model: nn.Module, evaluate: Evaluate) -> Decision:
        """Score Θ = `model` and the look-ahead, and decide.

        If `evaluate` raises, the ensemble is as it was.
        """
        v = score(model, evaluate)
        if self._weights is None:
            self._restart(model)
            self.best_score, self.last_scores = v, (v, math.nan)
            return Decision.HARD
        look_ahead = self._look(model, self._weights)
        v_hat = score(look_ahead.module, evaluate)
        self.last_scores = (v, v_hat)
        if better(v, self.best_score) and better(v, v_hat):
            self._restart(model)
            self.best_score = v
            return Decision.HARD
        if better(v_hat, self.best_score):
            self._weights, self._look_ahead = look_ahead, self._weights
            self.n_averaged += 1
            self.best_score = v_hat
            return Decision.SOFT
        return Decision.REJECT

    def _look(self, model: nn.Module, ensemble: AveragedWeights) -> AveragedWeights:
        """Θ̂ in storage of its own, with its own batch-norm statistics."""
        if self._look_ahead is None:
            self._look_ahead = AveragedWeights(model)
        self._look_ahead.look_ahead(ensemble, model, 1 / (self.n_averaged + 1))
        if self._batches is not None and has_batch_norm(model):
            recompute_batch_norm(self._look_ahead.module, self._batches)
        return self._look_ahead

    def _counters(self) -> dict[str, Any]:
        return {
            **super()._counters(),
            "best_score": self.best_score,
            "last_scores": self.last_scores,
        }
