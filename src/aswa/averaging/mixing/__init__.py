"""Operators on several models that train side by side; unlike an averager they write into them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from torch import nn
from torch.optim import Optimizer

__all__ = ["Independent", "Mixing"]


class Mixing(Protocol):
    """Moves members of a population towards or among each other.

    Members have the same tensors; `optimizers[m]` trains `members[m]`, and its state may be moved
    along. Random numbers come from a generator of the operator's own, which is part of its state.
    The mean of the members is an ordinary module, on which an `Averager` can ride.
    """

    def step(
        self, members: Sequence[nn.Module], optimizers: Sequence[Optimizer], rate: float
    ) -> None:
        """Call after all members have made an optimizer step; `rate` is lr_t / lr_0."""

    def epoch(
        self, members: Sequence[nn.Module], optimizers: Sequence[Optimizer], epoch: int
    ) -> None:
        """Call after all members have ended epoch number `epoch`, from 1."""

    def state_dict(self) -> dict[str, Any]:
        """All that is needed to go on exactly, as plain numbers and copied tensors."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from what `state_dict` gave."""


class Independent(Mixing):
    """No mixing, the control of every other: each member takes the way of a run alone."""
