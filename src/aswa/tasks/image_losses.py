"""Losses of image classifiers, also for classes of unequal size.

LDAM-DRW: Cao et al. (NeurIPS 2019). Balanced softmax: Ren et al. (NeurIPS 2020).
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from aswa.config import ConfigError

LARGEST_MARGIN = 0.5
SCALE = 30.0  # of the cosines that are logits under LDAM
DEFERRED = 0.8  # part of training after which classes are weighted
BETA = 0.9999  # of the effective number of images (Cui et al., CVPR 2019)


class CrossEntropy:
    """−log softmax of the right class, or its mean over a distribution.

    Args:
        counts: training images of each class, [C].
    """

    normalised_head = False  # logits are cosines times SCALE
    takes_distributions = True  # mixed images have several classes

    def __init__(self, counts: Tensor) -> None:
        self.counts = counts.float()

    def total(self, logits: Tensor, targets: Tensor, smoothing: float, progress: float) -> Tensor:
        """Sum over the batch.

        Args:
            logits: [B, C].
            targets: classes, int64 [B], or distributions over classes, [B, C].
            smoothing: of the targets, in [0, 1).
            progress: part of training that is over, in [0, 1).
        """
        return F.cross_entropy(logits, targets, reduction="sum", label_smoothing=smoothing)

    def size(self, labels: Tensor, progress: float) -> Tensor | int:
        """What the sum over a batch of these labels is divided by."""
        return len(labels)


class BalancedSoftmax(CrossEntropy):
    """Cross-entropy of logits + log n_c, in training alone: the prior of the training split."""

    def total(self, logits: Tensor, targets: Tensor, smoothing: float, progress: float) -> Tensor:
        return super().total(logits + self.counts.log(), targets, smoothing, progress)


class LDAM(CrossEntropy):
    """Cross-entropy whose right logit is lowered by a margin m_c ∝ n_c^(−1/4), the largest 0.5.

    Deferred re-weighting: late in training class c counts (1 − β) / (1 − β^n_c), the mean over the
    classes 1, and a batch's loss is a weighted mean.
    """

    normalised_head = True
    takes_distributions = False

    def __init__(self, counts: Tensor) -> None:
        super().__init__(counts)
        margins = self.counts ** (-1 / 4)
        self._margins = SCALE * LARGEST_MARGIN * margins / margins.max()
        weights = (1 - BETA) / (1 - BETA ** self.counts.double())
        self._weights = (weights / weights.mean()).float()

    def total(self, logits: Tensor, targets: Tensor, smoothing: float, progress: float) -> Tensor:
        right = F.one_hot(targets, len(self.counts)).to(logits.dtype)
        lowered = logits - right * self._margins
        weights = self._weights if progress >= DEFERRED else None
        return F.cross_entropy(
            lowered, targets, weights, reduction="sum", label_smoothing=smoothing
        )

    def size(self, labels: Tensor, progress: float) -> Tensor | int:
        return self._weights[labels].sum() if progress >= DEFERRED else len(labels)


LOSSES: dict[str, type[CrossEntropy]] = {
    "cross_entropy": CrossEntropy,
    "balanced_softmax": BalancedSoftmax,
    "ldam": LDAM,
}


class CosineHead(nn.Module):
    """Logits SCALE · cos(x, w_c) of features [B, d], in place of a linear last layer."""

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__()
        self.weight = nn.Parameter(linear.weight.detach().clone())

    def forward(self, x: Tensor) -> Tensor:
        """[B, d] → [B, C]."""
        return SCALE * F.linear(F.normalize(x), F.normalize(self.weight))


def normalise_head(model: nn.Module, classes: int) -> None:
    """Replace the last linear layer of a classifier, which gives its logits, by a `CosineHead`.

    Raises:
        ConfigError: its last linear layer gives something else.
    """
    linear = [(name, m) for name, m in model.named_modules() if isinstance(m, nn.Linear)]
    if not linear or linear[-1][1].out_features != classes:
        raise ConfigError(
            f"dataset.loss=ldam: {type(model).__name__} does not end in a linear layer of "
            f"{classes} logits; take another model or loss"
        )
    name, layer = linear[-1]
    parent, _, own = name.rpartition(".")
    setattr(model.get_submodule(parent), own, CosineHead(layer))


def class_counts(labels: Tensor, classes: int) -> Tensor:
    """Images of each class, int64 [C]."""
    return torch.bincount(labels, minlength=classes)
