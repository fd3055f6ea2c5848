"""Which rows go to which part."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

HOW = ("iid", "label_skew", "contiguous")


def split_rows(
    y: NDArray, parts: int, how: str = "iid", seed: int = 0, similarity: float = 0.2
) -> list[NDArray[np.int64]]:
    """Numbers of the rows of each part; sizes differ by one at most.

    Args:
        y: labels, [n].
        parts: P.
        how: `iid`, at random; `contiguous`, in the order of the rows; `label_skew`, a share
            `similarity` at random and the rest sorted by label (Karimireddy et al., ICML 2020).
        seed: of what is random.

    Raises:
        ValueError: more parts than rows, or an unknown way.
    """
    n = len(y)
    if not 1 <= parts <= n:
        raise ValueError(f"parts={parts}: more parts than rows, or none; there are {n} rows")
    if how not in HOW:
        raise ValueError(f"partitioning={how}: no such way; take {', '.join(HOW)}")
    if how == "contiguous":
        return np.array_split(np.arange(n), parts)
    order = np.random.default_rng([seed, parts]).permutation(n)
    if how == "iid":
        return [np.sort(rows) for rows in np.array_split(order, parts)]
    shared = round(n * similarity)
    alike, rest = order[:shared], order[shared:]
    rest = rest[np.argsort(np.asarray(y)[rest], kind="stable")]
    # Sizes of the shared rows complete those of the others, so that the sums differ by one at most.
    sizes = [len(rows) for rows in np.array_split(order, parts)]
    of_rest = np.array_split(rest, parts)
    cuts = np.cumsum([size - len(rows) for size, rows in zip(sizes, of_rest, strict=True)])[:-1]
    of_alike = np.split(alike, cuts)
    return [np.sort(np.concatenate(pair)) for pair in zip(of_rest, of_alike, strict=True)]
