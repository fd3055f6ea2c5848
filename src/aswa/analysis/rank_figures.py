"""Figures about all methods or all epochs: critical differences, and what ASWA decided when."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from aswa.analysis.appearance import STYLE, look
from aswa.analysis.figures import Drawing, finish, grid_of_panels, panel_title
from aswa.analysis.friedman import MethodRanks
from aswa.analysis.naming import file_stem, method_label, metric_label
from aswa.analysis.runs import History

DECISIONS = ("hard", "soft", "reject")
STRIP = 0.09  # height of a decision's row, as part of a panel


def critical_differences(found: Sequence[MethodRanks]) -> list[Drawing]:
    """Average ranks on a line; bars join methods that no pairwise test tells apart."""
    tested = [ranks for ranks in found if ranks.tested]
    if not tested:
        return []
    # Takes a second to import, and sets parameters of its own, which STYLE has to overrule.
    from scikit_posthocs import critical_difference_diagram

    with matplotlib.rc_context(STYLE):
        return [_critical_difference(ranks, critical_difference_diagram) for ranks in tested]


def _critical_difference(ranks: MethodRanks, draw: Callable[..., Any]) -> Drawing:
    methods = list(ranks.ranks)
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
        name, rank = method_label(method), f"{ranks.ranks[method]:.2f}"
        text.set_text(f"{name}  {rank} " if text.get_ha() == "right" else f" {rank}  {name}")
        text.set_color("#1b1f24")
    axis.grid(visible=False)
    caption = (
        f"Average ranks in test {metric_label(ranks.metric)} over {ranks.n} dataset × model units, "
        "1 the best. A bar joins methods of which no pair is told apart at level "
        f"{ranks.alpha:g} (Wilcoxon's signed-rank test of every pair, Holm-corrected)."
    )
    return finish(figure, f"critical_difference_{file_stem(ranks.metric)}", caption)


def decision_timelines(histories: Sequence[tuple[History, frozenset[str]]]) -> list[Drawing]:
    """One figure per selection metric, a panel per dataset × model: its first seed's run."""
    drawings = []
    with matplotlib.rc_context(STYLE):
        for metric in sorted({history.metric for history, _ in histories}):
            firsts: dict[tuple[str, str], History] = {}
            for history, methods in histories:
                unit = (history.run.dataset, history.run.model)
                has = history.decision and "aswa" in methods and history.metric == metric
                if has and (unit not in firsts or history.run.seed < firsts[unit].run.seed):
                    firsts[unit] = history
            if firsts:
                drawings.append(_timeline(firsts, metric))
    return drawings


def _timeline(firsts: dict[tuple[str, str], History], metric: str) -> Drawing:
    figure, axes = grid_of_panels(firsts)
    for axis, (unit, history) in zip(axes, sorted(firsts.items()), strict=False):
        axis.set_title(panel_title(unit), loc="left")
        _decisions(axis, history)
    styles = [look(m, []) for m in ("sgd", "aswa")]
    handles = [
        Line2D([], [], color=s.colour, linestyle=s.line, linewidth=min(s.width, 1.8), label=label)
        for s, label in zip(styles, ("running model", "ASWA's best score"), strict=True)
    ]
    figure.legend(handles=handles, loc="outside upper center", ncols=2, handlelength=3.2)
    figure.supxlabel("epoch", fontsize=9)
    figure.supylabel(f"validation {metric_label(metric)}", fontsize=9)
    counts: dict[str, int] = defaultdict(int)
    for history in firsts.values():
        for decision in history.decision:
            counts[str(decision)] += 1
    caption = (
        "What ASWA decided after each epoch, in the run of the smallest seed: a tick in the row of "
        "hard updates (the average restarts), soft updates (the running model joins) or rejections "
        f"(nothing changes), under the scores. Together {counts['hard']} hard, {counts['soft']} "
        f"soft, {counts['reject']} rejected."
    )
    return finish(figure, f"decisions_{file_stem(metric)}", caption)


def _decisions(axis: Axes, history: History) -> None:
    epoch = np.array(history.epoch)
    values = []
    for method in ("sgd", "aswa"):
        scores = np.array(history.valid.get(method, np.full(epoch.size, np.nan)), dtype=float)
        known, style = np.isfinite(scores), look(method, [])
        axis.plot(epoch[known], scores[known], color=style.colour, linestyle=style.line,
                  linewidth=min(style.width, 1.8), zorder=style.order)  # fmt: skip
        values.append(scores[known])
    together = np.concatenate(values)
    low, high = (together.min(), together.max()) if together.size else (0.0, 1.0)
    span = (high - low) or 1.0
    bottom = low - span * STRIP * (len(DECISIONS) + 1) / (1 - STRIP * (len(DECISIONS) + 1))
    axis.set_ylim(bottom, high + 0.05 * span)
    axis.set_yticks([tick for tick in axis.get_yticks() if low - 0.05 * span <= tick <= high])
    for row, decision in enumerate(DECISIONS):
        at = epoch[[made == decision for made in history.decision]]
        centre = STRIP * (len(DECISIONS) - row - 0.5)
        axis.eventplot(
            at, lineoffsets=centre, linelengths=0.8 * STRIP, linewidths=0.8, colors="#1b1f24",
            transform=axis.get_xaxis_transform(), zorder=4,
        )  # fmt: skip
        axis.annotate(decision, (1.01, centre), xycoords="axes fraction", va="center", fontsize=6.5)
    axis.set_xlim(0, epoch.max() + 1)
