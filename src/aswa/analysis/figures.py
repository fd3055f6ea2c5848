"""Figures of a study, drawn without any global state and with repeatable bytes."""

from __future__ import annotations

import io
import math
import textwrap
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import matplotlib
import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator
from scipy import stats

from aswa.analysis.appearance import STYLE, look
from aswa.analysis.comparisons import seed_table
from aswa.analysis.naming import file_stem, in_order, method_label, metric_label
from aswa.analysis.plan import Plan
from aswa.analysis.runs import History

DPI = 150
DOTS = 200  # seeds, above which single ones are not drawn
TITLE_WIDTH = 34  # letters of a line over a panel
PAIR_WIDTH = 28  # the same over a panel of paired differences
Curves = dict[str, list[npt.NDArray[np.float64]]]


@dataclass(frozen=True)
class Drawing:
    """A finished figure: its files' stem, what it shows in words, and its bytes."""

    stem: str
    caption: str
    svg: bytes
    png: bytes


def finish(figure: Figure, stem: str, caption: str) -> Drawing:
    """Save a figure in both forms, with the same bytes each time."""
    FigureCanvasAgg(figure)
    svg, png = io.BytesIO(), io.BytesIO()
    figure.savefig(svg, format="svg", metadata={"Date": None, "Creator": None})
    figure.set_layout_engine("none")  # laid out by now, and that is half the time
    figure.savefig(png, format="png", dpi=DPI, metadata={"Software": None})
    return Drawing(stem, caption, svg.getvalue(), png.getvalue())


def learning_curves(histories: Sequence[tuple[History, frozenset[str]]]) -> list[Drawing]:
    """Validation score by epoch, one figure per selection metric, one panel per dataset × model.

    Args:
        histories: each with the methods whose curves are to be taken from it, so that no seed
            counts twice.
    """
    metrics = sorted({history.metric for history, _ in histories})
    drawings = []
    with matplotlib.rc_context(STYLE):
        for metric in metrics:
            chosen = [(h, m) for h, m in histories if h.metric == metric]
            drawings += [_learning_curves(chosen, metric, late) for late in (False, True)]
    return drawings


def _learning_curves(
    histories: Sequence[tuple[History, frozenset[str]]], metric: str, late: bool
) -> Drawing:
    panels: dict[tuple[str, str], Curves] = defaultdict(lambda: defaultdict(list))
    for history, methods in histories:
        for method in sorted(methods & history.valid.keys()):
            scores = np.full(max(history.epoch, default=0), np.nan)
            scores[np.array(history.epoch, dtype=int) - 1] = history.valid[method]
            panels[history.run.dataset, history.run.model][method].append(scores)
    methods_drawn = in_order(m for curves in panels.values() for m in curves)
    figure, axes = grid_of_panels(panels)
    for axis, (unit, curves) in zip(axes, sorted(panels.items()), strict=False):
        axis.set_title(panel_title(unit), loc="left")
        for method in methods_drawn:
            if method in curves:
                _curve(axis, curves[method], method, methods_drawn, band=not late)
        _focus(axis, curves, late)
        axis.xaxis.set_major_locator(MaxNLocator(4 if late else 5, integer=True))
    figure.supxlabel("epoch", fontsize=9)
    figure.supylabel(f"validation {metric_label(metric)}", fontsize=9)
    _legend(figure, methods_drawn)
    stem = f"learning_curves_{'late_' if late else ''}{file_stem(metric)}"
    return finish(figure, stem, _curves_caption(metric, late))


def _curves_caption(metric: str, late: bool) -> str:
    what = f"Validation {metric_label(metric)} of each method's weights by epoch"
    if late:
        return (
            f"{what}, the last quarter of training: mean over seeds, without bands, which would "
            "hide the lines at this scale. Every panel has its own. ASWA and early stopping cannot "
            "fall: they select on these very scores, so only the test tables compare them fairly."
        )
    caption = (
        f"{what}: mean over seeds, band ± one standard deviation, where every seed has a score. "
        "ASWA is the wide line, so that what coincides with it is seen on top."
    )
    if metric == "mrr":
        caption += (
            " Validation ranks are filtered with train and valid alone, since selection may not "
            "know test triples; on dense graphs the scores can lie far below those on test, whose "
            "filter knows all triples."
        )
    return caption


def grid_of_panels(panels: Iterable[tuple[str, str]]) -> tuple[Figure, list[Axes]]:
    """As many columns as the largest dataset has models, at most four."""
    per_dataset: dict[str, int] = defaultdict(int)
    for dataset, _ in panels:
        per_dataset[dataset] += 1
    columns = min(4, max(per_dataset.values()))
    n = sum(per_dataset.values())
    rows = math.ceil(n / columns)
    width = max(4.5, 2.9 * columns)
    figure = Figure(figsize=(width, 2.3 * rows + 0.7), layout="constrained")
    axes = list(figure.subplots(rows, columns, squeeze=False).flat)
    for axis in axes[n:]:
        axis.set_visible(False)
    return figure, axes


def _stack(curves: list[npt.NDArray[np.float64]]) -> npt.NDArray[np.float64]:
    """Shape (seeds, epochs); runs that stopped early are NaN after their end."""
    stacked = np.full((len(curves), max(len(c) for c in curves)), np.nan)
    for row, scores in zip(stacked, curves, strict=True):
        row[: len(scores)] = scores
    return stacked


