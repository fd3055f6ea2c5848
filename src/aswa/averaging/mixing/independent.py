"""No mixing: members that know nothing of each other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import nn
from torch.optim import Optimizer


class Independent:
    """The control of every mixing: each member takes the way of a run alone."""

    def step(
        self, members: Sequence[nn.Module], optimizers: Sequence[Optimizer], rate: float
    ) -> None:
        """Nothing moves."""

    def epoch(
        self, members: Sequence[nn.Module], optimizers: Sequence[Optimizer], epoch: int
    ) -> None:
        """Nothing moves."""

    def state_dict(self) -> dict[str, Any]:
        """Empty."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Nothing to restore."""
