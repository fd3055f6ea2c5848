"""Adaptive stochastic weight averaging (Demir, Sharma, Ngonga Ngomo 2024, arXiv 2406.19092)."""

from __future__ import annotations

import math
from typing import Unpack

from torch import nn

from aswa.averaging.averager import Decision, Evaluate, check_turns, has_turn
from aswa.averaging.batch_norm import recompute_batch_norm
from aswa.averaging.scored import Scored, ScoredOptions
from aswa.averaging.weights import AveragedWeights, unwrapped


class ASWA(Scored):
    """A running average of weights that is updated only when validation improves.

    Running model Θ with score v; ensemble Θ_ASWA of n members with score v*; look-ahead

        Θ̂ = (n · Θ_ASWA + Θ) / (n + 1)    with score v̂

        1. first call:                     Θ_ASWA ← Θ, n ← 1, v* ← v     (a hard update)
        2. hard update, if v > v* and v > v̂: Θ_ASWA ← Θ, n ← 1, v* ← v
        3. soft update, else if v̂ > v*:      Θ_ASWA ← Θ̂, n ← n + 1, v* ← v̂
        4. reject, otherwise:                nothing changes, to the last bit

    NaN is worse than every number; with `mode="min"`, > reads <. An epoch costs one evaluation of
    Θ and one of Θ̂. With batch-norm, the statistics of Θ̂ are recomputed from `batches` before it
    is scored; without `batches` it is scored with averaged statistics, after a warning.

    Args:
        model: the running model.
        start: epochs to let pass before the first decision.
        every: epochs from one decision to the next. Others cost nothing: Θ is not looked at.
        options: `mode` and `reduce` of `Scored`, `batches`, `forward` and `device` of `Averager`.
            With a `device`, Θ̂ is still built and scored where the running model is.

    Attributes:
        n_averaged: n, the members of the ensemble.
        best_score: v*, never getting worse; NaN before the first decision.
        last_scores: (v, v̂) of the last decision; v̂ is NaN after the first.
    """

    _counters = (*Scored._counters, "n_epochs")
    _caller_of_update = 5  # stack level of its line, from `_warn_of_statistics` in `_look`

    def __init__(
        self, model: nn.Module, start: int = 0, every: int = 1, **options: Unpack[ScoredOptions]
    ) -> None:
        check_turns(type(self).__name__, start, every)
        super().__init__(model, **options)
        self.start, self.every, self.n_epochs = start, every, 0
        self._look_ahead: AveragedWeights | None = None

    def update(self, model: nn.Module, evaluate: Evaluate) -> Decision | None:
        """Score Θ = `model` and the look-ahead, and decide; None in an epoch that is not asked.

        If `evaluate` raises, the ensemble and all counters are as they were.
        """
        if has_turn(self.n_epochs, self.start, self.every):
            self.decision = self._decide(model, evaluate)
        else:
            self._wait(model)
            self.decision = self.last_scores = None
        self.n_epochs += 1
        return self.decision

    def _decide(self, model: nn.Module, evaluate: Evaluate) -> Decision:
        """Equations 1 to 4."""
        v = self._measure(model, evaluate)
        if not self._begun:
            self._restart(model)
            self.best_score, self.last_scores = v, (v, math.nan)
            return Decision.HARD
        look_ahead = self._look(model)
        v_hat = self._measure(look_ahead.module, evaluate)
        self.last_scores = (v, v_hat)
        if self._better(v, self.best_score) and self._better(v, v_hat):
            self._restart(model)
            self.best_score = v
            return Decision.HARD
        if self._better(v_hat, self.best_score):
            self._accept(look_ahead, v_hat)
            self.n_averaged += 1
            return Decision.SOFT
        return Decision.REJECT

    def _look(self, model: nn.Module) -> AveragedWeights:
        """Θ̂ in storage of its own, with its own batch-norm statistics."""
        running = unwrapped(model)
        look_ahead = self._look_ahead or AveragedWeights(running, self._frozen, build=self._build)
        if self._device is None:  # else memory of the running model's device is given back
            self._look_ahead = look_ahead
        look_ahead.look_ahead(self._weights, running, 1 / (self.n_averaged + 1))
        if self._batches is None:
            self._warn_of_statistics(stacklevel=self._caller_of_update)
        else:
            recompute_batch_norm(look_ahead.module, self._batches, self._forward)
        return look_ahead

    def _accept(self, look_ahead: AveragedWeights, v_hat: float) -> None:
        self._weights.take(look_ahead)
        self.best_score = v_hat
        self.version += 1
