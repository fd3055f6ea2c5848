"""What is written down of a finished run: `result.json`, see `aswa.results.store`."""

from __future__ import annotations

import platform
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from aswa import distributed
from aswa.config import RunConfig
from aswa.registry import AGGREGATES, load, mean_of, methods
from aswa.results.provenance import available_cores, git_state, versions
from aswa.results.store import SCHEMA
from aswa.tasks.task import Task

SPLITS = ("train", "valid", "test")
Metrics = Callable[[Sequence[nn.Module], str], dict[str, float]]


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
        "setting": _with_means(config, config.setting),
        "setting_ids": _with_means(config, config.setting_ids),
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
        **{key: found[key] for key in ("population", "diagrams", "merging") if key in found},
    }


def _labels(config: RunConfig) -> dict[str, Any]:
    """What tables call each `optimizer` of the rows."""
    known = methods()
    labels = {name: known[name].label for name in config.methods}
    labels |= {mean_of(name): known[name].mean for name in config.methods if known[name].mean}
    if config.population.members > 1:
        labels |= AGGREGATES
    return {name: {"label": label} for name, label in labels.items()}


def _with_means(config: RunConfig, parts: dict[str, Any]) -> dict[str, Any]:
    """A setting in which the rows of means have the options of their methods."""
    said, known = parts["methods"], methods()
    means = {mean_of(name): said[name] for name in config.methods if known[name].mean}
    return {**parts, "methods": said | means}


def _processor() -> str:
    """The processor's name: Linux says it in a file, other systems to `platform`."""
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    except OSError:
        lines = []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, "") or platform.processor() or platform.machine()


def method_rows(
    task: Task,
    name: str,
    members: Sequence[nn.Module],
    epoch: int,
    splits: Sequence[str] = SPLITS,
    metrics: Metrics | None = None,
) -> list[dict[str, Any]]:
    """Every metric of what a method offers.

    Args:
        epoch: of its weights.
        splits: on which it is measured.
        metrics: in place of the task's.
    """
    return [
        {"optimizer": name, "split": split, "metric": metric, "value": value, "epoch": epoch}
        for split in splits
        for metric, value in (metrics or task.metrics)(members, split).items()
    ]


class Judge:
    """Rows and diagrams of what methods offer, one method after another.

    Attributes:
        rows: every metric; those of samples for valid and test alone.
        diagrams: method → curves of its predicted probabilities on test, from tasks that have them.
    """

    def __init__(self, config: RunConfig, task: Task) -> None:
        path = config.kind.tasks[config.task.name].assess
        self._assess: Callable[..., Any] | None = load(path) if path else None
        self._task = task
        self.rows: list[dict[str, Any]] = []
        self.diagrams: dict[str, dict[str, Any]] = {}

    def judge(
        self, name: str, members: Sequence[nn.Module], epoch: int, drawn: bool = False
    ) -> None:
        """Add the rows of `name`; `drawn` are members that are samples, which are many."""
        splits, metrics = SPLITS[1:] if drawn else SPLITS, self._metrics(name)
        self.rows += method_rows(self._task, name, members, epoch, splits, metrics)

    def _metrics(self, name: str) -> Metrics:
        """The task's, or those of its `assess`, which leaves the diagrams of `name` here."""
        assess = self._assess
        if assess is None:
            return self._task.metrics

        def metrics(members: Sequence[nn.Module], split: str) -> dict[str, float]:
            found, curves = assess(self._task, members, split)
            if split == "test":
                self.diagrams[name] = curves
            return dict(found)

        return metrics
