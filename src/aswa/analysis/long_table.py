"""Tables in long form: every number of every run, and the cells that tables and tests use."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from aswa.analysis.runs import Run
from aswa.analysis.settings import Choice

RESULT_COLUMNS = ["dataset", "model", "optimizer", "seed", "split", "metric", "value", "run_id"]
COST_COLUMNS = [
    "dataset", "model", "run_id", "optimizers", "seed", "device", "seconds_train",
    "seconds_evaluate", "seconds_average", "seconds_batch_norm", "seconds_total", "epochs",
    "seconds_per_epoch",
]  # fmt: skip
DECISION_COLUMNS = ["dataset", "model", "optimizer", "seed", "hard", "soft", "reject", "run_id"]
COST_PARTS = ("train", "evaluate", "average", "batch_norm", "total")
CELL = ["dataset", "model", "optimizer", "seed", "split", "metric"]


def results_frame(runs: list[Run]) -> pd.DataFrame:
    """Every row of every run, sorted by all columns; nothing is chosen or left out here."""
    frame = _rows(runs)[RESULT_COLUMNS]
    return frame.sort_values(RESULT_COLUMNS, kind="stable").reset_index(drop=True)


def _rows(runs: list[Run]) -> pd.DataFrame:
    records = [
        (run.dataset, run.model, row.optimizer, run.seed, row.split, row.metric, row.value,
         run.run_id, row.collapsed, index)
        for index, run in enumerate(runs)
        for row in run.rows
    ]  # fmt: skip
    frame = pd.DataFrame(records, columns=[*RESULT_COLUMNS, "collapsed", "run"])
    return frame.astype({"value": float, "seed": int, "collapsed": bool, "run": int})


@dataclass(frozen=True)
class Cells:
    """One value per dataset × model × method × seed × split × metric, of one setting each.

    `table` has RESULT_COLUMNS and a default index. `notices` says what is not in it and why.
    """

    table: pd.DataFrame
    notices: tuple[str, ...]


def choose_cells(runs: list[Run], choice: Choice, keep_collapsed: bool) -> Cells:
    """The rows of the chosen settings, each cell once, without values that cannot be averaged."""
    frame = _rows(runs)
    chosen = pd.MultiIndex.from_frame(frame[["run", "optimizer"]]).isin(list(choice.kept))
    frame = frame[chosen].sort_values([*RESULT_COLUMNS, "run"], kind="stable")
    frame = frame.sort_values([*CELL, "run_id", "run"], kind="stable")
    notices = _determinism_failures(frame, runs)
    frame = frame.drop_duplicates(CELL, keep="first")
    if not keep_collapsed:
        notices += _collapsed(frame)
        frame = frame[~frame["collapsed"]]
    broken = ~np.isfinite(frame["value"])
    for row in frame[broken & (frame["split"] == "test")].itertuples():
        notices.append(
            f"{row.dataset} × {row.model}, {row.optimizer}, seed {row.seed}: test {row.metric} "
            f"is {row.value}, in no mean; run {row.run_id}"
        )
    table = frame.loc[~broken, RESULT_COLUMNS].reset_index(drop=True)
    return Cells(table, tuple(notices))


def _determinism_failures(frame: pd.DataFrame, runs: list[Run]) -> list[str]:
    """Cells of one setting and seed that several runs fill with different values."""
    first = frame.drop_duplicates(CELL).rename(columns={"value": "kept", "run": "kept_run"})
    both = frame.merge(first[[*CELL, "kept", "kept_run"]], on=CELL)
    same = (both["value"] == both["kept"]) | (both["value"].isna() & both["kept"].isna())
    notices = []
    keys = ["dataset", "model", "optimizer", "seed", "kept_run", "run"]
    for _, rows in both[~same].groupby(keys, sort=True):
        row: Any = next(rows.itertuples())
        a, b = runs[row.kept_run], runs[row.run]
        more = f" and {len(rows) - 1} more values" if len(rows) > 1 else ""
        notices.append(
            f"NOT DETERMINISTIC: {row.dataset} × {row.model}, {row.optimizer}, seed {row.seed}: "
            f"runs {a.run_id} ({a.device}) and {b.run_id} ({b.device}) have one setting but differ "
            f"in {row.split} {row.metric} ({row.kept!r} against {row.value!r}){more}; "
            f"kept {a.run_id}"
        )
    return notices


def _collapsed(frame: pd.DataFrame) -> list[str]:
    flagged = frame[frame["collapsed"]].drop_duplicates(["dataset", "model", "optimizer", "seed"])
    notices = []
    for (dataset, model, seed), rows in flagged.groupby(["dataset", "model", "seed"], sort=True):
        notices.append(
            f"{dataset} × {model}, seed {seed}: collapsed (stayed at chance), in no mean: "
            f"{', '.join(rows['optimizer'])}"
        )
    return notices


def costs_frame(runs: list[Run]) -> pd.DataFrame:
    """Seconds of every run by part. Missing parts are NaN; per epoch is total over epochs."""
    records = []
    for run in runs:
        parts = [_number(run.seconds.get(part)) for part in COST_PARTS]
        epochs = _number(run.config.get("epochs"))
        per_epoch = parts[-1] / epochs if epochs > 0 else math.nan
        records.append(
            (run.dataset, run.model, run.run_id, optimizer_set(run), run.seed, run.device,
             *parts, epochs, per_epoch)
        )  # fmt: skip
    frame = pd.DataFrame(records, columns=COST_COLUMNS)
    frame["epochs"] = frame["epochs"].astype("Int64")
    return frame.sort_values(COST_COLUMNS[:5], kind="stable").reset_index(drop=True)


def optimizer_set(run: Run) -> str:
    """The name of the optimizer group of a run (`all`, `aswa`), or its methods joined by +."""
    group = run.config.get("optimizer")
    name = group.get("name") if isinstance(group, dict) else group
    return str(name) if name else "+".join(run.methods)


def _number(value: Any) -> float:
    return float(value) if isinstance(value, (int, float)) else math.nan


def decisions_frame(runs: list[Run], choice: Choice) -> pd.DataFrame:
    """Counts of hard, soft and rejected updates, once per dataset × model × method × seed."""
    records = []
    for index, run in enumerate(runs):
        for method, counts in _decisions(run).items():
            if (index, method) in choice.kept:
                numbers = [int(counts.get(k) or 0) for k in ("hard", "soft", "reject")]
                if sum(numbers):
                    records.append((run.dataset, run.model, method, run.seed, *numbers, run.run_id))
    frame = pd.DataFrame(records, columns=DECISION_COLUMNS)
    frame = frame.sort_values(["dataset", "model", "optimizer", "seed", "run_id"], kind="stable")
    keys = ["dataset", "model", "optimizer", "seed"]
    return frame.drop_duplicates(keys).reset_index(drop=True)


def _decisions(run: Run) -> dict[str, dict[str, Any]]:
    """By method; a flat record belongs to `aswa`, or to the run's only ASWA-like method."""
    nested = {k: v for k, v in run.decisions.items() if isinstance(v, dict)}
    if nested or not run.decisions:
        return nested
    alike = [m for m in run.methods if m.startswith("aswa")]
    owner = "aswa" if "aswa" in alike else alike[0] if alike else None
    return {owner: run.decisions} if owner else {}
