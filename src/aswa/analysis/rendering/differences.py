"""Figures over units: paired differences of the declared comparisons, and average ranks."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Callable, Sequence
from typing import Any

import matplotlib
import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from aswa.analysis.declaration import Declaration
from aswa.analysis.records.long_table import Cells
from aswa.analysis.records.names import Names
from aswa.analysis.rendering.appearance import STYLE, look
from aswa.analysis.rendering.drawing import Drawing, finish, grid, panel_title
from aswa.analysis.statistics.friedman import MethodRanks
from aswa.analysis.statistics.unit_intervals import t_interval

DOTS = 200  # seeds, above which single ones are not drawn
PAIR_WIDTH = 28  # letters of a line over a panel


@matplotlib.rc_context(STYLE)
def paired_differences(cells: Cells, declared: Declaration) -> list[Drawing]:
    """For each primary metric: a − b by dataset × model, one panel per declared comparison."""
    drawings = []
    for metric in declared.primary_metrics:
        table = cells.seed_table(metric)
        pairs = [(c.a, c.b) for c in declared.comparisons if {c.a, c.b} <= set(table.columns)]
        if pairs:  # none in an empty table, which has no column
            drawings.append(
                _paired_differences(table, pairs, cells.names, metric, declared.confidence)
            )
    return drawings


def _paired_differences(
    table: pd.DataFrame, pairs: list[tuple[str, str]], names: Names, name: str, confidence: float
) -> Drawing:
    metric = names.metric(name)
    units = sorted({(d, m) for d, m, _ in table.index})
    columns = min(len(pairs), 4)
    rows = math.ceil(len(pairs) / columns)
    lines = max(panel_title(unit).count("\n") for unit in units)
    height = rows * (1.0 + (0.27 + 0.16 * lines) * len(units))
    figure = Figure(figsize=(1.6 + 2.3 * columns, height), layout="constrained")
    axes = grid(figure, rows, columns, len(pairs), sharey=True)
    for axis, (a, b) in zip(axes, pairs, strict=True):
        axis.axvline(0.0, color="#444444", linewidth=1.0, zorder=2)
        title = f"{names.method(a)} − {names.method(b)}"
        axis.set_title(textwrap.fill(title, PAIR_WIDTH), loc="left")
        for height, unit in enumerate(units):
            difference = (table.loc[unit, a] - table.loc[unit, b]).dropna().to_numpy()
            _interval(axis, difference, height, look(b, list(table.columns)).colour, confidence)
        axis.xaxis.set_major_locator(MaxNLocator(4, symmetric=False))
        axis.grid(axis="y", visible=False)
    axes[0].set_yticks(range(len(units)), [panel_title(unit) for unit in units])
    axes[0].set_ylim(len(units) - 0.4, -0.6)
    side = {True: " (right of 0: the first is better)", False: " (left of 0: the first is better)",
            None: ""}[metric.higher_is_better]  # fmt: skip
    figure.supxlabel(f"difference in test {metric.title}{side}", fontsize=9)
    caption = (
        f"Paired differences in test {metric.title}: each small dot is a seed, the large "
        f"dot their mean, the bar its {100 * confidence:g}% t interval over seeds (it describes "
        "one dataset × model; the tests use the means). Every panel has its own scale."
    )
    return finish(figure, f"paired_differences_{metric.stem}", caption)


def _interval(
    axis: Axes, values: npt.NDArray[np.float64], height: float, colour: str, confidence: float
) -> None:
    if not values.size:
        axis.annotate("missing", (0.5, height), xycoords=("axes fraction", "data"), ha="center",
                      va="center", fontsize=7.5, color="#777777")  # fmt: skip
        return
    mean = float(values.mean())
    if values.size <= DOTS:
        axis.scatter(
            values, np.full(values.size, height + 0.22), s=5, color=colour, alpha=0.55, lw=0
        )
    axis.plot(t_interval(values, confidence), [height] * 2, color=colour, linewidth=1.8, zorder=4)
    axis.plot([mean], [height], marker="o", markersize=5, color=colour, zorder=5)


def critical_differences(found: Sequence[MethodRanks]) -> list[Drawing]:
    """Average ranks on a line; bars join methods that no pairwise test tells apart."""
    tested = [ranks for ranks in found if ranks.tested]
    if not tested:
        return []
    # Takes a second to import, and sets parameters of its own, which STYLE has to overrule.
    from scikit_posthocs import critical_difference_diagram

    return [_critical_difference(ranks, critical_difference_diagram) for ranks in tested]


@matplotlib.rc_context(STYLE)
def _critical_difference(ranks: MethodRanks, draw: Callable[..., Any]) -> Drawing:
    metric, methods = ranks.names.metric(ranks.metric), list(ranks.ranks)
    figure = Figure(figsize=(6.4, 1.2 + 0.24 * len(methods)), layout="constrained")
    axis = figure.subplots()
    # Methods go by number, since sets of numbers have one order and sets of names have many.
    numbers = {method: number for number, method in enumerate(methods)}
    drawn = draw(
        {numbers[m]: rank for m, rank in ranks.ranks.items()},
        ranks.pairs.rename(index=numbers, columns=numbers),
        alpha=ranks.alpha,
        ax=axis,
        label_fmt_left="{label}",
        label_fmt_right="{label}",
        color_palette={numbers[m]: look(m, methods).colour for m in methods},
        crossbar_props={"color": "#444444", "linewidth": 2.5, "marker": None},
        text_h_margin=0.04 * (max(ranks.ranks.values()) - min(ranks.ranks.values())) or 0.04,
    )
    for text in drawn["labels"]:
        method = methods[int(text.get_text())]
        name, rank = ranks.names.method(method), f"{ranks.ranks[method]:.2f}"
        text.set_text(f"{name}  {rank} " if text.get_ha() == "right" else f" {rank}  {name}")
        text.set_color("#1b1f24")
    axis.grid(visible=False)
    caption = (
        f"Average ranks in test {metric.title} over {ranks.n} dataset × model units, "
        "1 the best. A bar joins methods of which no pair is told apart at level "
        f"{ranks.alpha:g} (Wilcoxon's signed-rank test of every pair, Holm-corrected)."
    )
    return finish(figure, f"critical_difference_{metric.stem}", caption)
