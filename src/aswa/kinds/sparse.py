"""Sparse rows of two classes: linear models that are solved on parts of the rows, and merged."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from aswa.config.schema import ConfigError, setting
from aswa.kinds.declaration import Kind, Metric, TaskDeclaration

SPLITS = ("train", "valid", "test")
READERS = ("rows", "libsvm", "owa_chapter", "hashed")
PARTITIONINGS = ("iid", "label_skew", "contiguous")


@dataclass(frozen=True, kw_only=True)
class SparseRows:
    """What a dataset of conf/dataset has. Those of generated data count for it alone."""

    reader: str = setting(choices=READERS)
    features: int | None = setting(None, least=1)  # checked; of generated data, made
    rows: dict[str, Any] | None = setting(None, keys=SPLITS, neutral=True)  # checked
    sha256: dict[str, Any] | None = setting(None, keys=("rows", *SPLITS))
    train_size: int | None = setting(None, least=2)  # the first so many of train
    generated_rows: int | None = setting(None, least=2)
    data_seed: int = setting(0, least=0)
    parts: int = setting(least=1)  # that the rows of train are split into, by the run's seed
    partitioning: str = setting(choices=PARTITIONINGS)
    similarity: float = setting(least=0, most=1)


@dataclass(frozen=True, kw_only=True)
class L1Logistic:
    """The model, and how models of parts are merged. One of the first two is given."""

    l1: float | None = setting(above=0)
    l1_share: float | None = setting(above=0)
    tolerance: float = setting(above=0)
    iterations: int = setting(least=1)
    merge_rows: int | None = setting(least=1)
    merge_share: float = setting(above=0, most=1)
    merge_sample: str = setting(choices=("rows", "projected"))
    selection: str = setting(choices=("log_loss", "accuracy"))
    lambda2: list[Any] | None = setting()


def check_model(options: Mapping[str, Any]) -> None:
    """Raise a ConfigError unless one of `l1` and `l1_share` is given, and λ₂ are above 0."""
    if (options["l1"] is None) == (options["l1_share"] is None):
        raise ConfigError("model.l1, model.l1_share: give one of them, and null for the other")
    for value in options["lambda2"] or ():
        if not isinstance(value, (int, float)) or value <= 0:
            raise ConfigError(f"model.lambda2: {value!r} is no number above 0")


def metrics(options: Mapping[str, Any]) -> list[Metric]:
    """Of a split: ranking, accuracy, log-loss; on train besides what a merge is and costs."""
    return [
        Metric("auc", "AUC", True, "classification"),
        Metric("accuracy", "Accuracy", True, "classification"),
        Metric("loss", "Log-loss", False, "loss"),
        Metric("zero_scores", "Rows of score 0", False, "scores", "scores"),
        Metric("nonzeros", "Nonzeros", False, "sparsity", "weights"),
        Metric("objective_gap", "F − min F", False, "objective", "objective"),
        Metric("scale_free_gap", "F − min F at the best scale", False, "objective", "objective"),
        Metric("support_f1", "F1 of the support", True, "sparsity", "weights"),
        Metric("bytes", "Bytes sent", False, "communication", "communication"),
        Metric("bytes_round_0", "Bytes of round 0", False, "communication", "communication"),
        Metric("bytes_dense", "Bytes sent, dense", False, "communication", "communication"),
    ]


SPARSE = Kind(
    name="sparse",
    words="sparse rows",
    dataset=SparseRows,
    model=L1Logistic,
    tasks={
        "sparse_classification": TaskDeclaration(
            "aswa.merging.task:SparseClassification",
            metrics,
            work="aswa.merging.one_shot:OneShot",
            check_run="aswa.merging.task:check_run",
        ),
    },
    fetching="aswa.data.fetching.sparse_rows",
    fill="aswa.data.sparse.dataset:name_bytes",
    check="aswa.kinds.sparse:check_model",
    torchrun=True,
    methods="merging",
    untrained={
        "epochs": 1,
        "batch_size": 1,
        "lr": 1.0,
        "precision": "fp32",
        "hyperparameters": None,
        "base_optimizer": None,
        "schedule": None,
        "population": None,
    },
)
