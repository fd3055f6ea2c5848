"""Metrics of filtered ranking, which graphs and queries share."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aswa.kinds.declaration import Metric

RANKING = {"mrr": "MRR", "hits@1": "Hits@1", "hits@3": "Hits@3", "hits@10": "Hits@10"}


def ranking_metrics(family: str, ending: str = "", part: str | None = None) -> list[Metric]:
    """MRR and Hits@k, of a part of the split."""
    return [Metric(f"{name}{ending}", label, True, family, part) for name, label in RANKING.items()]


def link_prediction_metrics(options: Mapping[str, Any]) -> list[Metric]:
    """Filtered ranking of heads and tails, and the training loss."""
    return [
        *ranking_metrics("triples"),
        *ranking_metrics("triples", "_head", "heads"),
        *ranking_metrics("triples", "_tail", "tails"),
        Metric("loss", "Loss", False, "loss"),
    ]
