"""Filtered ranking of entities: the rules by which link predictors are judged here.

For a triple (h, r, t) every entity e is scored as the tail of (h, r, e); other entities known to be
right are left out (Bordes et al., NeurIPS 2013). The rank is the mean of the optimistic and the
pessimistic one (Berrendorf et al. 2020), so a constant scorer gets what guessing would. Scores
equal up to `TOLERANCE` are ties. NaN is worse than every number: as a target it is ranked last, as
a candidate it is never in front.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from aswa.data.knowledge_graph import TailIndex

TOLERANCE = 1e-6  # times max(1, |score|): a few units in the last place of fp32 sums
TILE = 10 * 2**20  # scores held at a time: a constant, see `FilteredRanking`
BLOCK = 2**20  # scores made by one matrix product on a CPU, which then are still in cache
PIECE = 2**17  # comparisons that a CPU's thread makes at a time: summed from its core's cache

ScoreBlocks = Callable[[Tensor, Tensor, int, Tensor], None]


class _Tile(NamedTuple):
    """Some queries and the triples that ask them; positions are in the tile's flat scores."""

    h: Tensor
    r: Tensor
    filtered: Tensor  # positions of known tails
    row: Tensor  # query of each triple: 0 … Q − 1, then those of further triples of these queries
    target: Tensor  # positions
    last: Tensor  # the rank of the last candidate: all but those left out
    where: Tensor  # place of each triple in the result


