"""A metric against the compute of training, condition by condition."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import matplotlib
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from aswa.analysis.rendering.appearance import LOOKS, SPARE, STYLE
from aswa.analysis.rendering.drawing import Drawing, finish, grid


class Cost(NamedTuple):
    """A row of a condition, what its training costs, and what came out."""

    condition: str
    row: str
    cost: float  # in runs of one model
    value: float


@matplotlib.rc_context(STYLE)
def cost_figure(
    points: Mapping[str, Sequence[Cost]], names: Mapping[str, str], measured: str
) -> Drawing:
    """A panel per regime, in it a column per condition, the cheap ones first.

    Args:
        points: title of the panel → rows.
        names: row → what the legend calls it.
        measured: of the y axis.
    """
    figure = Figure(figsize=(5.2 * len(points), 4.6), layout="constrained")
    for axis, (title, of) in zip(grid(figure, 1, len(points), len(points)), points.items(),
                                 strict=True):  # fmt: skip
        _panel(axis, of, names)
        axis.set_title(title, loc="left")
        axis.set_ylabel(measured)
    handles: dict[str, Artist] = {}
    for axis in figure.axes:
        shown, labels = axis.get_legend_handles_labels()
        handles |= dict(zip(labels, shown, strict=True))
    figure.legend(
        list(handles.values()), list(handles), loc="outside lower center", ncols=5, fontsize=8
    )
    said = "test MRR against total training compute, in runs of one model"
    return finish(figure, "mrr_by_cost", said)


def _panel(axis: Axes, points: Sequence[Cost], names: Mapping[str, str]) -> None:
    """Conditions as columns, from left to right by cost."""
    order = sorted({(p.cost, i) for i, p in enumerate(points)})
    conditions = list(dict.fromkeys(points[i].condition for _, i in order))
    place = {condition: x for x, condition in enumerate(conditions)}
    by_row: dict[str, list[Cost]] = defaultdict(list)
    for point in points:
        by_row[point.row].append(point)
    spare = [row for row in by_row if row not in LOOKS]
    for row, own in by_row.items():
        look = LOOKS[row] if row in LOOKS else SPARE[spare.index(row) % len(SPARE)]
        axis.plot(
            [place[p.condition] for p in own], [p.value for p in own], label=names.get(row, row),
            color=look.colour, marker=look.marker, linestyle="none", markersize=6,
        )  # fmt: skip
    costs = {p.condition: p.cost for p in points}
    texts = [f"{name}\n({costs[name]:g}×)" for name in conditions]
    axis.set_xticks(range(len(conditions)), texts, rotation=60, ha="right")
    first = [i for i, name in enumerate(conditions) if costs[name] == costs[conditions[0]]]
    axis.axvline(len(first) - 0.5, color="#888888", linewidth=1.0)
