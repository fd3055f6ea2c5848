"""Colours and lines of the figures: one fixed look per method, in every figure.

Colours are Okabe and Ito's, which stay apart for colour-blind readers; each method also has its
own line style and marker, so that a figure printed in grey can be read.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Look:
    """How one method is drawn. `width` in points, `order` the higher the nearer the reader."""

    colour: str
    line: Any  # of matplotlib: a name, or (offset, (on, off, ...)) in line widths
    marker: str
    width: float = 1.3
    order: int = 3


LOOKS = {
    "sgd": Look("#000000", (0, (1.0, 1.0)), "s"),
    "swa": Look("#E69F00", (0, (5.0, 1.5)), "^"),
    "polyak": Look("#7F5539", (0, (1.0, 1.0, 4.0, 1.0)), "p"),
    "ema": Look("#009E73", (0, (3.0, 1.2, 1.0, 1.2)), "D"),
    "early_stopping": Look("#0072B2", (0, (7.0, 1.2, 1.0, 1.2, 1.0, 1.2)), "v"),
    "aswa": Look("#D55E00", "-", "o", width=3.0, order=2),
    "aswa_released": Look("#CC79A7", "-", "P"),
    "polynomial_decay": Look("#56B4E9", (0, (2.0, 1.0)), "X"),
    "swag": Look("#56B4E9", "-", "h"),
    "swag_aswa": Look("#CC79A7", (0, (6.0, 1.0)), "H"),
}
RUNNING = LOOKS["sgd"]
SPARE = (
    Look("#555555", "-", "<"),
    Look("#999999", (0, (4.0, 2.0)), ">"),
    Look("#777777", (0, (1.0, 1.0, 3.0, 1.0)), "d"),
    Look("#b5b5b5", "-", "*"),
)

# For `matplotlib.rc_context`. A fixed salt makes the ids in an SVG, and so its bytes, repeatable.
STYLE: dict[Any, Any] = {
    "svg.hashsalt": "aswa",
    "svg.fonttype": "path",
    "font.family": "DejaVu Sans",
    "font.size": 9.0,
    "axes.titlesize": 9.0,
    "axes.labelsize": 9.0,
    "xtick.labelsize": 8.0,
    "ytick.labelsize": 8.0,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#dddddd",
    "grid.linewidth": 0.6,
    "axes.axisbelow": True,
    "legend.frameon": False,
    "figure.facecolor": "white",
}


def look(method: str, methods: list[str]) -> Look:
    """The look of a method; those without one of their own share the spare ones in order."""
    if method in LOOKS:
        return LOOKS[method]
    others = [name for name in methods if name not in LOOKS]
    return SPARE[others.index(method) % len(SPARE)]
