"""Query answering: link prediction whose final weights answer logical queries as well."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path

import torch
from torch import nn

from aswa.config import ConfigError, RunConfig
from aswa.models.kge.ensemble import as_one
from aswa.queries.algebra import STRUCTURES, has_negation
from aswa.queries.answering import Answerer
from aswa.queries.betae import read_betae
from aswa.queries.cache import cached_queries
from aswa.queries.fuzzy_logic import LOGICS
from aswa.queries.generation import Queries
from aswa.queries.ranking import QueryRanking
from aswa.tasks.link_prediction import LinkPrediction


class QueryAnswering(LinkPrediction):
    """`LinkPrediction` with further metrics on valid and test.

    `mrr_2p`, `hits@1_2p`, … are over the hard answers of a structure; `mrr_epfo`, … and
    `mrr_negation`, … are means over the structures without and with negation. The queries of a
    split are drawn or read when its metrics are first asked for: those of test after selection.
    """

    def __init__(self, config: RunConfig, device: torch.device) -> None:
        super().__init__(config, device)
        self._task = config.task.options
        self._names = [name for name in STRUCTURES if name in self._task["structures"]]
        self._rankings = cache(self._build_rankings)

    def metrics(self, members: Sequence[nn.Module], split: str) -> dict[str, float]:
        found = super().metrics(members, split)
        if split == "train":
            return found
        logic, k = LOGICS[self._task["tnorm"]](), self._task["k"] or self.n_entities
        answerer = Answerer(as_one(members), logic, k)
        by_structure = {
            name: ranking.metrics(answerer) for name, ranking in self._rankings(split).items()
        }
        groups = {}
        for group, negated in (("epfo", False), ("negation", True)):
            of_group = [
                values
                for name, values in by_structure.items()
                if has_negation(STRUCTURES[name]) is negated
            ]
            if of_group:
                groups[group] = {
                    metric: sum(each[metric] for each in of_group) / len(of_group)
                    for metric in of_group[0]
                }
        return found | {
            f"{metric}_{name}": value
            for name, values in (by_structure | groups).items()
            for metric, value in values.items()
        }

    def queries(self, split: str) -> dict[str, Queries]:
        """The queries of `valid` or `test`, by structure.

        Raises:
            ConfigError: a structure has none.
            BadQueryFile: see `read_betae`.
        """
        if self._task["folder"] is not None:
            return read_betae(Path(self._task["folder"]), split, self.graph, self._names)
        found = cached_queries(
            self.graph,
            split,
            self._names,
            self._task["queries"],
            seed=self._task["query_seed"],
            max_answers=self._task["max_answers"],
        )
        for name, queries in found.items():
            if not len(queries):
                most = self._task["max_answers"]
                raise ConfigError(
                    f"task.structures: no {name} query with at most {most} answers was found for "
                    f"{split}; leave it out, or raise task.max_answers"
                )
        return found

    def _build_rankings(self, split: str) -> dict[str, QueryRanking]:
        budget = self._config.memory_budget * 2**20
        return {
            name: QueryRanking(queries, self.n_entities, self.device, budget)
            for name, queries in self.queries(split).items()
        }
