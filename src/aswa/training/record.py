"""What is written down of a finished run: `result.json`, see `aswa.results.store`."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from aswa import distributed
from aswa.config import RunConfig
from aswa.results.provenance import git_state, versions
from aswa.results.store import SCHEMA
from aswa.tasks.task import Task


def run_record(config: RunConfig, device: torch.device, found: dict[str, Any]) -> dict[str, Any]:
    """The record of a run, of which `found` is what its `Work` found: rows, decisions, seconds."""
    notes: dict[str, Any] = {"collapsed": True} if found["collapsed"] else {}
    if config.reduced:
        notes["reduced"] = config.reduced
    measured = ("decisions", "members", "seconds", "method_seconds")
    return {
        "schema": SCHEMA,
        "run_id": config.run_id,
        "status": "collapsed" if found["collapsed"] else "done",
        "dataset": config.dataset.name,
        "model": config.model.name,
        "seed": config.seed,
        "config": config.resolved,
        **described(config, dict.fromkeys(row["metric"] for row in found["rows"])),
        "versions": versions(),
        "git": git_state(),
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu",
        "hardware": hardware(device),
        "processes": distributed.world_size(),
        "rows": [{**row, **notes} for row in found["rows"]],
        "notes": notes,
        **{key: found[key] for key in measured},
    }


def described(config: RunConfig, metrics: Iterable[str]) -> dict[str, Any]:
    """What a reader needs to understand the rows without a table of names."""
    return {
        "setting_id": config.setting_id,
        "setting": config.setting,
        "setting_ids": config.setting_ids,
        "metrics": config.metrics(metrics),
        "methods": {name: {"label": config.method_labels[name]} for name in config.methods},
    }


def hardware(device: torch.device) -> dict[str, Any]:
    """Processor, its cores that this process may use, and GPU."""
    cuda = device.type == "cuda"
    return {
        "cpu": _processor(),
        "cores": len(os.sched_getaffinity(0))
        if hasattr(os, "sched_getaffinity")
        else os.cpu_count(),
        "gpu": torch.cuda.get_device_name(device) if cuda else None,
    }


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
