"""A test metric by the values of one key, such as the learning rate: a figure and a table."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from typing import Any

import matplotlib
import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from aswa.analysis.records.long_table import UNIT
from aswa.analysis.records.names import Names
from aswa.analysis.records.values import Values
from aswa.analysis.rendering.appearance import STYLE, Look, look
from aswa.analysis.rendering.drawing import Drawing, Unit, finish, panels
from aswa.analysis.rendering.tables import TextTable

MEAN = ("mean of all units", "")  # the panel and the rows after those of the units
LOGARITHMIC_FROM = 10  # greatest value over the least
LABEL_WIDTH = 28  # letters of a line in the legend
GREY: dict[str, Any] = {"color": "#888888", "linewidth": 1.0}
MARKS = (GREY, GREY | {"linestyle": (0, (1.0, 1.5))}, GREY | {"linestyle": (0, (4.0, 2.0))})

Marks = Mapping[str, Mapping[Unit, Any]]  # title → unit → value


def means(values: Values, metric: str) -> pd.DataFrame:
    """Means over seeds on test: columns dataset, model, optimizer, setting, mean, n."""
    frame = values.frame()
    rows = frame[(frame["split"] == "test") & (frame["metric"] == metric)]
    groups = rows.groupby([*UNIT, "optimizer", "setting"], sort=True)["value"]
    return groups.agg(mean="mean", std="std", n="size").reset_index()


def units_of(values: Values) -> list[Unit]:
    """Dataset × model pairs, in order."""
    frame = values.frame()
    return sorted(set(zip(frame["dataset"], frame["model"], strict=True)))


def of_all_units(long: pd.DataFrame, columns: list[Any]) -> dict[str, npt.NDArray[np.float64]]:
    """Method → mean over all dataset × model units at each value; NaN where a unit lacks it."""
    wide = long.pivot(index=["optimizer", "setting"], columns=UNIT, values="mean")
    mean = wide.mean(axis=1, skipna=False).unstack("setting").reindex(columns=columns)
    known = mean.dropna(how="all") if wide.shape[1] > 1 else mean.iloc[:0]
    return {str(method): row.to_numpy() for method, row in known.iterrows()}


def by_value_table(values: Values, names: Names, name: str) -> TextTable:
    """A row per dataset × model × method, a column per value, and rows of means over all units.

    The best value of a row in bold. A mean over units is of those values that every unit has.
    """
    metric, long, columns = names.metric(name), means(values, name), list(values.cells)
    option = values.key.rpartition(".")[2]
    wide = long.pivot(index=[*UNIT, "optimizer"], columns="setting", values="mean")
    of_cell = dict(zip(wide.index, wide.reindex(columns=columns).to_numpy(), strict=True))
    methods = names.in_order(long["optimizer"])
    rows: list[tuple[str, ...]] = []
    bold: set[tuple[int, int]] = set()

    def add(unit: tuple[str, str], method: str, found: npt.NDArray[np.float64]) -> None:
        signed = metric.sign * found.round(3)
        bold.update((len(rows), 3 + int(j)) for j in np.flatnonzero(signed == np.nanmax(signed)))
        texts = ["missing" if np.isnan(mean) else f"{mean:.3f}" for mean in found]
        rows.append((*unit, names.method(method), *texts))

    for dataset, model in units_of(values):
        for method in methods:
            if (dataset, model, method) in of_cell:
                add((dataset, model), method, of_cell[dataset, model, method])
    for method, means_of_units in of_all_units(long, columns).items():
        add(MEAN, method, means_of_units)
    return TextTable(
        stem=f"test_{metric.stem}_by_{values.stem}",
        title=f"Test {metric.title} by {label(values.key, names)}, mean over seeds",
        header=("dataset", "model", "method", *(f"{option}={value}" for value in columns)),
        rows=tuple(rows),
        numbers=long,
        bold=frozenset(bold),
        note="The best value of each row in bold; it is the best on test, and chooses nothing."
        + other_keys(values),
    )


def label(key: str, names: Names) -> str:
    """Of an axis: `optimizer.aswa.start` → `start (ASWA)`, `model.dim` → `dim`."""
    group, _, own = key.partition(".")
    method, _, option = own.partition(".")
    if group == "optimizer" and option:
        return f"{option} ({names.method(method)})"
    return key.rpartition(".")[2]


def other_keys(values: Values) -> str:
    """Sentences on the other keys that differ along the curves, and on runs that are in none."""
    along, aside = (", ".join(keys) for keys in (values.along, values.aside))
    return (f" Along with it differ: {along}." if along else "") + (
        f" Runs of other {aside} are left aside; --where takes them." if aside else ""
    )


@matplotlib.rc_context(STYLE)
def by_value(values: Values, names: Names, name: str, marks: Marks) -> Drawing:
    """A panel per dataset × model and one of their mean; a line per method over the values.

    Args:
        marks: values of regimes, drawn as vertical lines.
    """
    metric, long = names.metric(name), means(values, name)
    units, methods = units_of(values), names.in_order(long["optimizer"])
    numeric = all(isinstance(value, (int, float)) for value in values.cells)
    place = {value: value if numeric else i for i, value in enumerate(values.cells)}
    overall = of_all_units(long, list(values.cells))
    figure, axes = panels([*units, *([MEAN] if overall else [])])
    looks = {method: look(method, methods) for method in methods}
    for axis, unit in axes:
        of_unit = long[(long["dataset"] == unit[0]) & (long["model"] == unit[1])]
        for method in methods:
            line = of_unit[of_unit["optimizer"] == method]
            at, mean = [place[value] for value in line["setting"]], line["mean"].to_numpy()
            if unit == MEAN:
                at, mean = list(place.values()), overall.get(method, np.full(len(place), np.nan))
            axis.plot(at, mean, zorder=looks[method].order, **_style(looks[method]))
        _axis(axis, place, numeric)
        for unit_values, style in zip(marks.values(), MARKS, strict=False):
            if unit in unit_values:
                axis.axvline(place[unit_values[unit]], **style)
    _label_edges(figure, label(values.key, names), f"test {metric.title}")
    handles = [Line2D([], [], label=names.method(m), **_style(s)) for m, s in looks.items()]
    handles += [
        Line2D([], [], label=textwrap.fill(title, LABEL_WIDTH), **style)
        for title, style in zip(marks, MARKS, strict=False)
    ]
    _legend(figure, handles)
    marked = f" Vertical lines: {'; '.join(marks)}." if marks else ""
    caption = (
        f"Test {metric.title} by {label(values.key, names)}, mean over seeds, for every method of "
        f"one and the same runs.{marked}{other_keys(values)} The panel of the mean is of all "
        "dataset × model units."
    )
    return finish(figure, f"{metric.stem}_by_{values.stem}", caption)


def _label_edges(figure: Figure, x: str, y: str) -> None:
    """Name the axes at the left of each row and below the last panel of each column."""
    lowest: dict[int, Axes] = {}
    for axis in (each for each in figure.axes if each.get_visible()):
        place = axis.get_subplotspec()
        assert place is not None
        lowest[place.colspan.start] = axis
        if place.is_first_col():
            axis.set_ylabel(y)
    for axis in lowest.values():
        axis.set_xlabel(x)


def _legend(figure: Figure, handles: list[Line2D]) -> None:
    """In the first place of the grid without a panel; over all panels where there is none."""
    free = next((axis for axis in figure.axes if not axis.get_visible()), None)
    if free is None:
        ncols = max(2, int(figure.get_figwidth() // 2.5))
        figure.legend(handles=handles, loc="outside upper center", ncols=ncols, fontsize=8)
        return
    free.set_visible(True)
    free.axis("off")
    legend = free.legend(handles=handles, loc="center left", fontsize=8, handlelength=4)
    legend.set_in_layout(False)  # it would push the panels above it apart


def _style(style: Look) -> dict[str, Any]:
    return {
        "color": style.colour, "linestyle": style.line, "marker": style.marker,
        "markersize": 3.5, "linewidth": min(style.width, 2.2),
    }  # fmt: skip


def _axis(axis: Axes, place: Mapping[Any, float], numeric: bool) -> None:
    """Ticks at the values; logarithmic where they span a decade."""
    at = list(place.values())
    if numeric and min(at) > 0 and max(at) / min(at) >= LOGARITHMIC_FROM:
        axis.set_xscale("log")
    axis.set_xticks(at, [str(value) for value in place], fontsize=7)
    axis.minorticks_off()
