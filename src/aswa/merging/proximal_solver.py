"""The subproblem of CSL and DANE: a part's loss with a linear term, L1 and a proximal term.

min over u of  f_p(u) + ⟨s, u⟩ + λ‖u‖₁ + α/2 ‖u − w‖²,  s = ∇f(w) − ∇f_p(w).

Proximal-gradient steps find the support, Newton steps by conjugate gradients move on it. The same
solver with s = 0 and α = 0 solves F itself, independently of LIBLINEAR.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_matrix
from scipy.sparse.linalg import LinearOperator, cg

from aswa.merging.local_solver import Solution
from aswa.merging.logistic import Floats, kkt_residual, mean_loss, sigmoid
from aswa.merging.rows import Rows, SparseVector

ITERATIONS = 500
HALVINGS = 40


@dataclass
class _Smooth:
    """f(u) + ⟨s, u⟩ + α/2 ‖u − w‖² on the columns of the rows."""

    X: csr_matrix
    y: Floats
    shift: Floats
    center: Floats
    alpha: float

    def value(self, u: Floats) -> float:
        away = u - self.center
        loss = mean_loss(self.y * (self.X @ u))
        return loss + float(self.shift @ u) + self.alpha / 2 * float(away @ away)

    def gradient(self, u: Floats) -> Floats:
        slopes = -self.y * sigmoid(-self.y * (self.X @ u)) / len(self.y)
        return np.asarray(self.X.T @ slopes) + self.shift + self.alpha * (u - self.center)

    def newton_step(self, u: Floats, support: np.ndarray, slope: Floats) -> Floats:
        """d with (H + α) d = −slope on the support."""
        p = sigmoid(self.X @ u)
        curvature = p * (1 - p) / len(self.y)
        chosen = self.X[:, support]
        transposed = chosen.T.tocsr()
        damping = self.alpha + 1e-10

        def product(d: Floats) -> Floats:
            return transposed @ (curvature * (chosen @ d)) + damping * d

        size = len(support)
        operator = LinearOperator((size, size), matvec=product, dtype=np.float64)  # type: ignore[call-arg]
        return np.asarray(cg(operator, -slope, rtol=1e-6, maxiter=200)[0])


def soft(x: Floats, threshold: float | Floats) -> Floats:
    """sign(x) · max(|x| − threshold, 0)."""
    return np.sign(x) * np.maximum(np.abs(x) - threshold, 0.0)


def solve_shifted(
    rows: Rows, l1: float, shift: Floats, center: Floats, alpha: float, tolerance: float = 1e-6
) -> Solution:
    """argmin of the subproblem, from w on.

    A column without a nonzero in the rows has no loss: its minimiser is a closed form, and exists
    without a proximal term only where |s_j| ≤ λ.

    Args:
        rows: of the part, without weights.
        l1: λ.
        shift: s, [d].
        center: w, [d].
        alpha: α, at least 0.
        tolerance: of the residual of the optimality conditions, a part of λ.

    Raises:
        ValueError: α is 0 and the subproblem is unbounded.
    """
    began = time.perf_counter()
    own = rows.columns
    found = soft(center - shift / alpha, l1 / alpha) if alpha > 0 else np.zeros(len(center))
    if alpha == 0:
        free = np.abs(shift) > l1 * (1 + 1e-9)
        free[own] = False
        if free.any():
            raise ValueError(
                "proximal=0: the subproblem has no minimum, as the part has no row with feature "
                f"{int(np.flatnonzero(free)[0])}; take a number above 0"
            )
    smooth = _Smooth(rows.own, rows.y, shift[own], center[own], alpha)
    found[own], kkt, iterations = minimise(smooth, l1, center[own].copy(), tolerance)
    seconds = time.perf_counter() - began
    return Solution(SparseVector.of(found), kkt, iterations, seconds)


def minimise(smooth: _Smooth, l1: float, u: Floats, tolerance: float) -> tuple[Floats, float, int]:
    """argmin of smooth(u) + λ‖u‖₁, its residual, and iterations."""
    step, residual = 1.0, np.inf
    for iteration in range(ITERATIONS):
        slope = smooth.gradient(u)
        residual = kkt_residual(slope, u, l1)
        if residual <= tolerance:
            return u, residual, iteration
        u, step = _gradient_step(smooth, l1, u, slope, 2 * step)
        u = _newton_step(smooth, l1, u)
    return u, residual, ITERATIONS


def _gradient_step(
    smooth: _Smooth, l1: float, u: Floats, slope: Floats, step: float
) -> tuple[Floats, float]:
    """A proximal-gradient step whose length is halved until the model bounds the function."""
    before = smooth.value(u)
    for _ in range(HALVINGS):
        new = soft(u - step * slope, step * l1)
        d = new - u
        if smooth.value(new) <= before + slope @ d + d @ d / (2 * step) + 1e-15 * abs(before):
            break
        step /= 2
    return new, step


def _newton_step(smooth: _Smooth, l1: float, u: Floats) -> Floats:
    """A Newton step on the support; weights that would change sign stop at 0."""
    support = np.flatnonzero(u)
    if not len(support):
        return u
    signs = np.sign(u[support])
    slope = smooth.gradient(u)[support] + l1 * signs
    d = smooth.newton_step(u, support, slope)
    before, length = smooth.value(u) + l1 * float(np.abs(u).sum()), 1.0
    for _ in range(12):
        moved = u[support] + length * d
        moved[np.sign(moved) != signs] = 0.0
        trial = u.copy()
        trial[support] = moved
        if smooth.value(trial) + l1 * float(np.abs(trial).sum()) < before:
            return trial
        length /= 2
    return u
