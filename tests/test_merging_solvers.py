"""Solvers of L1 logistic regression: against each other, duality, and other libraries."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.sparse import csr_matrix, hstack, vstack

pytest.importorskip("sklearn")

from sklearn.linear_model import LogisticRegression

from aswa.merging.local_solver import Solver
from aswa.merging.logistic import (
    duality_gap,
    gradient,
    kkt_residual,
    largest_l1,
    objective,
    scale_free_objective,
)
from aswa.merging.merge_weights import fit_ridge, learn_weights, ridge_gradient
from aswa.merging.proximal_solver import solve_shifted
from aswa.merging.rows import Rows
from sparse_rows import rows

EXACT = Solver(tolerance=1e-10, iterations=1000)
L1 = 5e-3


def solved(X: csr_matrix, y: Any, l1: float = L1, factors: Any = None, weights: Any = None) -> Any:
    return EXACT.solve(Rows(X, y, weights), l1, factors).weights.dense()


@pytest.mark.numeric
def test_the_solution_satisfies_the_optimality_conditions_and_closes_the_duality_gap() -> None:
    X, y = rows()
    w = solved(X, y)
    assert 0 < np.count_nonzero(w) < X.shape[1]
    assert kkt_residual(gradient(X, y, w), w, L1) < 1e-5
    assert 0 <= duality_gap(X, y, w, L1) + 1e-12 < 1e-7
    assert duality_gap(X, y, 2 * w, L1) > objective(X, y, 2 * w, L1) - objective(X, y, w, L1)


def test_weights_vanish_exactly_from_the_largest_l1_on() -> None:
    X, y = rows()
    largest = largest_l1(X, y)
    assert not solved(X, y, largest).any()
    assert np.count_nonzero(solved(X, y, 0.999 * largest)) == 1


@pytest.mark.numeric
def test_three_solvers_agree_in_objective_and_margins() -> None:
    X, y = rows(300, 100)
    w = solved(X, y)
    zero = np.zeros(X.shape[1])
    proximal = solve_shifted(Rows(X, y), L1, zero, zero, 0.0, 1e-9)
    saga = LogisticRegression(l1_ratio=1, solver="saga", C=1 / (300 * L1), fit_intercept=False,
                              tol=1e-9, max_iter=20000).fit(X, y)  # fmt: skip
    for other in (proximal.weights.dense(), saga.coef_[0]):
        assert objective(X, y, other, L1) == pytest.approx(objective(X, y, w, L1), abs=1e-8)
        np.testing.assert_allclose(X @ other, X @ w, atol=1e-3)


@pytest.mark.numeric
def test_row_weights_are_duplicated_rows() -> None:
    X, y = rows(200, 80)
    counts = np.arange(200) % 3
    twice = np.repeat(np.arange(200), counts)
    weighted = EXACT.solve(Rows(X, y, counts.astype(float), float(len(twice))), L1)
    copied = solved(csr_matrix(X[twice]), y[twice])
    np.testing.assert_allclose(X @ weighted.weights.dense(), X @ copied, atol=1e-5)


@pytest.mark.numeric
def test_factors_are_penalties_by_feature() -> None:
    """The conditions of the weighted problem hold at the rescaled weights."""
    X, y = rows()
    factors = np.random.default_rng(1).uniform(1, 11, X.shape[1])
    w = solved(X, y, L1, factors)
    assert kkt_residual(gradient(X, y, w), w, L1 / factors) < 1e-5


@pytest.mark.slow
@pytest.mark.numeric
def test_factors_agree_with_the_weighted_l1_of_skglm() -> None:
    skglm = pytest.importorskip("skglm", reason="skglm, another solver, is not installed")
    from skglm.datafits import Logistic
    from skglm.penalties import WeightedL1
    from skglm.solvers import ProxNewton

    X, y = rows()
    factors = np.random.default_rng(1).uniform(1, 11, X.shape[1])
    w = solved(X, y, L1, factors)
    other = skglm.GeneralizedLinearEstimator(
        Logistic(), WeightedL1(L1, 1 / factors), ProxNewton(tol=1e-12, fit_intercept=False)
    ).fit(X.tocsc(), y)
    np.testing.assert_allclose(X @ other.coef_.ravel(), X @ w, atol=1e-4)


@pytest.mark.numeric
def test_duplicate_columns_leave_objective_and_margins_as_they_are() -> None:
    X, y = rows(200, 60)
    doubled = csr_matrix(hstack([X, X], format="csr"))
    found = [Solver(1e-10, 1000, seed).solve(Rows(doubled, y), L1).weights for seed in (0, 1)]
    again = Solver(1e-10, 1000, 1).solve(Rows(doubled, y), L1).weights
    np.testing.assert_array_equal(found[1].values, again.values)
    a, b = (objective(doubled, y, w.dense(), L1) for w in found)
    assert a == pytest.approx(b, abs=1e-8)
    assert a == pytest.approx(objective(X, y, solved(X, y), L1), abs=1e-8)


def test_a_part_is_solved_on_its_own_columns() -> None:
    """Columns without a nonzero change no bit."""
    X, y = rows(100, 50)
    wide = csr_matrix(hstack([X, csr_matrix((100, 9950))], format="csr"))
    np.testing.assert_array_equal(solved(wide, y)[:50], solved(X, y))


@pytest.mark.numeric
def test_rows_of_one_class_are_fitted_too() -> None:
    X, _ = rows(200, 60)
    y = np.ones(200)
    w = solved(X, y)
    assert w.any() and (w >= 0).all()
    assert kkt_residual(gradient(X, y, w), w, L1) < 1e-5


@pytest.mark.numeric
def test_the_subproblem_of_csl_is_solved() -> None:
    """Also on columns that the part does not have."""
    X, y = rows(200, 60)
    wide = csr_matrix(hstack([X, csr_matrix((200, 5))], format="csr"))
    random = np.random.default_rng(0)
    shift, center = random.normal(size=65) * 0.02, random.normal(size=65) * 0.1
    u = solve_shifted(Rows(wide, y), L1, shift, center, 0.1, 1e-8).weights.dense()
    slope = gradient(wide, y, u) + shift + 0.1 * (u - center)
    assert kkt_residual(slope, u, L1) < 1e-6
    with pytest.raises(ValueError, match="no minimum"):
        solve_shifted(Rows(wide, y), L1, np.full(65, 0.1), center, 0.0)


@pytest.mark.numeric
def test_the_merge_is_a_minimum_and_its_penalty_is_chosen_on_held_out_rows() -> None:
    random = np.random.default_rng(0)
    A = random.normal(size=(400, 6))
    y = np.where(random.random(400) < 1 / (1 + np.exp(-A @ np.arange(6) / 3)), 1.0, -1.0)
    for lambda2 in (1e-4, 1.0, 1e4):
        v = fit_ridge(A, y, lambda2)
        assert np.linalg.norm(ridge_gradient(A, y, v, lambda2)) < 1e-8
    for selection in ("log_loss", "accuracy"):
        assert learn_weights(A, y, selection=selection).lambda2 < 10
    noise = np.where(random.random(400) < 0.5, 1.0, -1.0)
    assert learn_weights(A, noise).lambda2 > 0.01
    with pytest.raises(ValueError, match="selection=auc"):
        learn_weights(A, y, selection="auc")


@pytest.mark.numeric
def test_the_scale_free_objective_sees_directions_alone() -> None:
    X, y = rows(200, 60)
    w = solved(X, y)
    at = scale_free_objective(X, y, w, L1)
    assert at == pytest.approx(objective(X, y, w, L1), abs=1e-7)
    for scale in (0.01, 7.0):
        assert scale_free_objective(X, y, scale * w, L1) == pytest.approx(at, abs=1e-7)
    assert scale_free_objective(X, y, -w, L1) == pytest.approx(np.log(2))


def test_a_part_with_rows_of_both_shapes_is_stacked_in_order() -> None:
    X, y = rows(20, 10)
    more = Rows(X, y).with_rows(X[:2], y[:2], np.array([3.0, 4.0]))
    assert (vstack([X, X[:2]]) != more.X).nnz == 0
    assert more.weights is not None and more.weights.tolist() == [1.0] * 20 + [3.0, 4.0]
