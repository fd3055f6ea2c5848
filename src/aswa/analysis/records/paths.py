"""Metrics along a path from sparse to dense, and their means over a range that methods share."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.integrate import trapezoid

from aswa.analysis.declaration import Regime
from aswa.analysis.records.long_table import RESULT_COLUMNS, Cells
from aswa.analysis.records.names import Names
from aswa.analysis.records.runs import Run
from aswa.analysis.records.settings import lookup

Floats = npt.NDArray[np.float64]
Points = dict[str, list[tuple[float, float]]]  # metric → (along, value)
Who = tuple[str, str, int]  # dataset with its units, model, seed


def unit_name(run: Run, units: Iterable[str]) -> str:
    """`wordnet_nouns (parts=8, partitioning=iid)`."""
    said = [f"{key.rpartition('.')[2]}={lookup(run, key)}" for key in units]
    return f"{run.dataset} ({', '.join(said)})" if said else run.dataset


def paths(
    runs: Sequence[Run], along: str, units: Iterable[str], methods: Iterable[str]
) -> dict[Who, dict[str, Points]]:
    """Unit and seed → method → test metric → points, one a run in which something is left."""
    wanted, keys = set(methods), tuple(units)
    found: dict[Who, dict[str, Points]] = {}
    for run in runs:
        who = (unit_name(run, keys), run.model, run.seed)
        values = {(o, s, m): v for o, s, m, v in _told(run)}
        for method in wanted & set(run.methods):
            place = values.get((method, "train", along), np.nan)
            if not place > 0:
                continue
            points = found.setdefault(who, {}).setdefault(method, defaultdict(list))
            for (name, split, metric), value in values.items():
                if name == method and split == "test":
                    points[metric].append((place, value))
    return found


def _told(run: Run) -> Iterable[tuple[str, str, str, float]]:
    keys = run.keys
    return zip(keys.optimizer, keys.split, keys.metric, run.values.tolist(), strict=True)


def curve(points: Sequence[tuple[float, float]]) -> tuple[Floats, Floats]:
    """log of the place, increasing, and the mean value there."""
    of_place: dict[float, list[float]] = defaultdict(list)
    for place, value in points:
        of_place[place].append(value)
    order = sorted(of_place)
    return np.log(order), np.array([float(np.mean(of_place[place])) for place in order])


def mean_over(points: Sequence[tuple[float, float]], low: float, high: float) -> float:
    """The mean of a curve from low to high, by trapezoids over the logarithm of the place."""
    places, values = curve(points)
    a, b = np.log(low), np.log(high)
    inner = places[(places > a) & (places < b)]
    grid = np.concatenate([[a], inner, [b]])
    return float(trapezoid(np.interp(grid, places, values), grid) / (b - a))


def common_range(of_methods: Mapping[str, Points]) -> tuple[float, float]:
    """The places that all methods reach."""
    reached = [[p for p, _ in next(iter(points.values()))] for points in of_methods.values()]
    return max(map(min, reached)), min(map(max, reached))


def path_cells(
    runs: Sequence[Run], names: Names, regime: Regime, methods: Sequence[str]
) -> tuple[Cells, list[str]]:
    """Every test metric of each method as its mean over the common range, by unit and seed.

    A unit and seed with another number of points in some method, or without a common range, is left
    out, and a notice says so.

    Returns:
        cells, and the range of each unit in words.

    Raises:
        ValueError: no unit has a common range.
    """
    found = paths(runs, regime.along, regime.units, methods)
    rows: list[tuple[Any, ...]] = []
    notices, ranges = [], defaultdict(list)
    for who, of_methods in sorted(found.items()):
        name = f"{who[0]} × {who[1]}, seed {who[2]}"
        if lacking := [m for m in methods if m not in of_methods]:
            notices.append(f"{name}: no point of {', '.join(lacking)}, in no mean")
            continue
        low, high = common_range(of_methods)
        if not low < high:
            notices.append(f"{name}: no common range of {regime.along}, in no mean")
            continue
        ranges[who[0]].append((low, high))
        for method, points in of_methods.items():
            rows += [
                (*who[:2], method, who[2], "test", metric, mean_over(given, low, high), "")
                for metric, given in points.items()
            ]
    if not rows:
        raise ValueError(f"no unit has a common range of {regime.along}: {'; '.join(notices)}")
    columns = ["dataset", "model", "optimizer", "seed", "split", "metric", "value", "run_id"]
    table = pd.DataFrame(rows, columns=columns)[RESULT_COLUMNS]
    said = [
        f"{unit}: {min(a for a, _ in ends):g} to {max(b for _, b in ends):g}"
        for unit, ends in ranges.items()
    ]
    return Cells(table, names, tuple(notices)), said
