"""What a set of queries is like, as a table for people."""

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
    """A line a structure: how many queries, mean numbers of answers, what the hard ones need.

    `needs 1`, `2`, `3`: of the hard answers, the part that needs at least so many held-out edges;
    an answer that needs one is as good as a link prediction once the rest is followed.
    """
    return tabulate(
        [_line(each) for each in queries], HEADER, disable_numparse=True, stralign="right"
    )


def _line(of: Queries) -> list[str]:
    letters = columns(structure(of.structure))
    distinct = {
        letter: len(torch.unique(of.rows[:, [i for i, c in enumerate(letters) if c == letter]]))
        for letter in "er"
    }
    parts = torch.bincount(of.needed, minlength=4)[1:4].double() / max(1, len(of.needed))
    return [
        of.structure,
        f"{len(of):,}",
        f"{_mean(of.easy.counts()):.1f}",
        f"{_mean(of.hard.counts()):.1f}",
        *(f"{part:.0%}" if len(of.needed) else "–" for part in parts.tolist()),
        f"{distinct['e']:,}",
        f"{distinct['r']:,}",
        f"{of.drawn:,}",
    ]


def _mean(counts: torch.Tensor) -> float:
    return float(counts.double().mean()) if len(counts) else 0.0
