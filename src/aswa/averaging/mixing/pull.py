"""PAPA (Jolicoeur-Martineau et al., TMLR 2024, arXiv 2304.03094): a pull towards the mean."""

from __future__ import annotations

from typing import Any

import torch

from aswa.averaging.mixing.mixing import Members, Mixing, Optimizers, pull, size_of, weights


class Pull(Mixing):
    """θ_n ← a θ_n + (1 − a) θ̄ for all members at once, every few optimizer steps.

    a = α, or 1 − (1 − α) lr_t / lr_0 where the pull is coupled to the learning rate. The mean θ̄ is
    kept, and the consensus distance Σ ‖θ_n − θ̄‖² shrinks by a². Batch-norm statistics are moved
    with the weights, optimizer state is not.

    Args:
        alpha: α in [0, 1]; 1 is no pull, 0 sets all members to their mean.
        every: optimizer steps from one pull to the next.
        coupled: the pull falls with the learning rate.
        restart_count: as the released code, which counts steps anew each epoch and pulls after the
            first.
    """

    distributes = True

    def __init__(
        self,
        alpha: float = 0.99,
        every: int = 10,
        coupled: bool = True,
        restart_count: bool = False,
    ) -> None:
        if not 0 <= alpha <= 1 or every < 1:
            raise ValueError(f"Pull needs 0 <= alpha <= 1 and every >= 1, not {alpha} and {every}")
        self.alpha, self.every, self.coupled = alpha, every, coupled
        self.restart_count, self._steps = restart_count, 0

    @torch.no_grad()
    def step(self, members: Members, optimizers: Optimizers, rate: float) -> int:
        """Pull, where it is time."""
        self._steps += 1
        due = self._steps % self.every == (1 % self.every if self.restart_count else 0)
        weight = (1 - self.alpha) * (rate if self.coupled else 1.0)
        if not due or not weight or self.carrier.size(members) == 1:
            return 0
        tensors = weights(members, self.carrier)
        pull(tensors, weight, self.carrier)
        return size_of(tensors)

    def epoch(self, members: Members, optimizers: Optimizers, epoch: int) -> int:
        """Nothing is mixed at the end of an epoch."""
        if self.restart_count:
            self._steps = 0
        return 0

    def state_dict(self) -> dict[str, Any]:
        return {"steps": self._steps}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._steps = state["steps"]
