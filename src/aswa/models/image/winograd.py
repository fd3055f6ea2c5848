"""3 × 3 convolutions by Winograd's minimal filtering (Lavin and Gray, CVPR 2016), for CPUs.

A tile of m × m outputs takes (m + 2)² products for each pair of channels instead of 9 m²: for
m = 4 a quarter of the usual work, for m = 2 four ninths. With d a tile of input, g a filter:

    Y = Aᵀ [ (G g Gᵀ) ⊙ (Bᵀ d B) ] A

Summed over input channels, the products ⊙ become (m + 2)² matrix products, one for each place in a
tile. The transforms are matrix products too: Bᵀ d B is (Bᵀ ⊗ Bᵀ) vec(d), for all tiles and channels
at once. Images and activations are channels-last, so that a tile's place is a run of channels.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

# Bᵀ, G and Aᵀ of F(m × m, 3 × 3): for m = 4 the interpolation points 0, 1, -1, 2, -2, ∞; for
# m = 2 the points 0, 1, -1, ∞.
TRANSFORMS = {
    4: (
        [[4, 0, -5, 0, 1, 0], [0, -4, -4, 1, 1, 0], [0, 4, -4, -1, 1, 0],
         [0, -2, -1, 2, 1, 0], [0, 2, -1, -2, 1, 0], [0, 4, 0, -5, 0, 1]],
        [[1 / 4, 0, 0], [-1 / 6, -1 / 6, -1 / 6], [-1 / 6, 1 / 6, -1 / 6],
         [1 / 24, 1 / 12, 1 / 6], [1 / 24, -1 / 12, 1 / 6], [0, 0, 1]],
        [[1, 1, 1, 1, 1, 0], [0, 1, -1, 2, -2, 0], [0, 1, 1, 4, 4, 0], [0, 1, -1, 8, -8, 1]],
    ),
    2: (
        [[1, 0, -1, 0], [0, 1, 1, 0], [0, -1, 1, 0], [0, 1, 0, -1]],
        [[1, 0, 0], [1 / 2, 1 / 2, 1 / 2], [1 / 2, -1 / 2, 1 / 2], [0, 0, 1]],
        [[1, 1, 1, 0], [0, 1, -1, -1]],
    ),
}  # fmt: skip
CHANNELS_PER_SIDE = 16  # from which on it is faster than the direct sum


def winograd_conv2d(x: Tensor, weight: Tensor) -> Tensor:
    """A convolution of stride 1 and padding 1, as `F.conv2d` has it but for rounding.

    In fp32 the error, relative to the norm of the result, is about 3e-6 for m = 4 and 5e-7 for
    m = 2, as of the direct sum; TF32, the default on many GPUs, has 3e-4. Differentiable once.

    Args:
        x: [N, C, H, W], H and W even. Channels-last is fast.
        weight: [K, C, 3, 3], of x's dtype.

    Returns:
        [N, K, H, W], channels-last.

    Raises:
        ValueError: the sides of x are odd.
    """
    if x.shape[2] % 2 or x.shape[3] % 2:
        raise ValueError(f"images of {x.shape[2]} × {x.shape[3]} cannot be cut into tiles of 2 × 2")
    out: Tensor = _Winograd.apply(x, weight)
    return out


class _Winograd(torch.autograd.Function):
    """Tensors of tiles are [place in the tile, image, row of tiles, column of tiles, channel]."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor) -> Tensor:
        n, c, height, width = x.shape
        k = weight.shape[0]
        m = 2 if height % 4 or width % 4 else 4
        b, g, a = _transforms(m, x.dtype)
        t, rows, columns = m + 2, height // m, width // m
        padded = F.pad(x.permute(0, 2, 3, 1), (0, 0, 1, 1, 1, 1))
        tiles = padded.unfold(1, t, m).unfold(2, t, m).permute(4, 5, 0, 1, 2, 3).contiguous()
        v = (b @ tiles.view(t * t, -1)).view(t * t, -1, c)
        u = (g @ weight.reshape(k * c, 9).t()).view(t * t, k, c)
        products = torch.bmm(v, u.transpose(1, 2))
        places = (a @ products.view(t * t, -1)).view(m, m, n, rows, columns, k)
        ctx.save_for_backward(v, u)
        ctx.shape, ctx.m = x.shape, m
        # Not a view of something, so that what follows may change it in place.
        out = torch.empty((n, k, height, width), dtype=x.dtype, memory_format=torch.channels_last)
        inner = out.permute(0, 2, 3, 1).view(n, rows, m, columns, m, k)
        inner.copy_(places.permute(2, 3, 0, 4, 1, 5))
        return out

    @staticmethod
    @torch.autograd.function.once_differentiable  # type: ignore[untyped-decorator]
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor]:
        v, u = ctx.saved_tensors
        (n, c, height, width), m = ctx.shape, ctx.m
        k = u.shape[1]
        b, g, a = _transforms(m, u.dtype)
        t, rows, columns = m + 2, height // m, width // m
        places = gradient.permute(0, 2, 3, 1).reshape(n, rows, m, columns, m, k)
        places = places.permute(2, 4, 0, 1, 3, 5).contiguous()
        products = (a.t() @ places.view(m * m, -1)).view(t * t, -1, k)
        of_weight = g.t() @ torch.bmm(products.transpose(1, 2), v).view(t * t, -1)
        tiles = (b.t() @ torch.bmm(products, u).view(t * t, -1)).view(t, t, n, rows, columns, c)
        # Tiles overlap by two: what reaches over is added to the first places of the next.
        tiles = tiles.permute(2, 3, 0, 4, 1, 5)
        padded = tiles.new_zeros(n, rows + 1, m, columns + 1, m, c)
        padded[:, :-1, :, :-1] = tiles[:, :, :m, :, :m]
        padded[:, 1:, :2, :-1] += tiles[:, :, m:, :, :m]
        padded[:, :-1, :, 1:, :2] += tiles[:, :, :m, :, m:]
        padded[:, 1:, :2, 1:, :2] += tiles[:, :, m:, :, m:]
        whole = padded.view(n, height + m, width + m, c)[:, 1 : height + 1, 1 : width + 1]
        return whole.permute(0, 3, 1, 2), of_weight.t().reshape(k, c, 3, 3)


