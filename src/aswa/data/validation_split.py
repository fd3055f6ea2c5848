"""Which training images are held out for validation: a list that never changes.

`embedded/cifar/validation_order.npy` holds the numbers 0 … 49,999 in an order drawn once. The first
of them are the validation images, whatever the seed of a run, so that all runs and methods are
selected on the same images, and a larger validation split contains every smaller one.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from aswa.data.folders import EMBEDDED

ORDER = EMBEDDED / "cifar" / "validation_order.npy"


def validation_order(n: int) -> Tensor:
    """The listed numbers below n, int64 [n]. Raises ValueError for more than are listed."""
    order = torch.from_numpy(np.load(ORDER).astype(np.int64))
    if n > len(order):
        raise ValueError(f"{n:,} training images; the validation list is for up to {len(order):,}")
    return order[order < n]


def split_indices(
    n: int, valid_ratio: float, train_size: int | None = None
) -> tuple[Tensor, Tensor]:
    """Positions, sorted, of the training and of the validation images.

    Args:
        n: number of images, up to 50,000; of fewer, the listed numbers below n are taken.
        valid_ratio: part of them held out, rounded to whole images.
        train_size: how many of the others to train on; None for all.

    Returns:
        int64 [train_size], int64 [valid_ratio · n], without a number in common.

    Raises:
        ValueError: more images than are listed, none held out, or too few left to train on.
    """
    order = validation_order(n)
    n_valid = round(valid_ratio * n)
    left = n - n_valid
    if not 0 < n_valid < n:
        raise ValueError(f"valid_ratio={valid_ratio}: holds out {n_valid} of {n:,} training images")
    if train_size is not None and train_size > left:
        raise ValueError(
            f"train_size={train_size:,}: only {left:,} of {n:,} images are left to train on with "
            f"valid_ratio={valid_ratio}"
        )
    return order[n_valid:][:train_size].sort().values, order[:n_valid].sort().values
