"""The generated data of the chapter on OWA: dense Gaussian rows, spike-and-slab weights.

w_j is 0 with probability 1 − `share`, else N(0, 1); x ~ N(0, I); P(y = 1) = σ(xᵀw).
"""

from __future__ import annotations

import numpy as np

from aswa.data.sparse.labelled_rows import LabelledRows


def generate(rows: int, features: int, share: float = 0.1, seed: int = 0) -> LabelledRows:
    """`rows` of train, and a quarter of that of test and a sixteenth of valid besides.

    Args:
        rows: of train.
        features: d.
        share: of weights that are not 0.
        seed: of weights and rows.
    """
    from scipy.sparse import csr_matrix

    random = np.random.default_rng([seed, features])
    w = np.where(random.random(features) < share, random.normal(size=features), 0.0)
    sizes = (rows, max(1, rows // 16), max(1, rows // 4))
    X = random.normal(size=(sum(sizes), features))
    chance = np.exp(-np.logaddexp(0.0, -(X @ w)))
    y = np.where(random.random(len(X)) < chance, 1.0, -1.0)
    return LabelledRows(csr_matrix(X), y, np.repeat(np.arange(3, dtype=np.int8), sizes))


def hashed(rows: int, features: int, per_row: int = 40, seed: int = 0) -> LabelledRows:
    """Binary rows like hashed text: features by Zipf's law, a thousand of them informative.

    Args:
        rows, features, seed: see `generate`.
        per_row: features drawn for a row; some fall together.
    """
    from scipy.sparse import csr_matrix

    random = np.random.default_rng([seed, rows])
    sizes = (rows, max(1, rows // 16), max(1, rows // 4))
    n = sum(sizes)
    # Ranks with density 1/rank, by inversion; then scattered over the columns, as a hash does.
    ranks = np.exp(random.random((n, per_row)) * np.log(features)).astype(np.int64) - 1
    columns = (ranks * 2654435761 + 12345) % features
    starts = np.arange(0, n * per_row + 1, per_row)
    X = csr_matrix((np.ones(n * per_row), columns.ravel(), starts), shape=(n, features))
    X.sum_duplicates()
    X.data[:] = 1.0
    w = np.zeros(features)
    strong = (np.arange(1000) * 2654435761 + 12345) % features
    w[strong] = random.normal(size=1000)
    chance = np.exp(-np.logaddexp(0.0, -(X @ w)))
    y = np.where(random.random(n) < chance, 1.0, -1.0)
    return LabelledRows(X, y, np.repeat(np.arange(3, dtype=np.int8), sizes))
