"""Products of rows of hypercomplex numbers, with their gradients in closed form.

Autograd would record some sixty small operations for a Hamilton product; on graphs the size of
UMLS that is most of a training step. For complex numbers and quaternions the adjoint of a product
is a product with the conjugate: where z = x y, the gradients are dx = dz conj(y), dy = conj(x) dz.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

# Part o of x y is Σ sign · x_i y_j over the (i, j, sign) of row o; part 0 is the real one.
COMPLEX = (((0, 0, 1), (1, 1, -1)), ((0, 1, 1), (1, 0, 1)))
QUATERNION = (
    ((0, 0, 1), (1, 1, -1), (2, 2, -1), (3, 3, -1)),
    ((0, 1, 1), (1, 0, 1), (2, 3, 1), (3, 2, -1)),
    ((0, 2, 1), (1, 3, -1), (2, 0, 1), (3, 1, 1)),
    ((0, 3, 1), (1, 2, 1), (2, 1, -1), (3, 0, 1)),
)


def _multiply(
    x: Tensor, y: Tensor, table: Any, conj_x: bool = False, conj_y: bool = False
) -> Tensor:
    xs, ys = x.chunk(len(table), -1), y.chunk(len(table), -1)
    z = torch.zeros_like(x)
    for part, terms in zip(z.chunk(len(table), -1), table, strict=True):
        for i, j, sign in terms:
            flip = (-1 if conj_x and i else 1) * (-1 if conj_y and j else 1)
            part.addcmul_(xs[i], ys[j], value=sign * flip)
    return z


class Product(torch.autograd.Function):
    """x y [B, d] of rows [B, d] of numbers, by their table: `COMPLEX` or `QUATERNION`."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, y: Tensor, table: Any) -> Tensor:
        ctx.save_for_backward(x, y)
        ctx.table = table
        return _multiply(x, y, table)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, None]:
        (dz,) = gradients
        x, y = ctx.saved_tensors
        by_x = _multiply(dz, y, ctx.table, conj_y=True)
        return by_x, _multiply(x, dz, ctx.table, conj_x=True), None
