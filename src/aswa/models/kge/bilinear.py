"""What all link predictors share: score(h, r, t) = ⟨compose(h, r), t⟩; and their mean."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class BilinearModel(nn.Module):
    """Entities and relations as rows of two tables, scored by an inner product.

    A subclass says how a head and a relation compose. All products of the paper (real, complex,
    quaternion, Clifford) fit: scoring against every entity is then one matrix product.

    Args:
        n_entities: rows of `entity`.
        n_relations: rows of `relation`; reciprocal relations count.
        dim: real numbers a row.
        input_dropout: probability of zeroing a number of h or r in training.
        hidden_dropout: probability of zeroing a number of compose(h, r) in training.
        init_scale: standard deviation of the initial numbers, which are normal.
        generator: source of the initial numbers; the global one if None.

    Raises:
        ValueError: `dim` does not split into the parts that the algebra has.
    """

    parts = 1

    def __init__(
        self,
        n_entities: int,
        n_relations: int,
        dim: int,
        *,
        input_dropout: float = 0.0,
        hidden_dropout: float = 0.0,
        init_scale: float = 0.1,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        if dim < 1 or dim % self.parts:
            raise ValueError(
                f"model.dim={dim} does not split into the {self.parts} equal parts that "
                f"{type(self).__name__} needs; take a multiple of {self.parts}, "
                f"such as {max(1, round(dim / self.parts)) * self.parts}"
            )
        self.input_dropout, self.hidden_dropout = input_dropout, hidden_dropout
        self.sparse_gradient = False  # of the rows looked up; set by the objective
        self.entity = nn.Parameter(torch.empty(n_entities, dim))
        self.relation = nn.Parameter(torch.empty(n_relations, dim))
        for table in (self.entity, self.relation):
            nn.init.normal_(table, std=init_scale, generator=generator)

    def compose(self, h: Tensor, r: Tensor) -> Tensor:
        """The product of heads [B, d] and relations [B, d] in the model's algebra: [B, d]."""
        raise NotImplementedError

    def queries(self, h: Tensor, r: Tensor) -> Tensor:
        """Composed rows [B, d] of head ids [B] and relation ids [B], with dropout in training."""
        heads, relations = self._rows(self.entity, h), self._rows(self.relation, r)
        if self.training and self.input_dropout:
            heads = F.dropout(heads, self.input_dropout)
            relations = F.dropout(relations, self.input_dropout)
        composed = self.compose(heads, relations)
        if self.training and self.hidden_dropout:
            composed = F.dropout(composed, self.hidden_dropout)
        return composed

    def score_all(self, h: Tensor, r: Tensor) -> Tensor:
        """Scores [B, n_entities] of (h, r, every entity), for ids h [B], r [B]."""
        return self.queries(h, r) @ self.entity.T

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
        composed = self.queries(h, r)
        tails = self._rows(self.entity, t.flatten()).view(*t.shape, -1)
        if t.dim() == 2:
            return torch.bmm(tails, composed.unsqueeze(-1)).squeeze(-1)
        return (composed * tails).sum(-1)

    def _rows(self, table: Tensor, ids: Tensor) -> Tensor:
        if self.sparse_gradient:
            return F.embedding(ids, table, sparse=True)
        return table.index_select(0, ids)  # its gradient is faster than embedding's, on a CPU

    forward = score_all


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
