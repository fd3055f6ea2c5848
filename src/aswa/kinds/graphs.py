"""Knowledge graphs: link predictors, link prediction, and queries on the same weights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from aswa.config.schema import ConfigError, setting
from aswa.kinds.declaration import Kind, Metric, TaskDeclaration

SPLITS = ("train", "valid", "test")
OBJECTIVES = ("kvsall", "allvsall", "1vsall", "negative_sampling")
TNORMS = ("product", "minimum", "lukasiewicz")
QUERY_GROUPS = {"epfo": "EPFO queries", "negation": "queries with negation"}
# Rows of a split that are not what they seem, as `aswa.data.leaks` counts them.
LEAKS = {
    "valid_in_train": "valid rows stand in train",
    "test_in_train": "test rows stand in train",
    "test_in_valid": "test rows stand in valid",
    "train_repeated": "train rows are repeated",
    "valid_repeated": "valid rows are repeated",
    "test_repeated": "test rows are repeated",
    "valid_unseen": "valid rows have an entity that train has not",
    "test_unseen": "test rows have an entity that train has not",
}
NAMES = "aswa.tasks.link_prediction:graph_names"
BY_PROBABILITY = "aswa.tasks.link_prediction:LinkPrediction.by_probability"
RANKING = {"mrr": "MRR", "hits@1": "Hits@1", "hits@3": "Hits@3", "hits@10": "Hits@10"}


@dataclass(frozen=True, kw_only=True)
class Graph:
    """What a dataset of conf/dataset has: counts, which are checked, and checksums."""

    entities: int | None = setting(None, least=1, neutral=True)  # over all splits
    relations: int | None = setting(None, least=1, neutral=True)
    triples: dict[str, Any] | None = setting(None, keys=SPLITS, neutral=True)
    leaks: dict[str, Any] | None = setting(None, keys=tuple(LEAKS), neutral=True)  # {}: none
    sha256: dict[str, Any] | None = setting(None, keys=SPLITS)  # of the uncompressed bytes
    # Of the valid triples, that selection and the rows of valid see; the filter keeps all.
    valid_share: float = setting(1.0, above=0, most=1, added=True)


@dataclass(frozen=True, kw_only=True)
class LinkPredictor:
    """What all link predictors have. The last three are of training, not of the model."""

    dim: int = setting(least=1)
    input_dropout: float = setting(least=0, below=1)
    hidden_dropout: float = setting(least=0, below=1)
    init_scale: float = setting(above=0)
    objective: str = setting(choices=OBJECTIVES)
    label_smoothing: float = setting(least=0, below=1)
    negatives: int = setting(least=1)


@dataclass(frozen=True, kw_only=True)
class KeciOptions:
    """Numbers of base vectors of Cl(p, q)."""

    p: int = setting(least=0)
    q: int = setting(least=0)


def check_link_predictor(options: Mapping[str, Any]) -> None:
    """Refuse smoothing where an objective ignores it."""
    if options["objective"] == "negative_sampling" and options["label_smoothing"]:
        raise ConfigError(
            "model.label_smoothing: negative_sampling has no smoothed labels; set it to 0"
        )


@dataclass(frozen=True, kw_only=True)
class QueryOptions:
    """Of `task=query_answering`. With a folder of query files those of drawing are left out."""

    structures: list[Any] = setting()
    k: int | None = setting(least=1)
    tnorm: str = setting(choices=TNORMS)
    folder: str | None = setting(None, neutral=True)  # its files' bytes count, by `sha256`
    sha256: str | None = setting(None)
    queries: int = setting(1, least=1)
    query_seed: int = setting(0, least=0)
    max_answers: int = setting(1, least=1)


def remark(options: Mapping[str, Any]) -> str:
    """What a reader of the metrics has to know about a dataset: its declared leaks."""
    declared = options.get("leaks") or {}
    counts = ", ".join(f"{n:,} {LEAKS[name]}" for name, n in declared.items() if n)
    return f"{counts}; the metrics *_clean leave such rows of valid and test out" if counts else ""


def ranking_metrics(family: str, ending: str = "", part: str | None = None) -> list[Metric]:
    """MRR and Hits@k, of a part of the split."""
    return [Metric(f"{name}{ending}", label, True, family, part) for name, label in RANKING.items()]


def link_prediction_metrics(options: Mapping[str, Any]) -> list[Metric]:
    """Filtered ranking of heads and tails, and the training loss."""
    return [
        *ranking_metrics("triples"),
        *ranking_metrics("triples", "_head", "heads"),
        *ranking_metrics("triples", "_tail", "tails"),
        *ranking_metrics("triples", "_clean", "facts without leaks"),
        Metric("loss", "Loss", False, "loss"),
    ]


def query_metrics(options: Mapping[str, Any]) -> list[Metric]:
    """Those of link prediction, and of each structure and group of structures."""
    parts = {name: f"{name} queries" for name in options["structures"]} | QUERY_GROUPS
    of_queries = [ranking_metrics("queries", f"_{name}", words) for name, words in parts.items()]
    return [*link_prediction_metrics({}), *(metric for some in of_queries for metric in some)]


KNOWLEDGE_GRAPH = Kind(
    name="knowledge_graph",
    words="knowledge graph",
    dataset=Graph,
    model=LinkPredictor,
    models={"keci": KeciOptions},
    tasks={
        "link_prediction": TaskDeclaration(
            "aswa.tasks.link_prediction:LinkPrediction",
            link_prediction_metrics,
            check_run="aswa.tasks.link_prediction:check_run",
            names=NAMES,
            combined=BY_PROBABILITY,
        ),
        "query_answering": TaskDeclaration(
            "aswa.queries.task:QueryAnswering",
            query_metrics,
            options=QueryOptions,
            fill="aswa.queries.options:fill",
            check="aswa.queries.options:check",
            headline=("mrr", "mrr_epfo"),
            check_run="aswa.tasks.link_prediction:check_run",
            names=NAMES,
            combined=BY_PROBABILITY,
        ),
    },
    fetching="aswa.data.fetching.graphs",
    fill="aswa.data.own_files:name_bytes",
    remark="aswa.kinds.graphs:remark",
    check="aswa.kinds.graphs:check_link_predictor",
)
