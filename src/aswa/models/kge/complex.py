"""ComplEx (Trouillon et al., ICML 2016)."""

from __future__ import annotations

from torch import Tensor

from aswa.models.kge.bilinear import BilinearModel
from aswa.models.kge.products import complex_product


class ComplEx(BilinearModel):
    """Complex numbers: score(h, r, t) = Re Σ h_i r_i conj(t_i).

    A row is [real | imaginary], each d/2 long, so that Re(z conj t) is an inner product of rows.
    """

    parts = 2

    def compose(self, h: Tensor, r: Tensor) -> Tensor:
        """h r, as complex numbers."""
        return complex_product(h, r)
