"""QMult (Demir et al., ACML 2021)."""

from __future__ import annotations

from torch import Tensor

from aswa.models.kge.bilinear import BilinearModel
from aswa.models.kge.products import hamilton_product


class QMult(BilinearModel):
    """Quaternions: score(h, r, t) = (h ⊗ r) · t, with the Hamilton product ⊗.

    A row is [a | b | c | d] for a + bi + cj + dk, each d/4 long. Relations are not normalised to
    unit quaternions (that is QuatE).
    """

    parts = 4

    def compose(self, h: Tensor, r: Tensor) -> Tensor:
        """h ⊗ r."""
        return hamilton_product(h, r)