class FilteredRanking:
    """Ranks of the tails of `triples`, built once and applied to any number of models.

    Each distinct (h, r) is scored once. Queries are scored in tiles, and entities in blocks, whose
    shapes depend on the graph alone: matrix products of another shape may round differently, so
    this is what makes ranks independent of the memory budget, to the last one. A tile takes 40 MiB
    whatever the graph (one row of scores at least); the budget divides the comparisons. A CPU
    divides them further, because those that leave the core's cache cost twice as much.

    Args:
        triples: int64 [n, 3]; to rank heads as well, give the reciprocals too.
        known: every triple that is right, `triples` among them.
        n_entities: candidates.
        memory_budget: bytes that scores and comparisons may take at a time, from 64 MiB, beside
            the index of what is filtered.
    """

    def __init__(
        self,
        triples: Tensor,
        known: TailIndex,
        n_entities: int,
        memory_budget: int = 256 * 2**20,
    ) -> None:
        self.n_triples, self.n_entities, self.device = len(triples), n_entities, triples.device
        keys = triples[:, 0] * known.n_relations + triples[:, 1]
        distinct, query_of = torch.unique(keys, return_inverse=True)
        # Triples in the order of their queries, so that those of a tile are a slice.
        order = torch.argsort(query_of, stable=True)
        query_of, tails = query_of[order], triples[order, 2]
        pairs = known.find(distinct // known.n_relations, distinct % known.n_relations)
        size = min(max(1, TILE // n_entities), len(distinct))
        block = TILE if self.device.type == "cuda" else BLOCK
        self.width = min(n_entities, max(1, block // size))
        at_a_time = (memory_budget - 4 * TILE) // 8  # comparisons, and copies of what is compared
        if self.device.type != "cuda":
            at_a_time = min(at_a_time, PIECE * torch.get_num_threads())
        self._rows = max(1, at_a_time // self.width)
        starts = torch.arange(0, len(distinct) + size, size, device=self.device)
        cuts = torch.searchsorted(query_of, starts).tolist()
        self._tiles = [
            self._tile(known, of_tile, query_of[a:b] - size * i, tails[a:b], order[a:b])
            for i, (of_tile, a, b) in enumerate(
                zip(pairs.split(size), cuts, cuts[1:], strict=False)
            )
        ]

    def _tile(
        self, known: TailIndex, pairs: Tensor, row: Tensor, tail: Tensor, where: Tensor
    ) -> _Tile:
        """Tile of the queries `pairs`; the triples come in the order of their rows."""
        further = torch.zeros_like(row, dtype=torch.bool)
        further[1:] = row[1:] == row[:-1]
        order = torch.argsort(further.byte(), stable=True)
        row, tail, where = row[order], tail[order], where[order]
        of, column = known.rows(pairs)
        left = self.n_entities + 1 - torch.bincount(of, minlength=len(pairs))
        return _Tile(
            known.h[pairs],
            known.r[pairs],
            self._position(of, column, len(pairs)),
            row,
            self._position(row, tail, len(pairs)),
            left[row],
            where,
        )

    def _position(self, row: Tensor, column: Tensor, n_rows: int) -> Tensor:
        """Places of scores in blocks [n_rows, width] laid one after the other."""
        begin = column // self.width * self.width
        width = (self.n_entities - begin).clamp_(max=self.width)
        return begin * n_rows + row * width + column - begin

    def chance(self) -> float:
        """Mean reciprocal rank of a constant scorer, which ties with every candidate."""
        return mean_reciprocal_rank(torch.cat([(1 + t.last.double()) / 2 for t in self._tiles]))

    @torch.no_grad()
    def ranks(self, score_blocks: ScoreBlocks) -> Tensor:
        """Ranks, float64 [n], in the order of the triples; from 1, halves where there are ties.

        Args:
            score_blocks: (h [B], r [B], width, out [B · n_entities]) writes the scores into out, as
                blocks [B, width] of entities one after the other: `BilinearModel.score_blocks`.
        """
        ranks = torch.empty(self.n_triples, dtype=torch.float64, device=self.device)
        # One buffer for all tiles: new memory would cost as much time as the comparisons.
        queries = max(len(tile.h) for tile in self._tiles)
        further = max(len(tile.row) - len(tile.h) for tile in self._tiles)
        buffer = torch.empty(queries * self.n_entities, device=self.device)
        rows = min(self._rows, max(queries, further))
        spare = torch.empty(rows * self.width, device=self.device)
        for tile in self._tiles:
            scores = buffer[: len(tile.h) * self.n_entities]
            score_blocks(tile.h, tile.r, self.width, scores)
            target = scores[tile.target].unsqueeze(1)
            scores[tile.filtered] = torch.nan  # NaN compares false: out of the ranking
            ranks[tile.where] = torch.where(
                target.isnan().squeeze(1),
                tile.last.double(),
                1 + self._candidates_above(scores, tile, target, spare).double() / 2,
            )
        return ranks

    def _candidates_above(
        self, scores: Tensor, tile: _Tile, target: Tensor, spare: Tensor
    ) -> Tensor:
        """Candidates above the target plus candidates not below it, [K], for targets [K, 1].

        Writes into `spare`. Counts are whole numbers in fp32, exact below 2**24: for up to 8
        million entities.
        """
        n_queries, count = len(tile.h), target.new_zeros(len(target))
        margin = TOLERANCE * target.abs().clamp(min=1)
        margin = torch.where(margin.isinf(), 0, margin)
        high, low = target + margin, target - margin
        pieces = [
            slice(start, min(start + self._rows, end))
            for begin, end in ((0, n_queries), (n_queries, len(target)))
            for start in range(begin, end, self._rows)
        ]
        for flat in scores.split(n_queries * self.width):
            block = flat.view(n_queries, -1)
            ones = block.new_ones(block.shape[1])
            for part in pieces:
                # The first triples of all queries need no copy.
                first = part.start < n_queries
                candidates = block[part] if first else block.index_select(0, tile.row[part])
                # 0.0 and 1.0 in place of booleans, summed by a matrix product: exact, and four
                # times faster on a CPU.
                is_it = spare[: candidates.numel()].view_as(candidates)
                count[part].addmv_(torch.gt(candidates, high[part], out=is_it), ones)
                count[part].addmv_(torch.ge(candidates, low[part], out=is_it), ones)
        return count


HITS = (1, 3, 10)


def rank_metrics(
    ranks: Tensor, suffix: str = "", mean: Callable[[Tensor], Tensor] = torch.mean
) -> dict[str, float]:
    """Mean reciprocal rank and Hits@k of ranks [n]: `mrr`, `hits@1`, `hits@3`, `hits@10`."""
    values = {"mrr": ranks.reciprocal()} | {f"hits@{k}": (ranks <= k).double() for k in HITS}
    return {f"{metric}{suffix}": float(mean(value)) for metric, value in values.items()}


def mean_reciprocal_rank(ranks: Tensor) -> float:
    """Mean of 1 / rank, in fp64."""
    return float(ranks.reciprocal().mean())
