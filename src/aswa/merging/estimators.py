"""Scikit-learn estimators: rows are split into parts at random, then merged."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.sparse import csr_matrix
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.multiclass import check_classification_targets, type_of_target
from sklearn.utils.validation import check_is_fitted, check_random_state, validate_data

from aswa.merging.computation import Merged, Method
from aswa.merging.functions import merge
from aswa.merging.logistic import Floats, sigmoid
from aswa.merging.methods import ACOWA, OWA, NaiveAverage, VotesOnly
from aswa.merging.partitions import split_rows


class _MergedClassifier(ClassifierMixin, BaseEstimator):
    """Two classes, no intercept: center or scale features before where that matters.

    Args:
        n_parts: P; at most the number of rows.
        l1: λ of (1/n) Σ ℓ + λ‖w‖₁.
        random_state: of the partition, the merge sample and the solver.

    Attributes:
        coef_: [1, d].
        classes_: the two labels, the second is predicted where the score is at least 0.
        merged_: the `Merged` with its ledger.
    """

    def __init__(self, n_parts: int = 2, l1: float = 1e-3, random_state: Any = None) -> None:
        self.n_parts, self.l1, self.random_state = n_parts, l1, random_state

    def _method(self) -> Method:
        raise NotImplementedError

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_class = False
        tags.input_tags.sparse = True
        return tags

    def fit(self, X: Any, y: Any) -> _MergedClassifier:
        """Split the rows, solve each part, merge.

        Args:
            X: [n, d], sparse or dense.
            y: two labels, [n].
        """
        X, y = validate_data(self, X, y, accept_sparse="csr", dtype=np.float64)
        check_classification_targets(y)
        found = type_of_target(y, input_name="y", raise_unknown=True)
        if found != "binary":
            raise ValueError(
                f"Only binary classification is supported. The type of the target is {found}."
            )
        self.classes_ = np.unique(y)
        if len(self.classes_) < 2:
            raise ValueError("y has 1 class; a classifier needs 2 classes")
        signed = np.where(y == self.classes_[1], 1.0, -1.0)
        seed = int(check_random_state(self.random_state).randint(2**31 - 1))
        numbers = split_rows(signed, self.n_parts, seed=seed)
        rows = csr_matrix(X)
        parts = [(rows[chosen], signed[chosen]) for chosen in numbers]
        self.merged_: Merged = merge(self._method(), parts, self.l1, seed=seed)
        self.coef_ = self.merged_.weights[None, :]
        return self

    def decision_function(self, X: Any) -> Floats:
        """Scores Xw, [n]."""
        check_is_fitted(self)
        X = validate_data(self, X, accept_sparse="csr", dtype=np.float64, reset=False)
        return np.asarray(X @ self.coef_[0])

    def predict(self, X: Any) -> Any:
        """Labels, [n]."""
        scores = self.decision_function(X)
        return self.classes_[(scores >= 0).astype(int)]

    def predict_proba(self, X: Any) -> Floats:
        """Probabilities of the two classes, [n, 2]."""
        p = sigmoid(self.decision_function(X))
        return np.column_stack([1 - p, p])


class NaiveAverageClassifier(_MergedClassifier):
    """AVGM: the mean of the parts' solutions."""

    def _method(self) -> Method:
        return NaiveAverage()


class OWAClassifier(_MergedClassifier):
    """OWA: the parts' solutions weighted by a logistic regression on held-out rows."""

    def _method(self) -> Method:
        return OWA()


class VotesOnlyClassifier(_MergedClassifier):
    """OWA after a second round with penalties from the parts' vote."""

    def _method(self) -> Method:
        return VotesOnly()


class ACOWAClassifier(_MergedClassifier):
    """ACOWA: centroids of all parts, and the vote."""

    def _method(self) -> Method:
        return ACOWA()
