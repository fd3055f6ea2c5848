"""Tables of the runs, of what ASWA decided and of what runs and methods cost."""

from __future__ import annotations

import math
from collections.abc import Iterable

import pandas as pd

from aswa.analysis.records.long_table import COST_PARTS, RUNNING_SCORE, UNIT
from aswa.analysis.records.names import Names
from aswa.analysis.rendering.tables import TextTable, table_rows

COMMIT = 10  # letters of one


def decisions_table(means: pd.DataFrame, names: Names) -> TextTable | None:
    """Mean number of hard, soft and rejected updates a run, of every method that decides."""
    if means.empty:
        return None
    rows = tuple(
        (r.dataset, r.model, names.method(r.optimizer), f"{r.hard:.1f}", f"{r.soft:.1f}",
         f"{r.reject:.1f}", f"{r.soft / (r.hard + r.soft + r.reject):.0%}", _cell(r.members, ".1f"),
         str(r.n))
        for r in table_rows(means)
    )  # fmt: skip
    header = (
        "dataset", "model", "method", "hard", "soft", "reject", "soft share", "members", "seeds",
    )  # fmt: skip
    title = "Decisions of ASWA, mean number a run over seeds"
    return TextTable("decisions", title, header, rows, means)


def runs_table(runs: pd.DataFrame, settings: Iterable[str]) -> TextTable:
    """All runs, finished or not, with the settings that vary."""
    rows = []
    for run in runs.to_dict("records"):
        own = ["" if pd.isna(run[key]) else str(run[key]) for key in (*settings, "seed")]
        seconds = "" if pd.isna(run["seconds"]) else f"{run['seconds']:.1f}"
        rows.append((run["dataset"], run["model"], run["optimizer"], *own, run["status"], seconds,
                     run["commit"][:COMMIT], run["folder"]))  # fmt: skip
    header = ("dataset", "model", "optimizers", *settings, "seed", "status", "seconds", "commit",
              "folder")  # fmt: skip
    return TextTable("runs", "Runs, finished or not", header, tuple(rows), runs)


COSTS_NOTE = (
    "The parts add up to the total. Set-up is reading data and building models; an epoch's "
    "milliseconds are those of training, without the first epoch."
)


def costs_table(costs: pd.DataFrame) -> TextTable:
    """Seconds a run by part, and milliseconds of training an epoch, as means over runs."""
    groups = costs.groupby([*UNIT, "optimizers", "device", "epochs"], sort=True, dropna=False)
    parts = [f"seconds_{part}" for part in COST_PARTS]
    means = groups[[*parts, "seconds_per_epoch"]].mean().assign(runs=groups.size()).reset_index()
    rows = tuple(
        (r.dataset, r.model, r.optimizers, r.device, "" if pd.isna(r.epochs) else str(r.epochs),
         *(_cell(getattr(r, part), ".2f") for part in parts),
         _cell(1000 * r.seconds_per_epoch, ".1f"), str(r.runs))
        for r in table_rows(means)
    )  # fmt: skip
    header = (
        "dataset", "model", "optimizers", "device", "epochs", "set-up s", "train s", "mix s",
        "evaluate s", "average s", "batch-norm s", "checkpoint s", "other s", "total s",
        "ms an epoch", "runs",
    )  # fmt: skip
    return TextTable("costs", "Cost of a run, mean over runs", header, rows, means, note=COSTS_NOTE)


def method_costs_table(costs: pd.DataFrame, names: Names) -> TextTable | None:
    """What each method adds to training, as a percentage of it; None without such records."""
    if costs.empty:
        return None
    methods = names.in_order(set(costs["optimizer"]) - {RUNNING_SCORE})
    rows = []
    for (dataset, model, device), part in costs.groupby([*UNIT, "device"], sort=True):
        share = dict(zip(part["optimizer"], part["of_training"], strict=True))
        texts = [_cell(share.get(m, math.nan), ".1%") for m in [RUNNING_SCORE, *methods]]
        rows.append((str(dataset), str(model), str(device), *texts, str(part["runs"].max())))
    labels = ("running model's score", *map(names.method, methods))
    return TextTable(
        "method_costs",
        "What each method adds to the time of training",
        ("dataset", "model", "device", *labels, "runs"),
        tuple(rows),
        costs,
        note="The score of the running model is measured once for all methods that ask for it. "
        "ASWA's column holds its look-ahead: averaging, batch-norm statistics and their score.",
    )


def _cell(value: float, form: str) -> str:
    return "" if math.isnan(value) else format(value, form)
