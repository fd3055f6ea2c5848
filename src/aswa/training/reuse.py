"""Runs that differ in their task alone train the same weights: if one kept them, others need not.

So a finished run with `save_weights=true` can be asked further questions, with other t-norms say,
and nothing is trained again.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import torch

from aswa.config import RunConfig
from aswa.config.identity import training_id
from aswa.results.provenance import git_state, versions
from aswa.results.store import CorruptRecord, read_record, read_result
from aswa.tasks.task import Task
from aswa.training.record import marked, method_rows


class Again(NamedTuple):
    """What a run has from another one's weights: record, history, and where the weights are."""

    record: dict[str, Any]
    history: dict[str, Any]
    weights: Path


def evaluate_again(config: RunConfig, task: Task) -> Again | None:
    """A run from the weights that another one kept; None if there are none.

    They are those that training would have given: the other run was trained by the same packages,
    and what it kept is as it was evaluated. What the record says of training is the other run's,
    whose `run_id` and commit it names in `weights_of`.
    """
    if "task" not in config.resolved:
        return None
    for path, record in _trained_alike(config):
        start = time.perf_counter()
        try:
            history = read_record(path.with_name("history.json"))
            rows = [
                row
                for name in config.methods
                for row in method_rows(task, name, *_kept(path.parent, name, record, task))
            ]
        except (CorruptRecord, OSError, KeyError, RuntimeError, ValueError):
            continue  # not whole: as if it had kept nothing
        spent = time.perf_counter() - start
        seconds = record["seconds"]
        added = {key: seconds.get(key, 0.0) + spent for key in ("evaluate", "total")}
        mine = {
            "run_id": config.run_id,
            "config": config.resolved,
            "rows": marked(rows, config, record["status"] == "collapsed"),
            "seconds": {**seconds, **added},
            "git": git_state(),
            "weights_of": {"run_id": record["run_id"], "git": record.get("git")},
        }
        return Again(
            {**_unsealed(record), **mine},
            {**_unsealed(history), "run_id": config.run_id},
            path.parent / "weights",
        )
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
        if alike:
            yield path, record


def _kept(
    folder: Path, name: str, record: dict[str, Any], task: Task
) -> tuple[torch.nn.Module, int]:
    """What a method kept, and the epoch it is of."""
    model = task.build_model(torch.Generator())
    state = torch.load(folder / "weights" / f"{name}.pt", map_location=task.device)
    model.load_state_dict(state)
    epoch = next(row["epoch"] for row in record["rows"] if row["optimizer"] == name)
    return model.eval(), int(epoch)


def _unsealed(record: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in record.items() if key != "sha256"}
