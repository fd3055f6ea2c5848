"""Link predictors of the paper: score(h, r, t) = ⟨compose(h, r), t⟩."""

from __future__ import annotations

import torch
from torch import Tensor

from aswa.models.kge.link_predictor import LinkPredictor


class BilinearModel(LinkPredictor):
    """A link predictor that compares by the inner product; see `LinkPredictor` for its arguments.

    All products of the paper (real, complex, quaternion, Clifford) fit: scoring against every
    entity is one matrix product, whose losses have gradients in closed form
    (`aswa.tasks.tiled_losses`).
    """

    def compare(self, q: Tensor, t: Tensor) -> Tensor:
        """⟨q, t⟩."""
        return (q * t).sum(-1)

    def score_entities(self, q: Tensor, entities: Tensor) -> Tensor:
        """q entitiesᵀ: [B, n]."""
        return q @ entities.T

    def score_blocks(self, h: Tensor, r: Tensor, width: int, out: Tensor) -> None:
        """`score_all` as blocks [B, width] of entities, one after the other in `out` [B · n].

        A matrix product whose output stays in a CPU's cache is twice as fast as one that does not.
        """
        queries = self.queries(h, r)
        blocks = zip(self.entity.split(width), out.split(len(h) * width), strict=True)
        for entities, block in blocks:
            torch.mm(queries, entities.T, out=block.view(len(h), -1))

    def score(self, h: Tensor, r: Tensor, t: Tensor) -> Tensor:
        """Scores [B] (or [B, K] with t [B, K]) of triples given by ids."""
        if t.dim() == 1:
            return super().score(h, r, t)
        composed = self.queries(h, r)
        tails = self._rows(self.entity, t.flatten()).view(*t.shape, -1)
        return torch.bmm(tails, composed.unsqueeze(-1)).squeeze(-1)
