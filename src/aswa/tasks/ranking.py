"""Filtered ranking of entities: the rules by which link predictors are judged here.

For a triple (h, r, t) every entity e is scored as the tail of (h, r, e); other entities known to be
right are left out (Bordes et al., NeurIPS 2013). The rank is the mean of the optimistic and the
pessimistic one (Berrendorf et al. 2020), so a constant scorer gets what guessing would. Scores
equal up to `TOLERANCE` are ties. NaN is worse than every number: as a target it is ranked last, as
a candidate it is never in front.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from aswa.data.knowledge_graph import TailIndex

TOLERANCE = 1e-6  # times max(1, |score|): a few units in the last place of fp32 sums
TILE = 2**22  # scores computed by one matrix product: a constant, see `FilteredRanking`

ScoreAll = Callable[[Tensor, Tensor], Tensor]


class FilteredRanking:
    """Ranks of the tails of `triples`, built once and applied to any number of models.

    Each distinct (h, r) is scored once. Queries are scored in tiles whose shape depends on the
    graph alone: matrix products of another shape may round differently, so this is what makes
    ranks independent of the memory budget, to the last one. The budget divides the comparisons.

    Args:
        triples: int64 [n, 3]; to rank heads as well, give the reciprocals too.
        known: every triple that is right, `triples` among them.
        n_entities: candidates.
        memory_budget: bytes that scores and comparisons may take at a time; at least one row of
            comparisons is made whatever it says.
    """

    def __init__(
        self,
        triples: Tensor,
        known: TailIndex,
        n_entities: int,
        memory_budget: int = 256 * 2**20,
    ) -> None:
        device = triples.device
        keys = triples[:, 0] * known.n_relations + triples[:, 1]
        distinct, query_of = torch.unique(keys, return_inverse=True)
        self.n_triples, self.n_entities, self.device = len(triples), n_entities, device
        h, r = distinct // known.n_relations, distinct % known.n_relations
        tile = max(1, TILE // n_entities)
        self._chunk = max(1, (memory_budget - 4 * tile * n_entities) // (8 * n_entities))
        # Triples in the order of their queries, so that a tile's triples are a slice.
        order = torch.argsort(query_of, stable=True)
        query_of, target = query_of[order], triples[order, 2]
        pairs = known.find(h, r)
        self._tiles = []
        for first in range(0, len(distinct), tile):
            queries = slice(first, first + tile)
            row, column = known.rows(pairs[queries])
            of_tile = (query_of >= first) & (query_of < first + tile)
            local = query_of[of_tile] - first
            self._tiles.append(
                (
                    h[queries],
                    r[queries],
                    row * n_entities + column,  # filtered positions in the tile
                    local,
                    local * n_entities + target[of_tile],  # positions of the targets
                    order[of_tile],
                    # the rank of the last candidate: all but those left out
                    (n_entities + 1 - torch.bincount(row, minlength=len(h[queries])))[local],
                )
            )

    @torch.no_grad()
    def ranks(self, score_all: ScoreAll) -> Tensor:
        """Ranks, float64 [n], in the order of the triples; from 1, halves where there are ties.

        Args:
            score_all: (h [B], r [B]) → scores [B, n_entities], a new tensor, which is overwritten.
        """
        ranks = torch.empty(self.n_triples, dtype=torch.float64, device=self.device)
        for h, r, filtered, local, targets, where, last in self._tiles:
            scores = score_all(h, r).float().contiguous()
            flat = scores.view(-1)
            target = flat[targets].unsqueeze(1)
            flat[filtered] = torch.nan  # NaN compares false: out of the ranking
            for rows, t, place in zip(
                local.split(self._chunk), target.split(self._chunk), where.split(self._chunk),
                strict=True,
            ):  # fmt: skip
                ranks[place] = _mean_rank(scores, rows, t)
            ranks[where] = torch.where(target.squeeze(1).isnan(), last.double(), ranks[where])
        return ranks


def _mean_rank(scores: Tensor, rows: Tensor, target: Tensor) -> Tensor:
    """Mean of optimistic and pessimistic rank of `target` [K, 1] among `scores[rows]` [K, E]."""
    candidates = scores.index_select(0, rows)
    margin = TOLERANCE * target.abs().clamp(min=1)
    margin = torch.where(margin.isinf(), 0, margin)
    # 0.0 and 1.0 in place of booleans, summed by a matrix product: exact, and four times faster
    # on a CPU. A row's count must stay below 2**24, where fp32 stops counting.
    ones, is_it = candidates.new_ones(candidates.shape[1]), torch.empty_like(candidates)
    greater = torch.gt(candidates, target + margin, out=is_it) @ ones
    greater_or_equal = torch.ge(candidates, target - margin, out=is_it) @ ones
    return 1 + (greater.double() + greater_or_equal.double()) / 2


HITS = (1, 3, 10)


def rank_metrics(ranks: Tensor, suffix: str = "") -> dict[str, float]:
    """Mean reciprocal rank and Hits@k of ranks [n]: `mrr`, `hits@1`, `hits@3`, `hits@10`."""
    metrics = {f"mrr{suffix}": mean_reciprocal_rank(ranks)}
    for k in HITS:
        metrics[f"hits@{k}{suffix}"] = float((ranks <= k).double().mean())
    return metrics


def mean_reciprocal_rank(ranks: Tensor) -> float:
    """Mean of 1 / rank, in fp64."""
    return float(ranks.reciprocal().mean())
