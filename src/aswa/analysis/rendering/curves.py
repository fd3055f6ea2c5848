"""Figures by epoch: learning curves, and what each method decided when."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence

import matplotlib
import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from aswa.analysis.records.names import Metric, Names
from aswa.analysis.records.runs import History
from aswa.analysis.rendering.appearance import RUNNING, STYLE, Look, look
from aswa.analysis.rendering.drawing import Drawing, Unit, finish, handle, legend_above, panels

DECISIONS = ("hard", "soft", "reject")
STRIP = 0.09  # height of a decision's row, as part of a panel
Scores = npt.NDArray[np.float64]  # [seeds, epochs]
Histories = Sequence[tuple[History, frozenset[str]]]  # each with the methods to draw from it


@matplotlib.rc_context(STYLE)
def learning_curves(histories: Histories, names: Names) -> list[Drawing]:
    """Validation score by epoch, one figure per selection metric, one panel per dataset × model."""
    drawings = []
    for name in sorted({history.metric for history, _ in histories}):
        chosen = [(h, m) for h, m in histories if h.metric == name]
        drawings += [_learning_curves(chosen, names, name, late) for late in (False, True)]
    return drawings


def _learning_curves(histories: Histories, names: Names, name: str, late: bool) -> Drawing:
    metric = names.metric(name)
    of_unit: dict[Unit, dict[str, list[History]]] = defaultdict(lambda: defaultdict(list))
    for history, methods in histories:
        for method in methods & history.valid.keys():
            of_unit[history.run.dataset, history.run.model][method].append(history)
    methods_drawn = names.in_order(m for found in of_unit.values() for m in found)
    looks = {method: look(method, methods_drawn) for method in methods_drawn}
    figure, axes = panels(sorted(of_unit))
    for axis, unit in axes:
        curves = {method: _scores(of_unit[unit][method], method) for method in of_unit[unit]}
        for method in names.in_order(curves):
            _curve(axis, curves[method], looks[method], band=not late)
        _focus(axis, list(curves.values()), late)
        axis.xaxis.set_major_locator(MaxNLocator(4 if late else 5, integer=True))
    _label(figure, metric, [handle(style, names.method(m)) for m, style in looks.items()])
    stem = f"learning_curves_{'late_' if late else ''}{metric.stem}"
    return finish(figure, stem, _curves_caption(metric, late))


def _curves_caption(metric: Metric, late: bool) -> str:
    what = f"Validation {metric.title} of each method's weights by epoch"
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
    if metric.family == "triples":
        caption += (
            " Validation ranks are filtered with train and valid alone, since selection may not "
            "know test triples; on dense graphs the scores can lie far below those on test, whose "
            "filter knows all triples."
        )
    return caption


def _scores(histories: list[History], method: str) -> Scores:
    """Runs that stopped early are NaN after their end."""
    epochs = max(max(history.epoch, default=0) for history in histories)
    scores = np.full((len(histories), epochs), np.nan)
    for row, history in zip(scores, histories, strict=True):
        row[np.array(history.epoch, dtype=int) - 1] = history.valid[method]
    return scores


def _curve(axis: Axes, scores: Scores, style: Look, band: bool) -> None:
    # Only epochs at which every seed has a score; the line joins them over those between.
    known = np.isfinite(scores).all(axis=0)
    scores, epoch = scores[:, known], np.arange(1, scores.shape[1] + 1)[known]
    mean = scores.mean(axis=0)
    axis.plot(
        epoch, mean, color=style.colour, linestyle=style.line, linewidth=style.width,
        zorder=style.order, marker=style.marker if len(mean) < 3 else None,
    )  # fmt: skip
    if band and len(scores) > 1:
        std = scores.std(axis=0, ddof=1)
        axis.fill_between(epoch, mean - std, mean + std, color=style.colour, alpha=0.13, lw=0)


def _focus(axis: Axes, curves: list[Scores], late: bool) -> None:
    """Fit the axis to the curves after the first eighth of training, or to the last quarter."""
    epochs = max(scores.shape[1] for scores in curves)
    first = 3 * epochs // 4 if late else epochs // 8
    values = np.concatenate([scores.mean(axis=0)[first:] for scores in curves])
    values = values[np.isfinite(values)]
    if values.size and values.max() > values.min():
        margin = 0.08 * (values.max() - values.min())
        axis.set_ylim(values.min() - margin, values.max() + 2 * margin)
    if late:
        axis.set_xlim(first, epochs + 0.02 * (epochs - first) + 0.5)


def _label(figure: Figure, metric: Metric, handles: list[Line2D]) -> None:
    """Names of the axes, and the legend."""
    figure.supxlabel("epoch", fontsize=9)
    figure.supylabel(f"validation {metric.title}", fontsize=9)
    legend_above(figure, handles)


@matplotlib.rc_context(STYLE)
def decision_timelines(histories: Histories, names: Names, reference: str) -> list[Drawing]:
    """One figure per selection metric and method that decides, a panel per dataset × model.

    Each panel is the run of the smallest seed. The files of `reference` are named by the metric
    alone, those of other methods by metric and method.
    """
    firsts: dict[tuple[str, str], dict[Unit, History]] = defaultdict(dict)
    for history, methods in histories:
        unit = (history.run.dataset, history.run.model)
        for method in methods & history.decisions.keys():
            of_method = firsts[history.metric, method]
            if unit not in of_method or history.run.seed < of_method[unit].run.seed:
                of_method[unit] = history
    return [
        _timeline(firsts[name, method], names, name, method, method == reference)
        for name in sorted({name for name, _ in firsts})
        for method in names.in_order(method for other, method in firsts if other == name)
    ]


def _timeline(
    firsts: dict[Unit, History], names: Names, name: str, method: str, alone: bool
) -> Drawing:
    metric, label, style = names.metric(name), names.method(method), look(method, [method])
    figure, axes = panels(sorted(firsts))
    for axis, unit in axes:
        _decisions(axis, firsts[unit], method, style)
    handles = [handle(RUNNING, "running model"), handle(style, f"{label}'s best score", 1.8)]
    _label(figure, metric, handles)
    counts = Counter(made for history in firsts.values() for made in history.decisions[method])
    caption = (
        f"What {label} decided after each epoch, in the run of the smallest seed: a tick in the "
        "row of hard updates (the average restarts), soft updates (the running model joins) or "
        "rejections (nothing changes), under the scores. Together "
        f"{counts['hard']} hard, {counts['soft']} soft, {counts['reject']} rejected."
    )
    return finish(figure, f"decisions_{metric.stem}{'' if alone else f'_{method}'}", caption)


def _decisions(axis: Axes, history: History, method: str, style: Look) -> None:
    epoch = np.array(history.epoch)
    absent = np.full(epoch.size, np.nan)
    values = []
    for found, drawn in ((history.running, RUNNING), (history.valid, style)):
        scores = np.array(found.get(method, absent), dtype=float)
        known = np.isfinite(scores)
        axis.plot(epoch[known], scores[known], color=drawn.colour, linestyle=drawn.line,
                  linewidth=min(drawn.width, 1.8), zorder=drawn.order)  # fmt: skip
        values.append(scores[known])
    together = np.concatenate(values)
    low, high = (together.min(), together.max()) if together.size else (0.0, 1.0)
    span = (high - low) or 1.0
    bottom = low - span * STRIP * (len(DECISIONS) + 1) / (1 - STRIP * (len(DECISIONS) + 1))
    axis.set_ylim(bottom, high + 0.05 * span)
    axis.set_yticks([tick for tick in axis.get_yticks() if low - 0.05 * span <= tick <= high])
    for row, decision in enumerate(DECISIONS):
        at = epoch[[made == decision for made in history.decisions[method]]]
        centre = STRIP * (len(DECISIONS) - row - 0.5)
        axis.eventplot(
            at, lineoffsets=centre, linelengths=0.8 * STRIP, linewidths=0.8, colors="#1b1f24",
            transform=axis.get_xaxis_transform(), zorder=4,
        )  # fmt: skip
        axis.annotate(decision, (1.01, centre), xycoords="axes fraction", va="center", fontsize=6.5)
    axis.set_xlim(0, epoch.max() + 1)
