"""A finished figure, and what all figures share. No global state; the same bytes each time."""

from __future__ import annotations

import io
import math
import textwrap
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from aswa.analysis.rendering.appearance import Look

DPI = 150
TITLE_WIDTH = 34  # letters of a line over a panel

Unit = tuple[str, str]  # dataset, model


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


def panels(units: Collection[Unit]) -> tuple[Figure, list[tuple[Axes, Unit]]]:
    """A figure with a titled panel per unit, in order, and the panels.

    As many columns as the largest dataset has models, at most four.
    """
    columns = min(4, max(Counter(dataset for dataset, _ in units).values()))
    rows = math.ceil(len(units) / columns)
    figure = Figure(figsize=(max(4.5, 2.9 * columns), 2.3 * rows + 0.7), layout="constrained")
    pairs = list(zip(grid(figure, rows, columns, len(units)), units, strict=True))
    for axis, unit in pairs:
        axis.set_title(panel_title(unit), loc="left")
    return figure, pairs


def grid(figure: Figure, rows: int, columns: int, n: int, sharey: bool = False) -> list[Axes]:
    """The first n axes of a grid; the others are not shown."""
    axes = list(figure.subplots(rows, columns, squeeze=False, sharey=sharey).flat)
    for axis in axes[n:]:
        axis.set_visible(False)
    return axes[:n]


def handle(style: Look, label: str, most: float = 3.0) -> Line2D:
    """An entry of a legend; `most` is the width of its line in points."""
    width = min(style.width, most)
    return Line2D([], [], color=style.colour, linestyle=style.line, linewidth=width, label=label)


def legend_above(figure: Figure, handles: list[Line2D]) -> None:
    """The legend above the panels, in as few rows as fit."""
    # Points of a column: line, gaps and the longest name.
    column = 52 + 5.2 * max(len(str(each.get_label())) for each in handles)
    rows = math.ceil(len(handles) / max(1, int(72 * figure.get_figwidth() / column)))
    columns = math.ceil(len(handles) / rows)
    figure.legend(handles=handles, loc="outside upper center", ncols=columns, handlelength=3.2)


def panel_title(unit: Unit) -> str:
    """`dataset × model`, on several lines where it is long."""
    return textwrap.fill(" × ".join(filter(None, unit)), TITLE_WIDTH)
