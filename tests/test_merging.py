"""Naive average, OWA, ACOWA and their relatives: what has to hold whatever the data."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from scipy.sparse import csr_matrix

pytest.importorskip("sklearn")

from sklearn.metrics import roc_auc_score
from sklearn.utils.estimator_checks import parametrize_with_checks

from aswa import merging
from aswa.merging import (
    acowa,
    acowa_released,
    centroids_only,
    csl,
    dane,
    full_solve,
    naive_average,
    one_part,
    owa,
    split_rows,
    subsampled_average,
    votes_only,
)
from aswa.merging.logistic import largest_l1, mean_loss, objective
from aswa.merging.merge_weights import fit_ridge
from aswa.merging.rows import Rows
from aswa.merging.stages import centroids_of, rescaled_l1
from sparse_rows import rows, split

L1 = 5e-3
ALL = (full_solve, one_part, naive_average, subsampled_average, owa, centroids_only, votes_only,
       acowa, acowa_released, csl, dane)  # fmt: skip


def test_the_library_imports_no_torch() -> None:
    code = "import sys, aswa.merging; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_one_part_is_the_full_solve() -> None:
    """Exactly for the naive average; OWA gives a multiple of it."""
    parts = split(*rows(), 1)
    full = full_solve(parts, L1).weights
    np.testing.assert_array_equal(naive_average(parts, L1).weights, full)
    found = owa(parts, L1)
    assert found.v is not None and found.v[0] > 0
    np.testing.assert_array_equal(found.weights, full * found.v[0])


@pytest.mark.parametrize("n_parts", [1, 2, 5])
def test_acowa_without_centroids_and_votes_is_owa(n_parts: int) -> None:
    parts = split(*rows(), n_parts)
    plain = owa(parts, L1).weights
    np.testing.assert_array_equal(acowa(parts, L1, centroid_weight=0, kappa=0).weights, plain)
    np.testing.assert_array_equal(votes_only(parts, L1, kappa=0).weights, plain)
    alone = centroids_only(parts, L1, centroid_weight=0.3).weights
    np.testing.assert_array_equal(acowa(parts, L1, centroid_weight=0.3, kappa=0).weights, alone)
    assert (acowa(parts, L1).weights != plain).any()


@pytest.mark.numeric
def test_equal_parts_give_a_multiple_of_their_solution() -> None:
    X, y = rows()
    same = owa([(X, y)] * 3, L1).weights
    one = full_solve([(X, y)], L1).weights
    scale = same[one != 0] / one[one != 0]
    np.testing.assert_allclose(scale, scale[0], rtol=1e-9)
    assert not same[one == 0].any()


@pytest.mark.numeric
def test_owas_loss_on_its_sample_is_that_of_no_other_combination() -> None:
    """Without penalty it is at most that of the mean and of each part."""
    X, y = rows()
    parts = split(X, y, 4)
    W = np.column_stack([full_solve([part], L1).weights for part in parts])
    A, v = X @ W, fit_ridge(X @ W, y, 1e-9)
    loss = mean_loss(y * (A @ v))
    assert loss <= mean_loss(y * A.mean(1)) + 1e-9
    assert all(loss <= mean_loss(y * A[:, part]) + 1e-9 for part in range(4))
    order = [2, 0, 3, 1]
    np.testing.assert_allclose(fit_ridge(A[:, order], y, 1e-9), v[order], rtol=1e-5, atol=1e-7)
    scales = np.array([1.0, 2.0, 0.5, 10.0])
    np.testing.assert_allclose(fit_ridge(A * scales, y, 1e-9) * scales, v, rtol=1e-4, atol=1e-6)


@pytest.mark.numeric
def test_the_subsampled_average_is_its_formula() -> None:
    """(w̄ − r ū) / (1 − r), with subsamples drawn here as the module says."""
    parts = split(*rows(), 3)
    whole = naive_average(parts, L1).weights
    taken = np.zeros(len(whole))
    for number, (X, y) in enumerate(parts):
        n = X.shape[0]
        drawn = np.random.default_rng([0, number, 1]).choice(n, round(0.25 * n), replace=False)
        chosen = np.sort(drawn)
        taken += full_solve([(X[chosen], y[chosen])], L1).weights / 3
    found = subsampled_average(parts, L1, share=0.25).weights
    assert np.abs(taken - whole).max() > 1e-3
    np.testing.assert_allclose(found, (whole - 0.25 * taken) / 0.75, rtol=1e-9, atol=1e-12)
    with pytest.raises(ValueError, match="share=1"):
        subsampled_average(parts, L1, share=1)


@pytest.mark.numeric
def test_the_mean_penalty_of_a_vote_is_l1() -> None:
    random = np.random.default_rng(0)
    factors = 1 + 10 * random.integers(0, 9, 500) / 8
    assert factors.min() >= 1 and factors.max() <= 11
    assert np.mean(rescaled_l1(L1, factors) / factors) == pytest.approx(L1)
    assert rescaled_l1(L1, np.ones(500)) == L1


@pytest.mark.numeric
@pytest.mark.parametrize("how", ["iid", "label_skew", "contiguous"])
def test_counted_centroids_sum_to_the_mean_of_a_class(how: str) -> None:
    X, y = rows()
    found = [centroids_of(Rows(X[c], y[c])) for c in split_rows(y, 7, how)]
    for number, label in enumerate((-1, 1)):
        total = sum(c.counts[number] * c.means[number].toarray()[0] for c in found)
        mean = np.asarray(X[y == label].mean(0))[0]
        np.testing.assert_allclose(total / np.sum(y == label), mean, atol=1e-12)


@pytest.mark.numeric
@pytest.mark.parametrize("method", [csl, dane])
def test_surrogate_updates_come_nearer_to_the_full_solve(method: Any) -> None:
    X, y = rows()
    parts = split(X, y, 4)
    best = objective(X, y, full_solve(parts, L1).weights, L1)
    found = [objective(X, y, naive_average(parts, L1).weights, L1)]
    found += [objective(X, y, method(parts, L1, updates=n).weights, L1) for n in (1, 3)]
    assert found[0] > found[1] > found[2] > best - 1e-6
    assert found[2] - best < 0.2 * (found[0] - best)
    alone = method(split(X, y, 1), L1, proximal=0).weights
    assert objective(X, y, alone, L1) == pytest.approx(best, abs=1e-6)


def lacking(seed: int, n_parts: int = 30) -> tuple[Any, csr_matrix, Any]:
    """Parts that each lack a third of the informative features, and test rows that have all."""
    random = np.random.default_rng(seed)
    beta = np.zeros(300)
    beta[:30] = random.choice([-1.0, 1.0], 30)

    def drawn(n: int) -> tuple[Any, Any]:
        X = random.normal(size=(n, 300))
        return X, np.where(random.random(n) < 1 / (1 + np.exp(-X @ beta)), 1.0, -1.0)

    parts = []
    for part in range(n_parts):
        X, y = drawn(100)
        X[:, np.arange(part % 3, 30, 3)] = 0
        parts.append((csr_matrix(X), y))
    X, y = drawn(4000)
    return parts, csr_matrix(X), y


@pytest.mark.numeric
def test_acowa_is_ahead_where_every_part_lacks_something() -> None:
    """By more than five standard errors, over blocks of test rows."""
    parts, X, y = lacking(0)
    scores = [X @ method(parts, 0.15).weights for method in (acowa, owa)]
    blocks = np.array_split(np.arange(len(y)), 20)
    pairs = [[roc_auc_score(y[b], s[b]) for s in scores] for b in blocks]
    ahead = np.array([a - b for a, b in pairs])
    assert ahead.mean() > 5 * ahead.std(ddof=1) / np.sqrt(20)


@pytest.mark.numeric
def test_weights_that_stay_scaled_spoil_the_merge() -> None:
    """B1: W̃ᵀx in place of Wᵀx. The first round and the local solves are the same."""
    X, y = rows(1200, 400)
    train, test = split(X[:800], y[:800], 2), (X[800:], y[800:])
    off = dict.fromkeys(("unweighted_centroids", "last_part_weight", "shuffled_labels",
                         "last_feature_free"), False)  # fmt: skip
    consistent = acowa(train, 0.01)
    none = acowa_released(train, 0.01, unscaled_merge=False, **off)
    b1 = acowa_released(train, 0.01, **off)
    np.testing.assert_array_equal(none.weights, consistent.weights)
    np.testing.assert_array_equal(b1.weights != 0, consistent.weights != 0)
    losses = [mean_loss(test[1] * (test[0] @ found.weights)) for found in (consistent, b1)]
    assert losses[1] != losses[0]
    consensus, shrunk = (np.abs(found.weights) for found in (consistent, b1))
    kept = consensus > 0
    ratio = np.sort(shrunk[kept] / consensus[kept])
    assert ratio[-1] / ratio[0] > 1.5  # features of the consensus are shrunk more than others


def test_labels_of_other_rows_choose_another_penalty() -> None:
    """B4: the local solves are the same, and the merge has another penalty."""
    off = dict.fromkeys(("unscaled_merge", "unweighted_centroids", "last_part_weight",
                         "last_feature_free"), False)  # fmt: skip
    X, y = rows(2000, 100)
    parts, options = split(X, y, 2), {"merge_share": 0.5, "selection": "accuracy"}
    chosen = [
        [acowa_released(parts, L1, seed=seed, shuffled_labels=b4, **off, **options).lambda2
         for b4 in (False, True)]
        for seed in range(4)
    ]  # fmt: skip
    assert any(right != wrong for right, wrong in chosen)


def test_the_last_feature_of_the_released_code_is_free() -> None:
    """B5: it keeps a weight at any l1."""
    X, y = rows()
    with_last = csr_matrix(X)
    parts = split(with_last, y, 2)
    l1 = 0.9 * min(largest_l1(X, y) for X, y in parts)
    assert acowa_released(parts, l1).weights[-1] != 0
    assert acowa(parts, l1).weights[-1] == 0


def test_l1_that_leaves_nothing_is_said_by_every_method() -> None:
    parts = split(*rows(), 3)
    for method in ALL:
        options = {"last_feature_free": False} if method is acowa_released else {}
        found = method(parts, 10.0, **options)
        assert not found.weights.any()
        assert any("no weight is left" in note for note in found.notes), method


def test_parts_of_one_class_are_said_and_merged() -> None:
    X, y = rows()
    positive = y > 0
    parts = [(X[positive], y[positive]), (X[~positive], y[~positive]), (X, y)]
    for method in ALL:
        found = method(parts, L1)
        assert np.isfinite(found.weights).all()
        assert any("one class: 0, 1;" in note for note in found.notes)


@pytest.mark.parametrize(
    ("parts", "said"),
    [
        ([], "none is given"),
        ([(np.zeros((0, 3)), [])], "part 0: no rows"),
        ([(np.ones((2, 3)), [1, -1]), (np.ones((1, 3)), [0])], "part 1: labels other than"),
        ([(np.ones((2, 3)), [1, -1]), (np.ones((2, 4)), [1, -1])], "part 1: 4 columns"),
        ([(np.ones((2, 3)), [1])], "2 rows and 1 labels"),
        ([(np.full((2, 3), np.nan), [1, -1])], "no finite number"),
    ],
)
def test_wrong_parts_are_refused_by_name(parts: Any, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        owa(parts, L1)


def test_rows_are_split_whole_and_evenly() -> None:
    _, y = rows(103, 10)
    for how in ("iid", "label_skew", "contiguous"):
        found = split_rows(y, 10, how)
        assert sorted(np.concatenate(found)) == list(range(103))
        sizes = [len(part) for part in found]
        assert max(sizes) - min(sizes) <= 1
    skewed = [np.mean(y[part]) for part in split_rows(y, 10, "label_skew")]
    alike = [np.mean(y[part]) for part in split_rows(y, 10, "iid")]
    assert np.std(skewed) > 2 * np.std(alike)
    with pytest.raises(ValueError, match="more parts than rows"):
        split_rows(y, 104)


@parametrize_with_checks(
    [
        merging.OWAClassifier(random_state=0),
        merging.ACOWAClassifier(random_state=0),
        merging.VotesOnlyClassifier(random_state=0),
        merging.NaiveAverageClassifier(random_state=0),
    ]
)
def test_estimators_are_those_of_scikit_learn(estimator: Any, check: Any) -> None:
    check(estimator)


def test_an_estimator_gives_what_the_function_gives() -> None:
    X, y = rows()
    words = np.where(y > 0, "yes", "no")
    found = merging.OWAClassifier(n_parts=4, l1=L1, random_state=0).fit(X, words)
    assert found.score(X, words) > 0.7
    assert found.merged_.ledger.total() > 0
    np.testing.assert_array_equal(found.coef_[0], found.merged_.weights)
