"""The figure of scaling.py: three log-log panels, from its JSON.

python benchmarks/scaling_figure.py benchmarks/results/scaling.json docs
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import NullLocator

# Colours of Okabe and Ito, of different lightness; marker and line tell the same in grey.
# colour, marker, line, the marker as a letter, where its name stands (fractions of the panel)
LOOKS = (
    ("#0072B2", "o", "-", "●", (0.04, 0.98)),
    ("#D55E00", "s", "--", "■", (0.98, 0.03)),
    ("#000000", "^", ":", "▲", (0.98, 0.98)),
)
NAMES = {"complex": "ComplEx", "distmult": "DistMult"}
STYLE = {"svg.hashsalt": "aswa", "font.size": 9}
# key → (title, label below)
PANELS = {
    "epoch_s": ("Training epoch, s", "examples × entities"),
    "rank_s": ("Ranking {ranks:,} ranks, s", "entities"),
    "rank_mib": ("Memory that ranking adds, MiB", "entities"),
}


def draw(record: dict[str, Any], folder: Path) -> None:
    """Write scaling.svg and scaling.png."""
    groups: dict[str, list[dict[str, Any]]] = {}
    for cell in record["growing"]["graphs"]:
        groups.setdefault(f"{cell['model']} {cell['dim']}", []).append(cell)
    with matplotlib.rc_context(STYLE):
        figure, axes = plt.subplots(1, len(PANELS), figsize=(10, 3.1), layout="constrained")
        for axis, (key, (title, below)) in zip(axes, PANELS.items(), strict=True):
            for i, (name, cells) in enumerate(groups.items()):
                _line(axis, key, cells, record["growing"]["exponents"][name][key], i)
            ranks = record["growing"]["graphs"][0]["ranks"]
            axis.set_title(title.format(ranks=ranks), loc="left", fontsize=9)
            axis.set_xlabel(below)
            _axes(axis, flat=key == "rank_mib")
            if below == "entities":
                counts = sorted({cell["entities"] for cell in record["growing"]["graphs"]})
                axis.set_xticks(counts, [f"{n:,}" for n in counts], minor=False, fontsize=8)
                axis.xaxis.set_minor_locator(NullLocator())
        folder.mkdir(parents=True, exist_ok=True)
        figure.savefig(folder / "scaling.svg", metadata={"Date": None, "Creator": None})
        figure.savefig(folder / "scaling.png", dpi=160, metadata={"Software": None})
        plt.close(figure)


def _line(axis: Axes, key: str, cells: list[dict[str, Any]], exponent: float, which: int) -> None:
    """Medians with their ranges, named in a corner that rising lines leave free."""
    colour, marker, line, glyph, place = LOOKS[which % len(LOOKS)]
    x = np.array([c["entities"] * (c["pairs"] if key == "epoch_s" else 1) for c in cells])
    median, low, high = (
        np.array([c[key][kind] for c in cells]) for kind in ("median", "min", "max")
    )
    measured = np.array([not (key == "epoch_s" and c["extrapolated"]) for c in cells])
    axis.plot(x, median, linestyle=line, color=colour, linewidth=1.4, zorder=2)
    axis.errorbar(x, median, [median - low, high - median], fmt="none", ecolor=colour, capsize=2)
    for these, fill in ((measured, colour), (~measured, "white")):
        axis.plot(
            x[these], median[these], marker, color=colour, markerfacecolor=fill, markersize=5,
            linestyle="none", zorder=3,
        )  # fmt: skip
    name = NAMES.get(cells[0]["model"], cells[0]["model"])
    label = f"{name} {cells[0]['dim']}\nexponent {exponent:.2f}"
    if not measured.all():
        label += "\n(hollow: extrapolated)"
    middle = len(x) // 2
    axis.annotate(
        f"{glyph} {label}", (x[middle], median[middle]), xytext=place, textcoords="axes fraction",
        ha="left" if place[0] < 0.5 else "right", va="bottom" if place[1] < 0.5 else "top",
        color=colour, fontsize=8, arrowprops={"arrowstyle": "-", "color": colour, "linewidth": 0.5},
    )  # fmt: skip


def _axes(axis: Axes, flat: bool) -> None:
    """Both logarithmic; two decades at least where flatness is the point: noise stays small."""
    axis.set_xscale("log")
    axis.set_yscale("log")
    low, high = axis.get_ylim()
    if flat:
        centre = (low * high) ** 0.5
        low, high = min(low, centre / 10), max(high, centre * 10)
    axis.set_ylim(low / 1.3, high * 1.3)
    axis.grid(True, which="major", color="0.9", linewidth=0.6)
    axis.margins(x=0.12)
    axis.spines[["top", "right"]].set_visible(False)


if __name__ == "__main__":
    draw(json.loads(Path(sys.argv[1]).read_text()), Path(sys.argv[2]))
