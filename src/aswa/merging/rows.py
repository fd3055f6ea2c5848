"""The rows of a part on the part's own columns, and sparse vectors between parts and master."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csc_matrix, csr_matrix, vstack

from aswa.merging.logistic import Floats


@dataclass(frozen=True)
class SparseVector:
    """A vector [d] by its nonzeros.

    Attributes:
        indices: increasing, int32.
        values: at these indices.
        size: d.
    """

    indices: NDArray[np.int32]
    values: Floats
    size: int

    @classmethod
    def of(cls, dense: Floats) -> SparseVector:
        """The nonzeros of a dense vector."""
        indices = np.flatnonzero(dense).astype(np.int32)
        return cls(indices, np.asarray(dense, float)[indices], len(dense))

    def dense(self) -> Floats:
        """The vector itself, [d]."""
        found = np.zeros(self.size)
        found[self.indices] = self.values
        return found


def stacked(vectors: Sequence[SparseVector]) -> csc_matrix:
    """W = [w_1 … w_P], [d, P]."""
    starts = np.cumsum([0, *(len(v.indices) for v in vectors)])
    indices = np.concatenate([v.indices for v in vectors])
    values = np.concatenate([v.values for v in vectors])
    return csc_matrix((values, indices, starts), shape=(vectors[0].size, len(vectors)))


def mean_vector(vectors: Sequence[SparseVector]) -> Floats:
    """The unweighted mean, [d]."""
    total = np.zeros(vectors[0].size)
    for vector in vectors:
        total[vector.indices] += vector.values
    return total / len(vectors)


@dataclass(frozen=True)
class Rows:
    """Labelled rows, with what a solver needs of them.

    Attributes:
        X: [n, d], CSR.
        y: −1 or 1, [n].
        weights: of the rows, [n]; None is 1 each.
        count: n in the mean of the loss, where it is not the number of rows.
    """

    X: csr_matrix
    y: Floats
    weights: Floats | None = None
    count: float = 0.0

    @cached_property
    def columns(self) -> NDArray[np.int32]:
        """The columns with a nonzero, increasing; all other weights of a solution are 0."""
        used = np.zeros(self.X.shape[1], bool)
        used[self.X.indices] = True
        return np.flatnonzero(used).astype(np.int32)

    @cached_property
    def own(self) -> csr_matrix:
        """The rows on `columns`, [n, len(columns)]."""
        number = np.empty(self.X.shape[1], np.int32)
        number[self.columns] = np.arange(len(self.columns), dtype=np.int32)
        parts = (self.X.data, number[self.X.indices], self.X.indptr)
        return csr_matrix(parts, shape=(self.X.shape[0], len(self.columns)))

    @property
    def n(self) -> float:
        """The number of rows that the mean of the loss divides by."""
        return self.count or float(self.X.shape[0])

    def with_rows(self, X: csr_matrix, y: Floats, weights: Floats) -> Rows:
        """These rows, each with weight 1, and `X` with `weights` below them."""
        below = np.concatenate([np.ones(self.X.shape[0]), weights])
        together = csr_matrix(vstack([self.X, X], format="csr"))
        return Rows(together, np.concatenate([self.y, y]), below)

    def taken(self, numbers: NDArray[Any]) -> Rows:
        """Some of the rows, in the order given."""
        return Rows(csr_matrix(self.X[numbers]), self.y[numbers])


def checked_parts(parts: Sequence[tuple[Any, Any]]) -> list[Rows]:
    """Parts as `Rows`: CSR of float64 with sorted indices, labels −1 and 1.

    Raises:
        ValueError: no part, a part without rows, other labels, or parts of different widths.
    """
    if not parts:
        raise ValueError("parts: none is given; give [(X, y), ...], at least one")
    found: list[Rows] = []
    for number, (X, y) in enumerate(parts):
        matrix = csr_matrix(X, dtype=np.float64)
        matrix.sum_duplicates()
        matrix.indices = matrix.indices.astype(np.int32, copy=False)
        labels = np.asarray(y, dtype=np.float64).ravel()
        if matrix.shape[0] == 0:
            raise ValueError(f"part {number}: no rows; there are more parts than rows, or it is "
                             "empty; take fewer parts")  # fmt: skip
        if len(labels) != matrix.shape[0]:
            raise ValueError(f"part {number}: {matrix.shape[0]} rows and {len(labels)} labels")
        if not np.isin(labels, (-1.0, 1.0)).all():
            raise ValueError(f"part {number}: labels other than -1 and 1; map them first")
        if not np.isfinite(matrix.data).all():
            raise ValueError(f"part {number}: a value that is no finite number")
        if found and matrix.shape[1] != found[0].X.shape[1]:
            raise ValueError(
                f"part {number}: {matrix.shape[1]} columns, and part 0 has {found[0].X.shape[1]}"
            )
        found.append(Rows(matrix, labels))
    return found
