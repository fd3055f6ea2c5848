"""Logical queries, answered at the end of link prediction on the same weights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from aswa.config.schema import setting
from aswa.kinds.declaration import Metric, TaskDeclaration
from aswa.kinds.ranking import link_prediction_metrics, ranking_metrics

TNORMS = ("product", "minimum", "lukasiewicz")
GROUPS = {"epfo": "EPFO queries", "negation": "queries with negation"}


@dataclass(frozen=True, kw_only=True)
class QueryOptions:
    """Of `task=query_answering`. With a folder of query files the options of drawing are left out.

    Attributes:
        folder: of query files; their bytes count, by `sha256`, not their place.
    """

    structures: list[Any] = setting()
    k: int | None = setting(least=1)
    tnorm: str = setting(choices=TNORMS)
    folder: str | None = setting(None, neutral=True)
    sha256: str | None = setting(None)
    queries: int = setting(1, least=1)
    query_seed: int = setting(0, least=0)
    max_answers: int = setting(1, least=1)


def query_metrics(options: Mapping[str, Any]) -> list[Metric]:
    """Those of link prediction, and of each structure and group of structures."""
    parts = {name: f"{name} queries" for name in options["structures"]} | GROUPS
    of_queries = [ranking_metrics("queries", f"_{name}", words) for name, words in parts.items()]
    return [*link_prediction_metrics({}), *(metric for some in of_queries for metric in some)]


QUERY_ANSWERING = TaskDeclaration(
    "aswa.queries.task:QueryAnswering",
    query_metrics,
    options=QueryOptions,
    fill="aswa.queries.options:fill",
    check="aswa.queries.options:check",
)
