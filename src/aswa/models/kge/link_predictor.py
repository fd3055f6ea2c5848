"""What all link predictors share: two tables, and score(h, r, t) = compare(compose(h, r), t)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

COMPARED = 2**22  # numbers that `compare` is given at a time


class LinkPredictor(nn.Module):
    """Entities and relations as rows of two tables.

    A subclass says how a head and a relation compose, and how the result is compared with a tail.
    A model that is not of this form overrides `score` and `score_all`; one that scores every entity
    faster than by `compare` overrides `score_entities`. `BilinearModel` compares by the inner
    product.

    Args:
        n_entities: rows of `entity`.
        n_relations: rows of `relation`; reciprocal relations count.
        dim: real numbers a row.
        input_dropout: probability of zeroing a number of h or r in training.
        hidden_dropout: probability of zeroing a number of compose(h, r) in training.
        init_scale: standard deviation of the initial numbers, which are normal.
        generator: source of the initial numbers; the global one if None.

    Attributes:
        parts: equal parts that a row splits into.

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
        """Heads [B, d] and relations [B, d] composed: [B, d]."""
        raise NotImplementedError

    def compare(self, q: Tensor, t: Tensor) -> Tensor:
        """Scores [..., ] of composed queries [..., d] with tails [..., d], which broadcast."""
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

    def score_entities(self, q: Tensor, entities: Tensor) -> Tensor:
        """Scores [B, n] of composed queries [B, d] with entities [n, d], some at a time."""
        size = max(1, COMPARED // max(1, q.numel()))
        blocks = [self.compare(q.unsqueeze(1), some) for some in entities.split(size)]
        return blocks[0] if len(blocks) == 1 else torch.cat(blocks, 1)

    def score_all(self, h: Tensor, r: Tensor) -> Tensor:
        """Scores [B, n_entities] of (h, r, every entity), for ids h [B], r [B]."""
        return self.score_entities(self.queries(h, r), self.entity)

    def score_blocks(self, h: Tensor, r: Tensor, width: int, out: Tensor) -> None:
        """`score_all` as blocks [B, width] of entities, one after the other in `out` [B · n]."""
        blocks = out.split(len(h) * width)
        for scores, block in zip(self.score_all(h, r).split(width, 1), blocks, strict=True):
            block.view(len(h), -1).copy_(scores)

    def score(self, h: Tensor, r: Tensor, t: Tensor) -> Tensor:
        """Scores [B] (or [B, K] with t [B, K]) of triples given by ids."""
        composed = self.queries(h, r)
        tails = self._rows(self.entity, t.flatten()).view(*t.shape, -1)
        return self.compare(composed if t.dim() == 1 else composed.unsqueeze(1), tails)

    def _rows(self, table: Tensor, ids: Tensor) -> Tensor:
        if self.sparse_gradient:
            return F.embedding(ids, table, sparse=True)
        return table.index_select(0, ids)  # its gradient is faster than embedding's, on a CPU

    def forward(self, h: Tensor, r: Tensor) -> Tensor:
        """`score_all`."""
        return self.score_all(h, r)
