"""What is written down of a finished run: `result.json`, see `aswa.results.store`."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from aswa import distributed
from aswa.config import RunConfig
from aswa.results.provenance import git_state, versions
from aswa.results.store import SCHEMA
from aswa.tasks.task import Task
from aswa.training.trajectory import Trajectory

COLLAPSED = 1.1  # a run whose best validation score is below this multiple of guessing


def run_record(config: RunConfig, task: Task, trajectory: Trajectory) -> dict[str, Any]:
    """Evaluate what every method kept, on the test split for the only time, and write it down."""
    rows: list[dict[str, Any]] = []
    with trajectory.watch.measure("evaluate"):
        for name in trajectory.averagers:
            rows += method_rows(task, name, trajectory.weights(name), trajectory.last_change[name])
    selection = ("valid", task.selection_metric)
    valid = [row["value"] for row in rows if (row["split"], row["metric"]) == selection]
    seen = [v for scores in trajectory.history["valid"].values() for v in scores if v is not None]
    collapsed = max(valid + seen) < COLLAPSED * task.chance
    return {
        "schema": SCHEMA,
        "run_id": config.run_id,
        "status": "collapsed" if collapsed else "done",
        "dataset": config.dataset.name,
        "model": config.model.name,
        "seed": config.seed,
        "config": config.resolved,
        "versions": versions(),
        "git": git_state(),
        "device": _device_name(task.device),
        "processes": distributed.world_size(),
        "rows": marked(rows, config, collapsed),
        "decisions": trajectory.decisions,
        "members": {name: a.n_averaged for name, a in trajectory.averagers.items()},
        "seconds": dict(trajectory.watch.seconds),
        "method_seconds": dict(trajectory.method_watch.seconds),
    }


def method_rows(task: Task, name: str, weights: nn.Module, epoch: int) -> list[dict[str, Any]]:
    """Every metric of what a method kept, which was last changed in `epoch`."""
    return [
        {"optimizer": name, "split": split, "metric": metric, "value": value, "epoch": epoch}
        for split in ("train", "valid", "test")
        for metric, value in task.metrics(weights, split).items()
    ]


def marked(rows: list[dict[str, Any]], config: RunConfig, collapsed: bool) -> list[dict[str, Any]]:
    """Rows that say what is not as in the published experiment."""
    notes: dict[str, Any] = {"collapsed": True} if collapsed else {}
    if config.rebuilt_split:
        notes["dataset_split"] = "rebuilt"
    if config.reduced:
        notes["reduced"] = config.reduced
    return [{**row, **notes} for row in rows]


def _device_name(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu"
