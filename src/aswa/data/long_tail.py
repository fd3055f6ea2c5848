"""Long-tailed subsets of balanced training images, by the profile of Cui et al. (CVPR 2019).

n_c = ⌊n_max · IF^(−c / (C − 1))⌋ images of class c in the order of labels; the imbalance factor IF
is the largest class by the rarest. Validation images are held out first, equally many of each
class, so that selection does not lean on the large classes.
"""

from __future__ import annotations

import torch
from torch import Tensor

MANY, FEW = 100, 20  # more training images than the first, fewer than the second (Liu et al. 2019)
GROUPS = ("many", "medium", "few")


def class_sizes(largest: int, factor: float, classes: int) -> list[int]:
    """n_c of every class, from the largest to the rarest."""
    return [int(largest * factor ** (-c / (classes - 1))) for c in range(classes)]


def long_tailed(
    labels: Tensor,
    order: Tensor,
    held_out: int,
    factor: float,
    largest: int | None = None,
    seed: int = 0,
) -> tuple[Tensor, Tensor]:
    """Positions, sorted, of the training and of the validation images.

    Args:
        labels: int64 [n] of all training images.
        order: int64 [n], a fixed order: the first of each class are held out.
        held_out: images of each class for validation.
        factor: IF, the largest class by the rarest.
        largest: n_max; None for all that are left of a class.
        seed: of the generator that draws the images of a class, and nothing else.

    Returns:
        int64 [Σ n_c], int64 [C · held_out], without a number in common.

    Raises:
        ValueError: a class has too few images for that, or its size would be 0.
    """
    generator = torch.Generator().manual_seed(seed)
    by_class = [order[labels[order] == c] for c in range(int(labels.max()) + 1)]
    left = min(len(own) for own in by_class) - held_out
    largest = left if largest is None else largest
    sizes = class_sizes(largest, factor, len(by_class))
    if not 0 < largest <= left or held_out < 1:
        raise ValueError(
            f"largest={largest:,}: {left:,} images of a class are left beside {held_out} for "
            "validation; give fewer, or another valid_ratio"
        )
    if sizes[-1] < 1:
        raise ValueError(f"imbalance={factor:g}: the rarest class has no image of {largest:,}")
    train = [
        own[held_out:][torch.randperm(len(own) - held_out, generator=generator)[:size]]
        for own, size in zip(by_class, sizes, strict=True)
    ]
    valid = [own[:held_out] for own in by_class]
    return torch.cat(train).sort().values, torch.cat(valid).sort().values


def groups(counts: Tensor) -> dict[str, Tensor]:
    """`many`, `medium` and `few`, each the classes of that many training images, if it has some.

    Args:
        counts: training images of each class, int64 [C].
    """
    members = (counts > MANY, (counts <= MANY) & (counts >= FEW), counts < FEW)
    found = zip(GROUPS, members, strict=True)
    return {name: own.nonzero()[:, 0] for name, own in found if bool(own.any())}
