"""A table of statistics of queries."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from tabulate import tabulate

from aswa.queries.algebra import columns, structure
from aswa.queries.generation import Queries

HEADER = (
    "structure", "queries", "easy answers", "hard answers", "needs 1", "2", "3", "anchors",
    "relations", "drawn",
)  # fmt: skip


def describe(queries: Iterable[Queries]) -> str:
    """A line for each structure: queries, mean numbers of answers, what hard answers need.

    `needs 1`, `2`, `3`: the share of hard answers whose least number of held-out edges is 1, 2, 3.
    An answer that needs one edge is a link prediction after a traversal.
    """
    return tabulate(
        [_line(each) for each in queries], HEADER, disable_numparse=True, stralign="right"
    )


def _line(queries: Queries) -> list[str]:
    letters = columns(structure(queries.structure))
    names = {letter: queries.rows[:, [c == letter for c in letters]] for letter in "er"}
    distinct = {letter: f"{len(ids.unique()):,}" for letter, ids in names.items()}
    parts = torch.bincount(queries.needed, minlength=4)[1:4].double() / max(1, len(queries.needed))
    return [
        queries.structure,
        f"{len(queries):,}",
        f"{_mean(queries.easy.counts()):.1f}",
        f"{_mean(queries.hard.counts()):.1f}",
        *(f"{part:.0%}" if len(queries.needed) else "–" for part in parts.tolist()),
        distinct["e"],
        distinct["r"],
        f"{queries.drawn:,}",
    ]


def _mean(counts: torch.Tensor) -> float:
    return float(counts.double().mean()) if len(counts) else 0.0
