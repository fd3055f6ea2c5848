"""Keci (Demir and Ngonga Ngomo, ECML PKDD 2023): the Clifford algebra Cl(p, q)."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from aswa.models.kge.bilinear import BilinearModel
from aswa.models.kge.products import clifford_product


class Keci(BilinearModel):
    """Numbers of Cl(p, q) without bivectors: score(h, r, t) = (h ∘ r) · t.

    h = h_0 + Σ_{i=1..p} h_i e_i + Σ_{j=p+1..p+q} h_j e_j, with e_i² = +1 and e_j² = −1. A row is
    [h_0 | h_1 | … | h_{p+q}], each d/(1+p+q) long. The bivectors of h ∘ r (e_i e_j, i ≠ j) have
    no counterpart in t, so the inner product drops them. Cl(0, 0) is DistMult, Cl(0, 1) ComplEx.

    Args:
        p: base vectors that square to +1.
        q: base vectors that square to −1.
    """

    def __init__(
        self, n_entities: int, n_relations: int, dim: int, *, p: int = 1, q: int = 2, **options: Any
    ) -> None:
        if p < 0 or q < 0:
            raise ValueError(f"Keci needs model.p >= 0 and model.q >= 0, not p={p}, q={q}")
        self.parts = 1 + p + q
        super().__init__(n_entities, n_relations, dim, **options)
        self.p, self.q = p, q
        squares = [1.0] * (1 + p) + [-1.0] * q
        self.register_buffer("squares", torch.tensor(squares).view(-1, 1), persistent=False)

    squares: Tensor

    def compose(self, h: Tensor, r: Tensor) -> Tensor:
        """The parts of h ∘ r of grade 0 and 1."""
        shape = (len(h), self.parts, -1)
        return clifford_product(h.view(shape), r.view(shape), self.squares).flatten(1)
