"""Products of rows of hypercomplex numbers, with their gradients in closed form.

Autograd would record some sixty small operations for a Hamilton product; on graphs the size of
UMLS that is most of a training step. For complex numbers and quaternions the adjoint of a product
is a product with the conjugate: where z = x y, the gradients are dx = dz conj(y), dy = conj(x) dz.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


def _complex(x: Tensor, y: Tensor, conj_x: bool = False, conj_y: bool = False) -> Tensor:
    """x y for rows [real | imaginary] [B, d], either conjugated."""
    a, b = x.chunk(2, -1)
    c, d = y.chunk(2, -1)
    s, t = (-1 if conj_x else 1), (-1 if conj_y else 1)
    z = torch.empty_like(x)
    real, imaginary = z.chunk(2, -1)
    torch.mul(a, c, out=real).addcmul_(b, d, value=-s * t)
    torch.mul(a, d, out=imaginary)
    if t == -1:
        imaginary.neg_()
    imaginary.addcmul_(b, c, value=s)
    return z


# Row o of x ⊗ y is Σ_i sign · x_i y_j over these (i, j, sign), i from 0 to 3.
_HAMILTON = (
    ((0, 0, 1), (1, 1, -1), (2, 2, -1), (3, 3, -1)),
    ((0, 1, 1), (1, 0, 1), (2, 3, 1), (3, 2, -1)),
    ((0, 2, 1), (1, 3, -1), (2, 0, 1), (3, 1, 1)),
    ((0, 3, 1), (1, 2, 1), (2, 1, -1), (3, 0, 1)),
)


def _hamilton(x: Tensor, y: Tensor, conj_x: bool = False, conj_y: bool = False) -> Tensor:
    """x ⊗ y for rows [a | b | c | d] [B, d], either conjugated."""
    xs, ys = x.chunk(4, -1), y.chunk(4, -1)
    z = torch.zeros_like(x)
    for part, terms in zip(z.chunk(4, -1), _HAMILTON, strict=True):
        for i, j, sign in terms:
            flip = (-1 if conj_x and i else 1) * (-1 if conj_y and j else 1)
            part.addcmul_(xs[i], ys[j], value=sign * flip)
    return z


class _Product(torch.autograd.Function):
    """z = multiply(x, y), for a product whose adjoint is the product with the conjugate."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, y: Tensor, multiply: Any) -> Tensor:
        ctx.save_for_backward(x, y)
        ctx.multiply = multiply
        return multiply(x, y)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, None]:
        (dz,) = gradients
        x, y = ctx.saved_tensors
        return ctx.multiply(dz, y, conj_y=True), ctx.multiply(x, dz, conj_x=True), None


def _clifford(x: Tensor, y: Tensor, squares: Tensor) -> Tensor:
    """Grades 0 and 1 of x y; x, y are [B, 1 + p + q, d'], squares [1 + p + q, 1]."""
    z = x[:, :1] * y
    z[:, 1:].addcmul_(x[:, 1:], y[:, :1])
    z[:, 0] += (x[:, 1:] * y[:, 1:] * squares[1:]).sum(1)
    return z


def _clifford_gradient(dz: Tensor, y: Tensor, squares: Tensor) -> Tensor:
    """Gradient of `_clifford(x, y)` by x; the product commutes, so that by y has the same form."""
    dx = dz[:, :1] * squares * y
    dx[:, 1:].addcmul_(dz[:, 1:], y[:, :1])
    dx[:, 0] += (dz[:, 1:] * y[:, 1:]).sum(1)
    return dx


class _CliffordProduct(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, y: Tensor, squares: Tensor) -> Tensor:
        ctx.save_for_backward(x, y, squares)
        return _clifford(x, y, squares)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, None]:
        x, y, squares = ctx.saved_tensors
        (dz,) = gradients
        return _clifford_gradient(dz, y, squares), _clifford_gradient(dz, x, squares), None


def clifford_product(x: Tensor, y: Tensor, squares: Tensor) -> Tensor:
    """Grades 0 and 1 of the product in Cl(p, q).

    Args:
        x, y: [B, 1 + p + q, d'], the scalar part first.
        squares: [1 + p + q, 1], what each base squares to: 1, then p times 1, then q times −1.

    Returns:
        [B, 1 + p + q, d']; z_0 = Σ_i squares_i x_i y_i and z_i = x_0 y_i + x_i y_0.
    """
    return _CliffordProduct.apply(x, y, squares)


def complex_product(x: Tensor, y: Tensor) -> Tensor:
    """x y [B, d] of rows [real | imaginary] [B, d]."""
    return _Product.apply(x, y, _complex)


def hamilton_product(x: Tensor, y: Tensor) -> Tensor:
    """x ⊗ y [B, d] of rows [a | b | c | d] [B, d]."""
    return _Product.apply(x, y, _hamilton)
