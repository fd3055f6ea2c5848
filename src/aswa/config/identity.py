"""Which configurations are one and the same experiment: the names of runs."""

from __future__ import annotations

import hashlib
from typing import Any

from aswa.files import canonical_json

# What says where and how a run is computed, not what: no part of run_id.
WHERE_AND_HOW = (
    "device",
    "threads",
    "memory_budget",
    "data_dir",
    "results_dir",
    "checkpoint_seconds",
    "save_weights",
    "tracker",
)


# Of a dataset, what makes results differ: not counts, folders, tables of rates.
OF_THE_DATA = ("name", "sha256", "valid_ratio", "train_size", "test_size", "augment_validation")


def run_id(resolved: dict[str, Any]) -> str:
    """Twelve hex digits of sha256 over all that can change a result.

    Args:
        resolved: a whole configuration, as it is recorded with results.
    """
    relevant = {key: value for key, value in resolved.items() if key not in WHERE_AND_HOW}
    dataset = {"sha256": None, **resolved["dataset"]}
    relevant["dataset"] = {key: dataset[key] for key in OF_THE_DATA if key in dataset}
    if "task" in relevant:  # files of queries are known by their bytes
        relevant["task"] = {key: v for key, v in relevant["task"].items() if key != "folder"}
    return hashlib.sha256(canonical_json(_one_way(relevant)).encode()).hexdigest()[:12]


def training_id(resolved: dict[str, Any]) -> str:
    """The same for runs that end with the same weights, whatever these are evaluated on."""
    return run_id({key: value for key, value in resolved.items() if key != "task"})


def _one_way(value: Any) -> Any:
    """Equal numbers written one way, 1 for 1.0, so that one experiment has one run_id."""
    if isinstance(value, dict):
        return {key: _one_way(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_one_way(inner) for inner in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value
