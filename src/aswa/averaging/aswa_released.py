"""What the authors' released code computes under the name ASWA: an ablation, not the method."""

from __future__ import annotations

import math
from typing import Any

from torch import nn

from aswa.averaging.aswa import ASWA, Decision
from aswa.averaging.averager import Evaluate, better, score
from aswa.averaging.batch_norm import Batches


class ReleasedASWA(ASWA):
    """The recursion of the code released with the paper (dice-group/aswa), one switch a deviation.

    With the defaults, as in its distributed script:

        Θ̂ = (n · Θ_A + Θ) / (n + 1)            v_A: score of what Θ_A holds now
        hard update, if v > v̂ and v > v_A:  Θ_A ← Θ, n ← 0     (the new member is forgotten)
        soft update, else if v̂ ≥ v_A:       Θ_A ← Θ̂, n ← n + 1
        reject, otherwise:                    Θ_A ← Θ̂, n as it was (nothing is restored)

    so Θ_A moves at every epoch. All switches the other way give `ASWA`'s decisions. Buffers
    follow this library's rules (the released code averages integer counters as floats).

    Args:
        model: the running model.
        batches: as in `ASWA`.
        start: calls of `update` to let pass, as SWA's; each counts as a rejection.
        hard_updates: false as in the single-GPU script, which has none.
        restore_on_reject: put Θ_A back after a rejection, as the paper says.
        keep_member: n ← 1 after a hard update, as the paper says.
        accept_ties: soft update at v̂ = v_A.
    """

    def __init__(
        self,
        model: nn.Module,
        *,
        batches: Batches | None = None,
        start: int = 0,
        hard_updates: bool = True,
        restore_on_reject: bool = False,
        keep_member: bool = False,
        accept_ties: bool = True,
    ) -> None:
        super().__init__(model, batches=batches)
        self.start, self.n_epochs = start, 0
        self.hard_updates = hard_updates
        self.restore_on_reject = restore_on_reject
        self.keep_member = keep_member
        self.accept_ties = accept_ties

    def update(self, model: nn.Module, evaluate: Evaluate) -> Decision:
        """Score Θ = `model` and the look-ahead, decide, and move Θ_A as the released code does.

        `best_score` is v_A, which falls after a rejection that was not restored. The first call
        is a soft update onto nothing (n = 0, Θ̂ = Θ): the released code's random initial ensemble
        has weight 0, and is here taken to score worse than the first epoch.
        """
        self.n_epochs += 1
        if self.n_epochs <= self.start:
            return Decision.REJECT
        v = score(model, evaluate)
        if self._weights is None:
            self._restart(model)
            self.best_score, self.last_scores = v, (v, math.nan)
            return Decision.SOFT
        look_ahead = self._look(model, self._weights)
        v_hat = score(look_ahead.module, evaluate)
        self.last_scores = (v, v_hat)
        if self.hard_updates and better(v, v_hat) and better(v, self.best_score):
            self._restart(model)
            self.n_averaged = 1 if self.keep_member else 0
            self.best_score = v
            return Decision.HARD
        accept = better(v_hat, self.best_score) or (self.accept_ties and v_hat == self.best_score)
        if accept or not self.restore_on_reject:
            self._weights, self._look_ahead = look_ahead, self._weights
            self.best_score = v_hat
        self.n_averaged += accept
        return Decision.SOFT if accept else Decision.REJECT

    def _counters(self) -> dict[str, Any]:
        return {**super()._counters(), "n_epochs": self.n_epochs}
