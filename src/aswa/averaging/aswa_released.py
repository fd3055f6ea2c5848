"""What the authors' released code computes under the name ASWA: an ablation, not the method."""

from __future__ import annotations

import math
from typing import Unpack

from torch import nn

from aswa.averaging.aswa import ASWA
from aswa.averaging.averager import Decision, Evaluate
from aswa.averaging.scored import ScoredOptions


class ReleasedASWA(ASWA):
    """The recursion of the code released with the paper (dice-group/aswa), one switch a deviation.

    With the defaults, as in its distributed script:

        Θ̂ = (n · Θ_A + Θ) / (n + 1)            v_A: score of what Θ_A holds now
        hard update, if v > v̂ and v > v_A:  Θ_A ← Θ, n ← 0     (the new member is forgotten)
        soft update, else if v̂ ≥ v_A:       Θ_A ← Θ̂, n ← n + 1
        reject, otherwise:                    Θ_A ← Θ̂, n as it was (nothing is restored)

    so Θ_A moves at every epoch. All switches the other way give `ASWA`'s decisions. Buffers
    follow this library's rules (the released code averages integer counters as floats).

    `best_score` is v_A, which falls after a rejection that was not restored. The first decision
    is a soft update onto nothing (n = 0, Θ̂ = Θ): the released code's random initial ensemble has
    weight 0, and is here taken to score worse than the first epoch. After a hard update that
    forgets its member, `n_averaged` is 0 although Θ_A goes on.

    Args:
        model: the running model.
        start: as in `ASWA`.
        every: as in `ASWA`.
        hard_updates: false as in the single-GPU script, which has none.
        restore_on_reject: put Θ_A back after a rejection, as the paper says.
        keep_member: n ← 1 after a hard update, as the paper says.
        accept_ties: soft update at v̂ = v_A.
        options: as in `ASWA`.
    """

    def __init__(
        self,
        model: nn.Module,
        start: int = 0,
        every: int = 1,
        *,
        hard_updates: bool = True,
        restore_on_reject: bool = False,
        keep_member: bool = False,
        accept_ties: bool = True,
        **options: Unpack[ScoredOptions],
    ) -> None:
        super().__init__(model, start, every, **options)
        self.hard_updates = hard_updates
        self.restore_on_reject = restore_on_reject
        self.keep_member = keep_member
        self.accept_ties = accept_ties

    def _decide(self, model: nn.Module, evaluate: Evaluate) -> Decision:
        """Score Θ = `model` and the look-ahead, and move Θ_A as the released code does."""
        v = self._measure(model, evaluate)
        if not self._begun:
            self._restart(model)
            self.best_score, self.last_scores = v, (v, math.nan)
            return Decision.SOFT
        look_ahead = self._look(model)
        v_hat = self._measure(look_ahead.module, evaluate)
        self.last_scores = (v, v_hat)
        if self.hard_updates and self._better(v, v_hat) and self._better(v, self.best_score):
            self._restart(model)
            self.n_averaged = 1 if self.keep_member else 0
            self.best_score = v
            return Decision.HARD
        tie = self.accept_ties and v_hat == self.best_score
        accept = tie or self._better(v_hat, self.best_score)
        if accept or not self.restore_on_reject:
            self._accept(look_ahead, v_hat)
        self.n_averaged += accept
        return Decision.SOFT if accept else Decision.REJECT
