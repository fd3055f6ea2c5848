"""Small sparse problems for the tests of `aswa.merging`."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.sparse import csr_matrix, random

Parts = list[tuple[csr_matrix, Any]]


def rows(n: int = 600, d: int = 400, seed: int = 0) -> tuple[csr_matrix, Any]:
    """Binary features, 5 % of them set; a tenth are informative."""
    generator = np.random.default_rng(seed)
    X = csr_matrix(random(n, d, 0.05, "csr", rng=generator))
    X.data[:] = 1.0
    w = np.zeros(d)
    w[: d // 10] = generator.normal(size=d // 10) * 2
    chance = 1 / (1 + np.exp(-(X @ w)))
    return X, np.where(generator.random(n) < chance, 1.0, -1.0)


def split(X: csr_matrix, y: Any, parts: int, seed: int = 0) -> Parts:
    """Parts of nearly equal size, at random."""
    from aswa.merging import split_rows

    return [(X[chosen], y[chosen]) for chosen in split_rows(y, parts, seed=seed)]
