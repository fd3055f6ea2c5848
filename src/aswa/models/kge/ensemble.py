"""Several link predictors as one."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from aswa.models.kge.bilinear import BilinearModel


class Ensemble(BilinearModel):
    """The mean of N link predictors' scores: a bilinear model with rows N times as long.

    (1/N) Σ_n ⟨q_n, t_n⟩ = ⟨[q_1 | … | q_N], [t_1 | … | t_N] / N⟩ with q_n = compose_n(h, r).
    Entities are copied, without gradients.

    Args:
        members: at least one, over the same entities and relations, in eval mode.
    """

    def __init__(self, members: Sequence[BilinearModel]) -> None:
        nn.Module.__init__(self)  # BilinearModel would draw tables
        self.sparse_gradient = False
        self.members = tuple(members)
        rows = torch.cat([member.entity.detach() for member in members], 1)
        self.entity = nn.Parameter(rows / len(members), requires_grad=False)

    def queries(self, h: Tensor, r: Tensor) -> Tensor:
        """Composed rows [B, N d] of head ids [B] and relation ids [B]."""
        return torch.cat([member.queries(h, r) for member in self.members], 1)
