"""Tables in long form: every number of every run, and the cells that tables and tests use."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from aswa.analysis.records.names import Names
from aswa.analysis.records.runs import EVALUATED, Run
from aswa.analysis.records.settings import Choice

RESULT_COLUMNS = ["dataset", "model", "optimizer", "seed", "split", "metric", "value", "run_id"]
# Of a run's seconds, in the order of tables; they add up to the last.
COST_PARTS = (
    "setup", "train", "mix", "evaluate", "average", "batch_norm", "checkpoint", "other", "total",
)  # fmt: skip
COST_COLUMNS = [
    "dataset", "model", "run_id", "optimizers", "seed", "device",
    *(f"seconds_{part}" for part in COST_PARTS), "epochs", "seconds_per_epoch",
]  # fmt: skip
RUNNING_SCORE = "running_score"  # in `method_seconds`, beside the methods
UNIT = ["dataset", "model"]
CELL = [*UNIT, "optimizer", "seed", "split", "metric"]


def results_frame(rows: pd.DataFrame, settings: Mapping[str, pd.Series]) -> pd.DataFrame:
    """Every row of every run, sorted by all columns; nothing is chosen or left out here.

    Args:
        settings: further columns, each with a value for each run.
    """
    ordered = rows.sort_values(RESULT_COLUMNS, kind="stable")
    frame = _plain(ordered[RESULT_COLUMNS])
    for key, values in settings.items():
        frame[key] = values.take(ordered["run"].to_numpy()).to_numpy()
    return frame


def rows_frame(runs: list[Run]) -> pd.DataFrame:
    """RESULT_COLUMNS, `collapsed` and `run` (index into `runs`), a line a row of each run."""
    number = np.repeat(np.arange(len(runs)), [len(run.values) for run in runs])
    keys = list(dict.fromkeys(run.keys for run in runs))  # few: most runs measure the same

    def of_runs(name: str) -> pd.Categorical:
        texts = pd.Categorical([getattr(run, name) for run in runs])
        return pd.Categorical.from_codes(texts.codes[number], texts.categories)

    def of_rows(name: str) -> pd.Categorical:
        texts = pd.Index(sorted({text for found in keys for text in getattr(found, name)}))
        codes = {found: pd.Categorical(getattr(found, name), texts).codes for found in keys}
        return pd.Categorical.from_codes(np.concatenate([codes[r.keys] for r in runs]), texts)

    return pd.DataFrame(
        {
            "dataset": of_runs("dataset"),
            "model": of_runs("model"),
            "optimizer": of_rows("optimizer"),
            "seed": np.array([run.seed for run in runs], dtype=int)[number],
            "split": of_rows("split"),
            "metric": of_rows("metric"),
            "value": np.concatenate([run.values for run in runs]),
            "run_id": of_runs("run_id"),
            "collapsed": np.asarray(of_rows("collapsed"), dtype=bool),
            "run": number,
        }
    )


def _plain(frame: pd.DataFrame) -> pd.DataFrame:
    """Categories as the texts that they are: groups and pivots then know those that occur only."""
    frame = frame.reset_index(drop=True)
    for name in frame.select_dtypes("category").columns:
        texts = frame[name].cat
        frame[name] = texts.categories.astype(str).take(texts.codes.to_numpy())
    return frame


@dataclass(frozen=True)
class Cells:
    """One value per dataset × model × method × seed × split × metric, of one setting each.

    `table` has RESULT_COLUMNS and a default index. `notices` says what is not in it and why.
    """

    table: pd.DataFrame
    names: Names
    notices: tuple[str, ...] = ()

    def of_test(self, metrics: Iterable[str]) -> pd.DataFrame:
        """The rows of the test split that have one of these metrics."""
        table = self.table
        return table[(table["split"] == "test") & table["metric"].isin(list(metrics))]

    def seed_table(self, metric: str) -> pd.DataFrame:
        """Test values of a metric: index (dataset, model, seed), one column per method."""
        rows = self.of_test([metric])
        return rows.pivot(index=[*UNIT, "seed"], columns="optimizer", values="value").sort_index()


def choose_cells(
    rows: pd.DataFrame, runs: list[Run], choice: Choice, names: Names, keep_collapsed: bool
) -> Cells:
    """The rows of the chosen settings, each cell once, without values that cannot be averaged.

    Args:
        rows: `rows_frame(runs)`.
    """
    methods = rows["optimizer"].cat.categories
    place = {str(name): i for i, name in enumerate(methods)}
    kept = np.zeros((len(runs), len(methods)), dtype=bool)
    for run, method in choice.kept:
        kept[run, place[method]] = True
    chosen = kept[rows["run"], rows["optimizer"].cat.codes]
    metrics = rows["metric"].cat.categories
    asks = np.array([names.metric(str(m)).family == EVALUATED for m in metrics], dtype=bool)
    answers = np.isin(np.arange(len(runs)), list(choice.answering))
    chosen &= ~asks[rows["metric"].cat.codes] | answers[rows["run"]]
    frame = _plain(rows[chosen].sort_values([*CELL, "run_id", "run", "value"], kind="stable"))
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
    return Cells(frame.loc[~broken, RESULT_COLUMNS].reset_index(drop=True), names, tuple(notices))


def _determinism_failures(frame: pd.DataFrame, runs: list[Run]) -> list[str]:
    """Cells of one setting and seed that several runs fill with different values."""
    if not frame.duplicated(CELL).any():
        return []
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
    flagged = frame[frame["collapsed"]].drop_duplicates(CELL[:4])
    return [
        f"{dataset} × {model}, seed {seed}: collapsed (stayed at chance), in no mean: "
        f"{', '.join(rows['optimizer'])}"
        for (dataset, model, seed), rows in flagged.groupby([*UNIT, "seed"], sort=True)
    ]


def costs_frame(runs: list[Run]) -> pd.DataFrame:
    """Seconds of every run by part, NaN where a record lacks it.

    Per epoch is training alone, without the first epoch where the record tells it apart and there
    are others: code and memory are new to it.
    """
    records = []
    for run in runs:
        who = (run.dataset, run.model, run.run_id, optimizer_set(run), run.seed, run.device)
        parts = [_number(run.seconds.get(part)) for part in COST_PARTS]
        epochs, train = _number(run.config.get("epochs")), _number(run.seconds.get("train"))
        first = _number(run.seconds.get("first_epoch"))
        paced = (train, epochs) if math.isnan(first) or epochs < 2 else (train - first, epochs - 1)
        per_epoch = paced[0] / paced[1] if paced[1] > 0 else math.nan
        records.append((*who, *parts, epochs, per_epoch))
    frame = pd.DataFrame(records, columns=COST_COLUMNS)
    frame["epochs"] = frame["epochs"].astype("Int64")
    return frame.sort_values(COST_COLUMNS[:5], kind="stable").reset_index(drop=True)


def method_costs_frame(runs: list[Run]) -> pd.DataFrame:
    """What each method costs besides training: seconds an epoch, and as a part of training's.

    The running model's score, which several methods ask for and a run measures once, is the row
    `running_score`. Means over runs; empty for records that do not have it.
    """
    records = []
    for run in runs:
        epochs, train = _number(run.config.get("epochs")), _number(run.seconds.get("train"))
        for method, seconds in run.method_seconds.items():
            own = _number(seconds)
            of_each = [own / whole if whole > 0 else math.nan for whole in (epochs, train)]
            records.append((run.dataset, run.model, method, run.device, *of_each))
    keys, shares = [*UNIT, "optimizer", "device"], ["seconds_per_epoch", "of_training"]
    groups = pd.DataFrame(records, columns=[*keys, *shares]).groupby(keys, sort=True)
    return groups[shares].mean().assign(runs=groups.size()).reset_index()


def optimizer_set(run: Run) -> str:
    """The name of the optimizer group of a run (`all`, `aswa`), or its methods joined by +."""
    group = run.config.get("optimizer")
    name = group.get("name") if isinstance(group, dict) else group
    return str(name) if name else "+".join(run.methods)


def _number(value: Any) -> float:
    return float(value) if isinstance(value, (int, float)) else math.nan


def decisions_frame(runs: list[Run], choice: Choice) -> pd.DataFrame:
    """Hard, soft and rejected updates and members at the end, means over seeds, each seed once."""
    records = []
    made = ["hard", "soft", "reject"]
    for index, run in enumerate(runs):
        for method, counts in run.decisions.items():
            numbers = [int(counts.get(decision) or 0) for decision in made]
            if (index, method) in choice.kept and any(numbers):
                unit = (run.dataset, run.model, method, run.seed)
                records.append((*unit, *numbers, _number(run.members.get(method)), run.run_id))
    frame = pd.DataFrame(records, columns=[*CELL[:4], *made, "members", "run_id"])
    frame = frame.sort_values([*CELL[:4], "run_id"], kind="stable").drop_duplicates(CELL[:4])
    groups = frame.groupby(CELL[:3], sort=True)
    return groups[[*made, "members"]].mean().assign(n=groups.size()).reset_index()
