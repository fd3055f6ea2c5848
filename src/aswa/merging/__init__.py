"""One-shot averaging of sparse linear classifiers of disjoint data: naive average, OWA, ACOWA.

    from aswa.merging import owa
    merged = owa([(X_1, y_1), (X_2, y_2)], l1=1e-3)
    scores = X @ merged.weights

Needs numpy, scipy and scikit-learn (`pip install 'aswa[sparse]'`), and no torch.
"""

from __future__ import annotations

try:
    import sklearn  # noqa: F401
except ImportError as error:
    raise ImportError(
        "aswa.merging needs scikit-learn: pip install 'aswa[sparse]'", name="sklearn"
    ) from error

from aswa.merging.computation import Merged
from aswa.merging.estimators import (
    ACOWAClassifier,
    NaiveAverageClassifier,
    OWAClassifier,
    VotesOnlyClassifier,
)
from aswa.merging.exchange import Ledger
from aswa.merging.functions import (
    acowa,
    acowa_released,
    centroids_only,
    csl,
    dane,
    full_solve,
    merge,
    naive_average,
    one_part,
    owa,
    subsampled_average,
    votes_only,
)
from aswa.merging.local_solver import Solver
from aswa.merging.partitions import split_rows

__all__ = [
    "ACOWAClassifier",
    "Ledger",
    "Merged",
    "NaiveAverageClassifier",
    "OWAClassifier",
    "Solver",
    "VotesOnlyClassifier",
    "acowa",
    "acowa_released",
    "centroids_only",
    "csl",
    "dane",
    "full_solve",
    "merge",
    "naive_average",
    "one_part",
    "owa",
    "split_rows",
    "subsampled_average",
    "votes_only",
]
