"""What is written down of a finished run: `result.json`, see `aswa.results.store`."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from aswa import distributed
from aswa.config import RunConfig
from aswa.registry import AGGREGATES
from aswa.results.provenance import available_cores, git_state, versions
from aswa.results.store import SCHEMA
from aswa.tasks.task import Task


def run_record(config: RunConfig, device: torch.device, found: dict[str, Any]) -> dict[str, Any]:
    """The record of a run, of which `found` is what its trajectory gave: rows, decisions, seconds.

    A reader needs no table of names: metrics, methods and settings are described in it.
    """
    notes: dict[str, Any] = {"collapsed": True} if found["collapsed"] else {}
    if config.reduced:
        notes["reduced"] = config.reduced
    measured = ("decisions", "members", "seconds", "method_seconds")
    gpu = torch.cuda.get_device_name(device) if device.type == "cuda" else None
    return {
        "schema": SCHEMA,
        "run_id": config.run_id,
        "status": "collapsed" if found["collapsed"] else "done",
        "dataset": config.dataset.name,
        "model": config.model.name,
        "seed": config.seed,
        "config": config.resolved,
        "setting_id": config.setting_id,
        "setting": config.setting,
        "setting_ids": config.setting_ids,
        "metrics": config.metrics(dict.fromkeys(row["metric"] for row in found["rows"])),
        "methods": _labels(config),
        "versions": versions(),
        "git": git_state(),
        "device": gpu or "cpu",
        "hardware": {"cpu": _processor(), "cores": available_cores(), "gpu": gpu},
        "processes": distributed.world_size(),
        "rows": [{**row, **notes} for row in found["rows"]],
        "notes": notes,
        **{key: found[key] for key in measured},
        **{key: found[key] for key in ("population", "merging") if key in found},
    }


def _labels(config: RunConfig) -> dict[str, Any]:
    """What tables call each `optimizer` of the rows."""
    labels = {name: config.method_labels[name] for name in config.methods}
    if config.population.members > 1:
        labels |= AGGREGATES
    return {name: {"label": label} for name, label in labels.items()}


def _processor() -> str:
    """The processor's name: Linux says it in a file, other systems to `platform`."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, "") or platform.processor() or platform.machine()


def method_rows(
    task: Task, name: str, members: Sequence[nn.Module], epoch: int
) -> list[dict[str, Any]]:
    """Every metric of what a method offers; `epoch` is that of its weights."""
    return [
        {"optimizer": name, "split": split, "metric": metric, "value": value, "epoch": epoch}
        for split in ("train", "valid", "test")
        for metric, value in task.metrics(members, split).items()
    ]
