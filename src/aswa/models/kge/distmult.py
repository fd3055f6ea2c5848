"""DistMult (Yang et al., ICLR 2015)."""

from __future__ import annotations

from torch import Tensor

from aswa.models.kge.bilinear import BilinearModel


class DistMult(BilinearModel):
    """Real numbers: score(h, r, t) = Σ h_i r_i t_i. Symmetric in h and t."""

    def compose(self, h: Tensor, r: Tensor) -> Tensor:
        return h * r
