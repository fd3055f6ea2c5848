"""The L1 solver: scikit-learn's LIBLINEAR (newGLMNET) on the columns that the rows have.

Penalties by feature are exact by column scaling: with x_j ← f_j x_j the penalty of w_j is λ/f_j.
"""

from __future__ import annotations

import time
import warnings
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from scipy.sparse import csr_matrix, vstack
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression

from aswa.merging.logistic import Floats, gradient, kkt_residual, largest_l1
from aswa.merging.rows import Rows, SparseVector


@dataclass(frozen=True)
class Solution:
    """What a part computed, and what that took.

    Attributes:
        weights: of all features.
        kkt: residual of the optimality conditions; see `logistic.kkt_residual`.
        iterations: of the outer loop; 0 where the answer is known to be zero.
        seconds: wall-clock time.
        numbers: further results of a stage, such as values of a line search.
    """

    weights: SparseVector
    kkt: float
    iterations: int
    seconds: float
    numbers: tuple[float, ...] = field(default=())


@dataclass(frozen=True)
class Solver:
    """Settings of LIBLINEAR.

    Attributes:
        tolerance: of the outer loop, relative to the violation at zero.
        iterations: of the outer loop, at most.
        seed: of the order of the coordinates; equal seeds give equal bits.
    """

    tolerance: float = 1e-4
    iterations: int = 100
    seed: int = 0

    def solve(self, rows: Rows, l1: float, factors: Floats | None = None) -> Solution:
        """argmin (1/n) Σ s_i ℓ(y_i x_iᵀw) + λ Σ_j |w_j| / f_j.

        Rows of one class have a solution too, as there is no intercept; LIBLINEAR refuses them, so
        an empty row of the other class joins them, whose loss is a constant.

        Args:
            rows: with their weights.
            l1: λ, above 0.
            factors: f, [d]; None is 1 each.

        Raises:
            ValueError: λ is no number above 0.
        """
        if not (np.isfinite(l1) and l1 > 0):
            raise ValueError(f"l1={l1}: must be a number above 0")
        start = time.perf_counter()
        X, own = rows.own, None if factors is None else factors[rows.columns]
        if own is not None:
            X = csr_matrix((X.data * own[X.indices], X.indices, X.indptr), shape=X.shape)
        iterations, scaled = 0, np.zeros(X.shape[1])
        if l1 < largest_l1(X, rows.y, rows.weights, rows.n):
            scaled, iterations = self._fit(X, rows, l1)
        slope = gradient(X, rows.y, scaled, rows.weights, rows.n)
        f = np.ones(X.shape[1]) if own is None else own
        w = scaled * f
        kkt = kkt_residual(slope / f, w, l1 / f)
        chosen = np.flatnonzero(w)
        weights = SparseVector(rows.columns[chosen], w[chosen], rows.X.shape[1])
        return Solution(weights, kkt, iterations, time.perf_counter() - start)

    def _fit(self, X: csr_matrix, rows: Rows, l1: float) -> tuple[Floats, int]:
        """Weights on the columns of X, and iterations."""
        y, row_weights = rows.y, rows.weights
        if (y == y[0]).all():
            X = csr_matrix(vstack([X, csr_matrix((1, X.shape[1]))], format="csr"))
            y = np.append(y, -y[0])
            row_weights = None if row_weights is None else np.append(row_weights, 1.0)
        model: Any = LogisticRegression(
            l1_ratio=1.0,
            solver="liblinear",
            C=1.0 / (rows.n * l1),
            fit_intercept=False,
            tol=self.tolerance,
            max_iter=self.iterations,
            random_state=self.seed,
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # the residual is recorded
            model.fit(X, y, sample_weight=row_weights)
        return model.coef_[0], int(model.n_iter_[0])
