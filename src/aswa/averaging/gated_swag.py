"""A Gaussian around ASWA's ensemble: only models that validation accepts are collected."""

from __future__ import annotations

from typing import Unpack

from torch import nn

from aswa.averaging.aswa import ASWA
from aswa.averaging.gaussian import Gaussian
from aswa.averaging.scored import ScoredOptions


class GatedSWAG(Gaussian, ASWA):
    """SWAG with ASWA for a gate; `module`, decisions and v* are ASWA's, to the last bit.

    A soft update collects the running model, a hard update forgets all and begins with it, a
    rejection changes nothing.

    Args:
        model: the running model.
        start: epochs to let pass before the first decision.
        every: epochs from one decision to the next.
        rank: that of `SWAG`.
        scale: that of `SWAG`.
        n_samples: that of `SWAG`.
        options: those of `ASWA`.
    """

    _caller_of_update = ASWA._caller_of_update + 1

    def __init__(
        self,
        model: nn.Module,
        start: int = 0,
        every: int = 1,
        rank: int = 20,
        scale: float = 0.5,
        n_samples: int = 30,
        **options: Unpack[ScoredOptions],
    ) -> None:
        super().__init__(
            model, start=start, every=every, rank=rank, scale=scale, n_samples=n_samples, **options
        )
