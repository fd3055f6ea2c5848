"""L1-regularised logistic regression: objective, optimality, and how far weights are from it.

F_λ(w) = (1/n) Σ s_i ℓ(y_i x_iᵀw) + λ‖w‖₁ with ℓ(m) = log(1 + e^−m), y in {−1, 1}, row weights s
(1 where none are given) and no intercept.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.sparse import csr_matrix

Floats = NDArray[np.float64]


def sigmoid(margins: Floats) -> Floats:
    """1 / (1 + e^−m), without overflow."""
    return np.exp(-np.logaddexp(0.0, -margins))


def mean_loss(margins: Floats, row_weights: Floats | None = None, rows: float = 0.0) -> float:
    """(1/n) Σ s_i ℓ(m_i).

    Args:
        margins: y_i x_iᵀw, [n].
        row_weights: s, [n]; None is 1 each.
        rows: n, where it is not the number of margins.
    """
    losses = np.logaddexp(0.0, -margins)
    total = losses.sum() if row_weights is None else losses @ row_weights
    return float(total / (rows or len(margins)))


def objective(X: csr_matrix, y: Floats, w: Floats, l1: float) -> float:
    """F_λ(w) on rows X [n, d]."""
    return mean_loss(y * (X @ w)) + l1 * float(np.abs(w).sum())


def gradient(
    X: csr_matrix, y: Floats, w: Floats, row_weights: Floats | None = None, rows: float = 0.0
) -> Floats:
    """The gradient of the loss part of F at w, [d]."""
    slopes = -y * sigmoid(-y * (X @ w))
    if row_weights is not None:
        slopes = slopes * row_weights
    return np.asarray(X.T @ slopes) / (rows or X.shape[0])


def kkt_residual(slope: Floats, w: Floats, l1: float | Floats) -> float:
    """The largest violation of the optimality conditions, as a part of the largest λ.

    |∇_j| ≤ λ where w_j = 0, and ∇_j = −λ sign(w_j) elsewhere, as a proximal step of length 1 sees
    them: max |w − soft(w − ∇, λ)|. So a weight that rounding left at 1e-13 is as good as 0.

    Args:
        slope: gradient of the loss, [d].
        l1: λ, or one λ_j for each weight.
    """
    penalty = np.broadcast_to(np.asarray(l1, float), slope.shape)
    step = w - slope
    moved = np.sign(step) * np.maximum(np.abs(step) - penalty, 0.0)
    return float(np.max(np.abs(w - moved), initial=0.0) / np.max(penalty, initial=1e-300))


def largest_l1(
    X: csr_matrix, y: Floats, row_weights: Floats | None = None, rows: float = 0.0
) -> float:
    """The least λ at which all weights are 0: max_j |Σ s_i y_i x_ij| / (2n)."""
    signed = y if row_weights is None else y * row_weights
    sums = np.abs(np.asarray(X.T @ signed))
    return float(np.max(sums, initial=0.0) / (2 * (rows or X.shape[0])))


def duality_gap(X: csr_matrix, y: Floats, w: Floats, l1: float) -> float:
    """F_λ(w) minus a feasible dual value: an upper bound of F_λ(w) − min F_λ.

    The dual point is θ_i = σ(−m_i), scaled by min(1, λ / ‖Xᵀ(yθ)/n‖_∞) so that it is feasible; the
    dual value is the mean entropy of θ.
    """
    margins = y * (X @ w)
    theta = sigmoid(-margins)
    reach = float(np.max(np.abs(X.T @ (y * theta)), initial=0.0)) / len(y)
    theta = theta * (min(1.0, l1 / reach) if reach > 0 else 1.0)
    rest = 1.0 - theta
    entropy = -(_x_log_x(theta) + _x_log_x(rest))
    return mean_loss(margins) + l1 * float(np.abs(w).sum()) - float(entropy.mean())


def _x_log_x(x: Floats) -> Floats:
    return x * np.log(np.where(x > 0, x, 1.0))


def scale_free_objective(X: csr_matrix, y: Floats, w: Floats, l1: float) -> float:
    """min over s ≥ 0 of F_λ(s·w): a merge that is chosen by ranking leaves the scale open."""
    margins, norm = y * (X @ w), float(np.abs(w).sum())
    if norm == 0.0:
        return mean_loss(margins)

    def at(log_scale: float) -> float:
        scale = float(np.exp(log_scale))
        return mean_loss(scale * margins) + l1 * scale * norm

    found: Any = minimize_scalar(at, bounds=(-12.0, 12.0), method="bounded")
    return min(float(found.fun), at(0.0), float(np.log(2.0)))
