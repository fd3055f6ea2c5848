"""Runs that differ in their task alone train the same weights: if one kept them, others need not.

So a finished run with `save_weights=true` can be asked further questions, with other t-norms say,
and nothing is trained again.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import nn

from aswa.config import RunConfig
from aswa.config.identity import training_id
from aswa.registry import methods
from aswa.results.provenance import versions
from aswa.results.store import SCHEMA, CorruptRecord, read_record, read_result
from aswa.tasks.task import Task
from aswa.training.record import method_rows, run_record

Reused = tuple[dict[str, Any], dict[str, Any], dict[str, list[nn.Module]]]


def evaluate_again(config: RunConfig, task: Task) -> Reused | None:
    """A run from the weights that another run kept: record, history, and weights by method.

    The weights are those that training would have given: the other run was trained by the same
    packages, and what it kept is as it was evaluated. What the record says of training is the
    other run's, whose `run_id` and commit it names in `weights_of`. None if there is no such run.
    """
    if "task" not in config.resolved or any(methods()[name].mean for name in config.methods):
        return None  # of a method that draws models, their rows and the mean's would be mixed up
    if config.population.members > 1:
        return None  # its members, which have rows too, were not kept
    for path, other in _trained_alike(config):
        start = time.perf_counter()
        try:
            history = read_record(path.with_name("history.json"))
            weights = {name: [_load(path.parent, name, task)] for name in config.methods}
            epochs = {row["optimizer"]: row["epoch"] for row in other["rows"]}
            rows = [
                row
                for name, members in weights.items()
                for row in method_rows(task, name, members, epochs[name])
            ]
        except (CorruptRecord, OSError, KeyError, RuntimeError, ValueError):
            continue  # not whole: as if it had kept nothing
        spent = time.perf_counter() - start
        before = other["seconds"]
        seconds = before | {key: before.get(key, 0.0) + spent for key in ("evaluate", "total")}
        collapsed = other["status"] == "collapsed"
        found = {**other, "rows": rows, "seconds": seconds, "collapsed": collapsed}
        record = {
            **run_record(config, task.device, found),
            **{key: other[key] for key in ("device", "hardware", "processes")},
            "weights_of": {"run_id": other["run_id"], "git": other.get("git")},
        }
        return record, {**history, "run_id": config.run_id}, weights
    return None


def _trained_alike(config: RunConfig) -> Iterator[tuple[Path, dict[str, Any]]]:
    """Finished runs of the same training with the weights of every method."""
    wanted = training_id(config.resolved)
    for path in sorted(config.folder.parent.glob("*/result.json")):
        if not all((path.parent / "weights" / f"{name}.pt").is_file() for name in config.methods):
            continue
        try:
            record = read_result(path)
            alike = training_id(record["config"]) == wanted and record["versions"] == versions()
        except (CorruptRecord, KeyError, TypeError):
            continue
        if alike and record["schema"] == SCHEMA:
            yield path, record


def _load(folder: Path, name: str, task: Task) -> nn.Module:
    model = task.build_model(torch.Generator())
    state = torch.load(folder / "weights" / f"{name}.pt", map_location=task.device)
    model.load_state_dict(state)
    return model.eval()
