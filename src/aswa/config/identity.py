"""Which configurations are one and the same experiment: the names of runs and of settings.

Every key counts unless its schema says that the key is neutral, or added and at its default.
"""

from __future__ import annotations

import hashlib
from typing import Any

from aswa.config.schema import flat, relevant
from aswa.files import canonical_json
from aswa.registry import kinds

# Schedules whose numbers follow from what is averaged: they belong to the methods of a run.
SCHEDULES_OF_METHODS = ("fair",)


def run_id(resolved: dict[str, Any], without: str = "") -> str:
    """Twelve hex digits of sha256 over all that can change a result.

    Args:
        resolved: a whole configuration, as it is recorded with results.
        without: a key that is left out.
    """
    return _hash({key: value for key, value in _relevant(resolved).items() if key != without})


def setting_id(resolved: dict[str, Any]) -> str:
    """`run_id` without the seed: runs of one setting are pooled over seeds."""
    return run_id(resolved, without="seed")


def training_id(resolved: dict[str, Any]) -> str:
    """`run_id` without the task: runs with the same weights at the end."""
    return run_id(resolved, without="task")


def setting(resolved: dict[str, Any]) -> dict[str, Any]:
    """What can change a result, without the seed, flat (dotted key → value), in three parts.

    Returns:
        `shared`: by all methods of the run; `methods`: by name, each one's own options, so that a
        method alone and on a common trajectory has one setting; `evaluation`: the task's options,
        which change no training.
    """
    shared = _relevant(resolved)
    methods, task, schedule = shared.pop("optimizer"), shared.pop("task", {}), shared["schedule"]
    del shared["seed"]
    of_methods = {}
    if schedule["name"] in SCHEDULES_OF_METHODS:
        of_methods = {f"schedule.{key}": v for key, v in schedule.items() if key != "name"}
        shared["schedule"] = {"name": schedule["name"]}
    return {
        "shared": flat(shared),
        "methods": {
            name: flat(options, f"optimizer.{name}.") | of_methods
            for name, options in methods.items()
            if name != "name"
        },
        "evaluation": flat(task, "task."),
    }


def setting_ids(parts: dict[str, Any]) -> dict[str, Any]:
    """A hash of each part of `setting`; None for no evaluation."""
    return {
        "shared": _hash(parts["shared"]),
        "methods": {name: _hash(options) for name, options in parts["methods"].items()},
        "evaluation": _hash(parts["evaluation"]) if parts["evaluation"] else None,
    }


def _relevant(resolved: dict[str, Any]) -> dict[str, Any]:
    """A configuration without the keys that do not count."""
    from aswa.config.run_config import DatasetConfig, RunConfig

    kind = kinds()[resolved["dataset"]["kind"]]
    task = resolved.get("task") or {"name": kind.usual_task}
    schemas = {
        "dataset": (DatasetConfig, kind.dataset),
        "model": (kind.model, *kind.models.values()),
        "task": (kind.tasks[task["name"]].options,),
    }
    found = relevant(resolved, RunConfig)
    for group in schemas.keys() & found.keys():
        found[group] = relevant(found[group], *schemas[group])
    return found


def _hash(values: Any) -> str:
    return hashlib.sha256(canonical_json(_one_way(values)).encode()).hexdigest()[:12]


def _one_way(value: Any) -> Any:
    """Equal numbers written one way, 1 for 1.0, so that one experiment has one run_id."""
    if isinstance(value, dict):
        return {key: _one_way(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_one_way(inner) for inner in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value