def _curve(
    axis: Axes,
    curves: list[npt.NDArray[np.float64]],
    method: str,
    methods: list[str],
    band: bool,
) -> None:
    scores = _stack(curves)
    # Only epochs at which every seed has a score; the line joins them over those between.
    known = np.isfinite(scores).all(axis=0)
    scores, epoch = scores[:, known], np.arange(1, scores.shape[1] + 1)[known]
    mean, style = scores.mean(axis=0), look(method, methods)
    axis.plot(
        epoch, mean, color=style.colour, linestyle=style.line, linewidth=style.width,
        zorder=style.order, marker=style.marker if len(mean) < 3 else None,
    )  # fmt: skip
    if band and len(scores) > 1:
        std = scores.std(axis=0, ddof=1)
        axis.fill_between(epoch, mean - std, mean + std, color=style.colour, alpha=0.13, lw=0)


def _focus(axis: Axes, curves: Curves, late: bool) -> None:
    """Fit the axis to the curves after the first eighth of training, or to the last quarter."""
    epochs = max(len(scores) for runs in curves.values() for scores in runs)
    first = 3 * epochs // 4 if late else epochs // 8
    means = [_stack(runs).mean(axis=0)[first:] for runs in curves.values()]
    values = np.concatenate(means)
    values = values[np.isfinite(values)]
    if values.size and values.max() > values.min():
        margin = 0.08 * (values.max() - values.min())
        axis.set_ylim(values.min() - margin, values.max() + 2 * margin)
    if late:
        axis.set_xlim(first, epochs + 0.02 * (epochs - first) + 0.5)


def panel_title(unit: tuple[str, str]) -> str:
    """`dataset × model`, on several lines where it is long."""
    return textwrap.fill(" × ".join(unit), TITLE_WIDTH)


def _legend(figure: Figure, methods: list[str]) -> None:
    handles = [
        Line2D([], [], color=s.colour, linestyle=s.line, linewidth=s.width, label=method_label(m))
        for m in methods
        for s in [look(m, methods)]
    ]
    # Points of a column: line, gaps and the longest name.
    column = 52 + 5.2 * max(len(method_label(method)) for method in methods)
    most = max(1, int(72 * figure.get_figwidth() / column))
    rows = math.ceil(len(handles) / most)
    figure.legend(
        handles=handles,
        loc="outside upper center",
        ncols=math.ceil(len(handles) / rows),
        handlelength=3.2,
    )


def paired_differences(cells: pd.DataFrame, plan: Plan) -> list[Drawing]:
    """For each primary metric: a − b by dataset × model, one panel per declared comparison."""
    drawings = []
    with matplotlib.rc_context(STYLE):
        for metric in plan.primary_metrics:
            table = seed_table(cells, metric)
            pairs = [(c.a, c.b) for c in plan.comparisons if {c.a, c.b} <= set(table.columns)]
            if not table.empty and pairs:
                drawings.append(_paired_differences(table, pairs, metric, plan.confidence))
    return drawings


def _paired_differences(
    table: pd.DataFrame, pairs: list[tuple[str, str]], metric: str, confidence: float
) -> Drawing:
    units = sorted({(d, m) for d, m, _ in table.index})
    columns = min(len(pairs), 4)
    rows = math.ceil(len(pairs) / columns)
    lines = max(panel_title(unit).count("\n") for unit in units)
    height = rows * (1.0 + (0.27 + 0.16 * lines) * len(units))
    figure = Figure(figsize=(1.6 + 2.3 * columns, height), layout="constrained")
    axes = list(figure.subplots(rows, columns, squeeze=False, sharey=True).flat)
    for axis in axes[len(pairs) :]:
        axis.set_visible(False)
    methods = list(table.columns)
    for axis, (a, b) in zip(axes, pairs, strict=False):
        axis.axvline(0.0, color="#444444", linewidth=1.0, zorder=2)
        title = f"{method_label(a)} − {method_label(b)}"
        axis.set_title(textwrap.fill(title, PAIR_WIDTH), loc="left")
        for height, unit in enumerate(units):
            difference = (table.loc[unit, a] - table.loc[unit, b]).dropna().to_numpy()
            _interval(axis, difference, height, look(b, methods).colour, confidence)
        axis.xaxis.set_major_locator(MaxNLocator(4, symmetric=False))
        axis.grid(axis="y", visible=False)
    axes[0].set_yticks(range(len(units)), [panel_title(unit) for unit in units])
    axes[0].set_ylim(len(units) - 0.4, -0.6)
    figure.supxlabel(f"difference in test {metric_label(metric)} (right of 0: the first is better)",
                     fontsize=9)  # fmt: skip
    caption = (
        f"Paired differences in test {metric_label(metric)}: each small dot is a seed, the large "
        f"dot their mean, the bar its {100 * confidence:g}% t interval over seeds (it describes "
        "one dataset × model; the tests use the means). Every panel has its own scale."
    )
    return finish(figure, f"paired_differences_{file_stem(metric)}", caption)


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
    error = float(stats.sem(values)) if values.size > 1 else 0.0
    if error > 0:
        low, high = stats.t.interval(confidence, values.size - 1, loc=mean, scale=error)
        axis.plot([low, high], [height, height], color=colour, linewidth=1.8, zorder=4)
    axis.plot([mean], [height], marker="o", markersize=5, color=colour, zorder=5)
