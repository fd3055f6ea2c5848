"""Whether two rankings of the same triples by the same weights are the same, and if not, why.

Two right rankings can differ only by candidates whose score is nearly that of the target: rounding
in a matrix product of another shape, or a tolerance for ties, puts such a candidate on the other
side. For every triple with different ranks the scores are computed anew in fp64, and the margin is
taken within which there are as many candidates as the ranks differ by: a difference of x needs at
least ⌈x⌉ of them. If the greatest margin is a few units in the last place of fp32 sums, all
differences are rounding.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np


class KnownTails:
    """The tails of (h, r) among the known triples [n, 3]."""

    def __init__(self, triples: np.ndarray, n_relations: int) -> None:
        self._n_relations = n_relations
        keys = triples[:, 0] * n_relations + triples[:, 1]
        order = np.argsort(keys, kind="stable")
        self._keys, self._tails = keys[order], triples[order, 2]

    def of(self, h: int, r: int) -> np.ndarray:
        key = h * self._n_relations + r
        first, last = np.searchsorted(self._keys, [key, key + 1])
        return self._tails[first:last]


def compose(model: str, h: np.ndarray, r: np.ndarray) -> np.ndarray:
    """The query whose inner product with a tail is the score."""
    if model == "distmult":
        return h * r
    (a, b), (c, d) = np.split(h, 2), np.split(r, 2)
    return np.concatenate([a * c - b * d, a * d + b * c])


def agreement(
    ours: np.ndarray, theirs: np.ndarray, triples: np.ndarray, known: KnownTails, weights: Path,
    model: str,
) -> dict[str, Any]:  # fmt: skip
    """Number of different ranks, the greatest difference, and the greatest margin (see above).

    Args:
        ours, theirs: [n], ranks of the tails of `triples` [n, 3] (reciprocals included).
        weights: folder with entity.npy and relation.npy.
    """
    entity, relation = (
        np.load(weights / f"{table}.npy").astype(np.float64) for table in ("entity", "relation")
    )
    difference = np.abs(ours.astype(np.float64) - theirs.astype(np.float64))
    margins = []
    for i in np.flatnonzero(difference):
        h, r, t = triples[i]
        scores = entity @ compose(model, entity[h], relation[r])
        target = scores[t]
        scores[known.of(h, r)] = np.nan
        near = np.sort(np.abs(scores - target))  # NaN last; the target itself is among the known
        margins.append(near[math.ceil(difference[i]) - 1] / max(1.0, abs(target)))
    return {
        "ranks": len(ours), "different": len(margins), "greatest": float(difference.max()),
        "margin": float(max(margins)) if margins else 0.0,
    }  # fmt: skip


def aligned(rank: np.ndarray, triples: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Ranks given for `triples` [n, 3], in the order of `wanted`, the same triples.

    Raises:
        ValueError: they are not the same triples.
    """
    order, places = np.lexsort(triples.T), np.lexsort(wanted.T)
    if not np.array_equal(triples[order], wanted[places]):
        raise ValueError("not the same triples")
    result = np.empty(len(wanted))
    result[places] = rank[order]
    return result