@cache
def _transforms(m: int, dtype: torch.dtype) -> tuple[Tensor, Tensor, Tensor]:
    """Bᵀ ⊗ Bᵀ [(m+2)², (m+2)²], G ⊗ G [(m+2)², 9] and Aᵀ ⊗ Aᵀ [m², (m+2)²]."""
    b, g, a = (torch.tensor(rows, dtype=torch.float64) for rows in TRANSFORMS[m])
    return torch.kron(b, b).to(dtype), torch.kron(g, g).to(dtype), torch.kron(a, a).to(dtype)


class WinogradConv2d(nn.Conv2d):
    """A 3 × 3 convolution that goes by Winograd where this is faster, else as usual.

    That is on a CPU, in fp32, for even sides, and where there are so many channels for the size of
    the images that products outweigh transforms (measured: docs/images.md).
    """

    def forward(self, x: Tensor) -> Tensor:
        side = max(x.shape[2:])
        if (
            x.device.type == "cpu"
            and x.dtype == self.weight.dtype == torch.float32
            and not torch.is_autocast_enabled("cpu")
            and x.shape[2] % 2 == x.shape[3] % 2 == 0
            and min(self.in_channels, self.out_channels) >= CHANNELS_PER_SIDE * side
        ):
            out = winograd_conv2d(x, self.weight)
            return out if self.bias is None else out + self.bias.view(1, -1, 1, 1)
        return super().forward(x)


def with_winograd(model: nn.Module) -> nn.Module:
    """`model`, its 3 × 3 convolutions of stride 1 and padding 1 made `WinogradConv2d`s.

    Parameters and their names stay, so that a checkpoint knows nothing of it.
    """
    for module in model.modules():
        if type(module) is nn.Conv2d and (
            module.kernel_size,
            module.stride,
            module.padding,
            module.dilation,
            module.groups,
            module.padding_mode,
        ) == ((3, 3), (1, 1), (1, 1), (1, 1), 1, "zeros"):
            module.__class__ = WinogradConv2d
    return model
