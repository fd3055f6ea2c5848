"""Filtered ranks of the hard answers of queries, by the rules of `aswa.tasks.ranking`.

Each hard answer is ranked among the entities that are no other answer, easy or hard. Metrics of a
query are means over its hard answers, those of a structure means over its queries (Ren and
Leskovec, NeurIPS 2020).
"""

from __future__ import annotations

import torch
from torch import Tensor

from aswa.data.knowledge_graph import TailIndex
from aswa.queries.algebra import structure
from aswa.queries.answering import Answerer
from aswa.queries.generation import Queries
from aswa.tasks.ranking import FilteredRanking, rank_metrics


class QueryRanking:
    """Ranks hard answers; built once and applied to any number of models.

    Args:
        queries: of one structure, at least one.
        n_entities: candidates.
        device: of the models.
        memory_budget: bytes that scores and comparisons may take at a time, see `FilteredRanking`.
    """

    def __init__(
        self, queries: Queries, n_entities: int, device: torch.device, memory_budget: int
    ) -> None:
        self._structure = structure(queries.structure)
        self._rows = queries.rows.to(device)
        self._query = queries.hard.query().to(device)
        self._counts = queries.hard.counts().to(device)
        # For the ranking a query is a head, with one relation.
        hard, easy = (
            torch.stack([each.query(), torch.zeros_like(each.entities), each.entities], 1)
            for each in (queries.hard, queries.easy)
        )
        answers = TailIndex(torch.cat([hard, easy]), 1).to(device)
        self._ranking = FilteredRanking(hard.to(device), answers, n_entities, memory_budget)

    def ranks(self, answerer: Answerer) -> Tensor:
        """Ranks of the hard answers, float64 [K], in the order of the queries."""

        def score_blocks(query: Tensor, _: Tensor, width: int, out: Tensor) -> None:
            first, n = 0, len(query)
            blocks = [block.view(n, -1) for block in out.split(n * width)]
            for logits in answerer.logits(self._structure, self._rows[query]):
                for block, part in zip(blocks, logits.split(width, 1), strict=True):
                    block[first : first + len(logits)] = part
                first += len(logits)

        return self._ranking.ranks(score_blocks)

    def metrics(self, answerer: Answerer) -> dict[str, float]:
        """`mrr`, `hits@1`, `hits@3` and `hits@10`, each a mean over queries."""
        return rank_metrics(self.ranks(answerer), mean=self._mean)

    def _mean(self, values: Tensor) -> Tensor:
        """Over the hard answers of each query, then over the queries."""
        sums = values.new_zeros(len(self._counts)).index_add_(0, self._query, values)
        return (sums / self._counts).mean()
