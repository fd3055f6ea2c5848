"""The merge: a logistic regression in as many dimensions as there are parts.

v = argmin (1/n) Σ ℓ(y_i a_iᵀv) + λ₂/2 ‖v‖², a_i = Wᵀx_i in R^P; λ₂ by cross-validation.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.linalg import cho_factor, cho_solve

from aswa.merging.logistic import Floats, mean_loss, sigmoid

GRID = tuple(float(x) for x in 10 ** np.linspace(-4, 4, 10))
SELECTIONS = ("log_loss", "accuracy")
CHORDS = 8  # steps with one Hessian, at most


@dataclass(frozen=True)
class MergeWeights:
    """v [P], and the λ₂ that it was found with."""

    v: Floats
    lambda2: float


def ridge_gradient(A: Floats, y: Floats, v: Floats, lambda2: float) -> Floats:
    """The gradient of the merge's objective at v."""
    slopes = -y * sigmoid(-y * (A @ v))
    return A.T @ slopes / len(y) + lambda2 * v


def fit_ridge(
    A: Floats, y: Floats, lambda2: float, start: Floats | None = None, tolerance: float = 1e-9
) -> Floats:
    """The minimiser, by Newton steps; a Hessian serves as long as steps with it converge fast.

    Args:
        A: a_i in rows, [n, P].
        y: −1 or 1, [n].
        lambda2: λ₂, above 0.
        start: v to start from; None is 0.
        tolerance: of the gradient's norm, a part of the norm at 0 (at least of 1e-12).
    """
    v = np.zeros(A.shape[1]) if start is None else start.copy()
    scale = max(float(np.linalg.norm(ridge_gradient(A, y, np.zeros_like(v), lambda2))), 1e-12)
    slope = ridge_gradient(A, y, v, lambda2)
    for _ in range(100):
        if np.linalg.norm(slope) <= tolerance * scale:
            break
        p = sigmoid(A @ v)
        hessian = (A * (p * (1 - p) / len(y))[:, None]).T @ A
        hessian[np.diag_indices_from(hessian)] += lambda2
        factor = cho_factor(hessian)
        for chord in range(CHORDS):
            d = cho_solve(factor, slope)
            new = v - _length(A, y, v, d, lambda2) * d if chord == 0 else v - d
            new_slope = ridge_gradient(A, y, new, lambda2)
            slow = np.linalg.norm(new_slope) > 0.3 * np.linalg.norm(slope)
            if chord and slow:
                break
            v, slope = new, new_slope
            if slow or np.linalg.norm(slope) <= tolerance * scale:
                break
    return v


def _length(A: Floats, y: Floats, v: Floats, d: Floats, lambda2: float) -> float:
    """1, halved until the objective does not grow."""

    def value(length: float) -> float:
        at = v - length * d
        return mean_loss(y * (A @ at)) + lambda2 / 2 * float(at @ at)

    before, length = value(0.0), 1.0
    while length > 1e-8 and value(length) > before + 1e-14 * abs(before):
        length /= 2
    return length


def learn_weights(
    A: Floats,
    y: Floats,
    grid: Sequence[float] = GRID,
    selection: str = "log_loss",
    folds: int = 5,
    judged: Floats | None = None,
) -> MergeWeights:
    """v with the λ₂ of the grid that is best on held-out rows; of equal ones the smallest.

    Args:
        A, y: of the merge sample, in random order.
        grid: values of λ₂; a single one is taken as it is.
        selection: `log_loss` or `accuracy` of the held-out rows; a score of 0 is class 1.
        folds: contiguous.
        judged: labels that held-out predictions are compared with, in place of `y`; of a defect of
            the released code (`aswa.merging.released`) alone.

    Raises:
        ValueError: an unknown selection.
    """
    if selection not in SELECTIONS:
        raise ValueError(f"selection={selection}: take {' or '.join(SELECTIONS)}")
    lambdas = sorted(grid)
    if len(lambdas) == 1 or len(y) < 2 * folds:
        return MergeWeights(fit_ridge(A, y, lambdas[0]), lambdas[0])
    losses = np.zeros(len(lambdas))
    right = y if judged is None else judged
    for held in np.array_split(np.arange(len(y)), folds):
        kept = np.delete(np.arange(len(y)), held)
        v = np.zeros(A.shape[1])
        for number in reversed(range(len(lambdas))):  # from the strongest penalty on
            v = fit_ridge(A[kept], y[kept], lambdas[number], v, 1e-6)
            losses[number] += _loss(selection, A[held] @ v, right[held]) * len(held)
    best = lambdas[int(np.argmin(losses))]
    return MergeWeights(fit_ridge(A, y, best), best)


def _loss(selection: str, scores: Floats, y: Floats) -> float:
    if selection == "accuracy":
        return float(np.mean(np.where(scores >= 0, 1.0, -1.0) != y))
    return mean_loss(y * scores)
