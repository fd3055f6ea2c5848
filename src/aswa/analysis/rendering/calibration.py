"""Figures of predicted probabilities: reliability diagrams and risk-coverage curves."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Mapping
from typing import Any

import matplotlib
import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes

from aswa.analysis.records.names import Names
from aswa.analysis.records.runs import Run
from aswa.analysis.records.settings import Choice
from aswa.analysis.rendering.appearance import STYLE, Look, look
from aswa.analysis.rendering.drawing import Drawing, Unit, finish, handle, legend_above, panels

LEAST_SHARE = 0.005  # of all predictions, which a drawn bin has; fewer say nothing of a frequency
Diagrams = Mapping[Unit, Mapping[str, list[dict[str, Any]]]]  # unit → method → of its seeds
Numbers = npt.NDArray[np.float64]

RELIABILITY = (
    "Reliability on test: share of right predictions in each bin of confidence (bins of equal "
    "width, all seeds together), against their mean confidence. On the dotted line a model is as "
    "often right as it says; below it is too sure. Bins with less than half a percent of the "
    "predictions are left out."
)
RISK = (
    "Risk and coverage on test: share of wrong predictions among the most confident part of all, "
    "mean over seeds. A lower curve knows better which of its predictions are wrong."
)


@matplotlib.rc_context(STYLE)
def calibration_figures(
    runs: list[Run], choice: Choice, names: Names, methods: Collection[str]
) -> list[Drawing]:
    """Both figures, a panel per dataset × model; none where no record has diagrams.

    Args:
        methods: to draw, of those that there are.
    """
    found = gathered(runs, choice, methods)
    if not found:
        return []
    axes = ("confidence", "share of right predictions"), ("coverage", "risk")
    return [
        _figure(found, names, "reliability", axes[0], RELIABILITY, _reliability),
        _figure(found, names, "risk_coverage", axes[1], RISK, _risk),
    ]


def gathered(runs: list[Run], choice: Choice, methods: Collection[str]) -> Diagrams:
    """The diagrams of the chosen runs, every seed of a method once."""
    found: dict[Unit, dict[str, list[dict[str, Any]]]] = defaultdict(lambda: defaultdict(list))
    seen: set[tuple[str, str, str, int]] = set()
    for index, run in enumerate(runs):
        for method in run.diagrams.keys() & methods:
            cell = (run.dataset, run.model, method, run.seed)
            if (index, method) in choice.kept and cell not in seen:
                seen.add(cell)
                found[run.dataset, run.model][method].append(run.diagrams[method])
    return found


def pooled_reliability(diagrams: list[dict[str, Any]]) -> tuple[Numbers, Numbers]:
    """Mean confidence and share of right predictions of each bin that holds enough."""
    number, confidence, correct = (
        np.sum([each["reliability"][key] for each in diagrams], axis=0)
        for key in ("number", "confidence", "correct")
    )
    enough = number >= LEAST_SHARE * number.sum()
    return confidence[enough] / number[enough], correct[enough] / number[enough]


def _figure(
    found: Diagrams,
    names: Names,
    stem: str,
    labels: tuple[str, str],
    caption: str,
    draw: Callable[[Axes, list[dict[str, Any]], Look], None],
) -> Drawing:
    drawn = names.in_order(method for methods in found.values() for method in methods)
    looks = {method: look(method, drawn) for method in drawn}
    figure, axes = panels(sorted(found))
    for axis, unit in axes:
        for method in names.in_order(found[unit]):
            draw(axis, found[unit][method], looks[method])
    figure.supxlabel(labels[0], fontsize=9)
    figure.supylabel(labels[1], fontsize=9)
    legend_above(figure, [handle(style, names.method(m)) for m, style in looks.items()])
    return finish(figure, stem, caption)


def _reliability(axis: Axes, diagrams: list[dict[str, Any]], style: Look) -> None:
    confidence, share = pooled_reliability(diagrams)
    axis.plot([0, 1], [0, 1], color="#888888", linestyle=":", linewidth=0.8, zorder=1)
    axis.plot(
        confidence, share, color=style.colour, linestyle=style.line, zorder=style.order,
        linewidth=min(style.width, 1.8), marker=style.marker, markersize=3,
    )  # fmt: skip
    axis.set(xlim=(0, 1), ylim=(0, 1))


def _risk(axis: Axes, diagrams: list[dict[str, Any]], style: Look) -> None:
    curves = [each["risk_coverage"] for each in diagrams]
    coverage = np.asarray(curves[0]["coverage"])
    risks = [np.interp(coverage, each["coverage"], each["risk"]) for each in curves]
    axis.plot(
        coverage, np.mean(risks, axis=0), color=style.colour, linestyle=style.line,
        linewidth=min(style.width, 1.8), zorder=style.order,
    )  # fmt: skip
    axis.set_xlim(0, 1)
