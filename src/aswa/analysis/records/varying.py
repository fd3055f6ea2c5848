"""Settings that differ between the runs of a folder, as columns beside their numbers."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable
from typing import Any

import pandas as pd

from aswa.analysis.records.long_table import optimizer_set
from aswa.analysis.records.runs import Run
from aswa.results.store import CorruptRecord, read_record

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


def runs_frame(runs: list[Run], settings: Columns) -> pd.DataFrame:
    """A row a run: who, the settings that vary, overrides, commit, seconds, folder."""
    rows = []
    for run in runs:
        overrides = " ".join(_planned(run).get("overrides", []))
        sha = str(run.git.get("sha") or "") + ("+" if run.git.get("dirty") else "")
        folder = "/".join(run.path.parts[-5:-1])
        rows.append((run.dataset, run.model, optimizer_set(run), run.seed, run.run_id,
                     overrides, sha, run.device, run.seconds.get("total"), folder))  # fmt: skip
    columns = ["dataset", "model", "optimizer", "seed", "run_id", "overrides", "commit", "device",
               "seconds", "folder"]  # fmt: skip
    frame = pd.DataFrame(rows, columns=columns)
    for place, (key, values) in enumerate(settings.items(), start=5):
        frame.insert(place, key, column(values))
    by = ["dataset", "model", "optimizer", "seed", "run_id"]
    return frame.sort_values(by, kind="stable").reset_index(drop=True)


def _planned(run: Run) -> dict[str, Any]:
    """The run's plan; empty where it has none, as a packed run."""
    try:
        return read_record(run.path.with_name("plan.json"))
    except (OSError, CorruptRecord):
        return {}
