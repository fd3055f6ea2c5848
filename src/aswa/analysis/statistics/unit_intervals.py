"""Differences within one dataset × model, over its seeds: they describe it, and nothing else."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import stats

from aswa.analysis.records.long_table import UNIT
from aswa.analysis.records.names import Names
from aswa.analysis.statistics.signed_rank import DECIMALS

INTERVAL_COLUMNS = [
    "dataset", "model", "reference", "optimizer", "seeds", "mean_difference", "ci_low", "ci_high",
]  # fmt: skip


def unit_intervals(
    table: pd.DataFrame, names: Names, reference: str, confidence: float
) -> pd.DataFrame:
    """Reference minus each other method within each unit, with a t interval over common seeds.

    Args:
        table: a seed table. Units without a common seed have no row; one seed has no interval, nor
            have seeds that all differ by the same amount.
    """
    rows = []
    others = [m for m in names.in_order(table.columns) if m != reference]
    for method in others if reference in table.columns else []:
        difference = (table[reference] - table[method]).round(DECIMALS).dropna()
        units: Any = difference.groupby(level=UNIT, sort=True)
        for unit, values in units:
            interval = t_interval(values.to_numpy(), confidence)
            rows.append((*unit, reference, method, len(values), float(values.mean()), *interval))
    frame = pd.DataFrame(rows, columns=INTERVAL_COLUMNS)
    return frame.sort_values(UNIT, kind="stable", ignore_index=True)


def t_interval(values: npt.NDArray[np.float64], confidence: float) -> tuple[float, float]:
    """Of the mean of values, shape (n,); NaN for one value, or for equal ones."""
    n = values.size
    if n < 2 or (values == values[0]).all():
        return math.nan, math.nan
    error = float(values.std(ddof=1)) / math.sqrt(n)
    half = float(stats.t.ppf(0.5 + confidence / 2, n - 1)) * error
    return float(values.mean()) - half, float(values.mean()) + half


def told_apart(
    table: pd.DataFrame, names: Names, reference: str, confidence: float
) -> set[tuple[str, str, str]]:
    """(dataset, model, method) whose interval of the difference from `reference` excludes 0."""
    intervals = unit_intervals(table, names, reference, confidence)
    without = (intervals["ci_low"] > 0) | (intervals["ci_high"] < 0)
    rows: Any = intervals[without].itertuples(index=False)
    return {(r.dataset, r.model, r.optimizer) for r in rows}
