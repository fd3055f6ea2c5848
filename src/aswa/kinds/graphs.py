"""Knowledge graphs: link predictors, link prediction, and queries on the same weights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from aswa.config.schema import ConfigError, setting
from aswa.kinds.declaration import Kind, TaskDeclaration
from aswa.kinds.queries import QUERY_ANSWERING
from aswa.kinds.ranking import link_prediction_metrics

SPLITS = ("train", "valid", "test")
OBJECTIVES = ("kvsall", "1vsall", "negative_sampling")


@dataclass(frozen=True, kw_only=True)
class Graph:
    """What a dataset of conf/dataset has: counts, which are checked, and checksums.

    Attributes:
        entities, relations: over all splits; None where they are not known.
        triples: by split.
        sha256: by split, of the uncompressed bytes.
    """

    entities: int | None = setting(None, least=1, neutral=True)
    relations: int | None = setting(None, least=1, neutral=True)
    triples: dict[str, Any] | None = setting(None, keys=SPLITS, neutral=True)
    sha256: dict[str, Any] | None = setting(None, keys=SPLITS)


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


KNOWLEDGE_GRAPH = Kind(
    name="knowledge_graph",
    words="knowledge graph",
    dataset=Graph,
    model=LinkPredictor,
    models={"keci": KeciOptions},
    tasks={
        "link_prediction": TaskDeclaration(
            "aswa.tasks.link_prediction:LinkPrediction", link_prediction_metrics
        ),
        "query_answering": QUERY_ANSWERING,
    },
    fetching="aswa.data.fetching.graphs",
    fill="aswa.data.own_files:name_bytes",
    check="aswa.kinds.graphs:check_link_predictor",
)
