"""Settings that differ between the runs of a folder, as columns beside their numbers."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from aswa.analysis.records.long_table import optimizer_set
from aswa.analysis.records.runs import Run
from aswa.analysis.records.unfinished import Unfinished, read_plan

Columns = dict[str, list[Any]]  # key → value by run


def varying_settings(runs: list[Run]) -> Columns:
    """Dotted key → its value in each run, None where a run has no such key.

    A key of the dataset counts where it differs between runs of one dataset, a key of the model
    likewise: those of two datasets always differ. Options of a method that a run has not are
    no difference.
    """
    settings = [_flat(run) for run in runs]
    groups: dict[str, Callable[[Run], str]] = {
        "dataset": lambda run: run.dataset,
        "model": lambda run: run.model,
    }
    found = {}
    for key in sorted({key for setting in settings for key in setting}):
        group = groups.get(key.split(".")[0], lambda run: "")
        values: dict[str, set[str]] = defaultdict(set)
        for run, setting in zip(runs, settings, strict=True):
            if key in setting:
                values[group(run)].add(json.dumps(setting[key]))
        if any(len(distinct) > 1 for distinct in values.values()):
            found[key] = [setting.get(key) for setting in settings]
    return found


def common_settings(runs: list[Run]) -> dict[str, Any]:
    """Dotted key → the value that it has in all runs; options of a method in all that have it."""
    values: dict[str, Any] = {}
    differing: set[str] = set()
    for run in runs:
        for key, value in _flat(run).items():
            if values.setdefault(key, value) != value:
                differing.add(key)
    return {key: value for key, value in values.items() if key not in differing}


def _flat(run: Run) -> dict[str, Any]:
    """All settings of a run, without what its dataset and model are called."""
    own = {key: value for _, values in run.setting.values() for key, value in values.items()}
    names = ("dataset.name", "model.name", "dataset.kind", "model.kind")
    return {key: value for key, value in own.items() if key not in names}


def column(values: list[Any]) -> pd.Series:
    """Numbers where all are, else texts, which every format can hold."""
    numbers = all(isinstance(v, (int, float)) and not isinstance(v, bool) for v in values if v)
    if numbers and any(value is not None for value in values):
        return pd.Series([None if v is None else float(v) for v in values], dtype="Float64")
    texts = [v if v is None or isinstance(v, str) else json.dumps(v) for v in values]
    return pd.Series(texts, dtype="object")


def runs_frame(
    runs: list[Run], settings: Columns, unfinished: Sequence[Unfinished] = ()
) -> pd.DataFrame:
    """A row a run: who, the settings that vary, overrides, commit, seconds, folder, status."""
    rows: list[tuple[Any, ...]] = []
    for run in runs:
        overrides = " ".join(read_plan(run.path.parent).get("overrides", []))
        sha = str(run.git.get("sha") or "") + ("+" if run.git.get("dirty") else "")
        rows.append((run.dataset, run.model, optimizer_set(run), run.seed, run.run_id, overrides,
                     sha, run.device, run.seconds.get("total"), _place(run.path.parent),
                     run.status))  # fmt: skip
    for other in unfinished:
        *_, dataset, model, run_id = other.path.parts
        group = str(other.config.get("optimizer.name") or "")
        rows.append((dataset, model, group, other.seed, run_id, " ".join(other.overrides), "", "",
                     other.seconds, _place(other.path), other.state))  # fmt: skip
    columns = ["dataset", "model", "optimizer", "seed", "run_id", "overrides", "commit", "device",
               "seconds", "folder", "status"]  # fmt: skip
    frame = pd.DataFrame(rows, columns=columns).astype({"seed": "Int64"})
    for place, (key, values) in enumerate(settings.items(), start=5):
        theirs = [other.config.get(key) for other in unfinished]
        frame.insert(place, key, column([*values, *theirs]))
    by = ["dataset", "model", "optimizer", "seed", "run_id"]
    return frame.sort_values(by, kind="stable").reset_index(drop=True)


def _place(folder: Path) -> str:
    """A run's folder inside the results folder."""
    return "/".join(folder.parts[-4:])
