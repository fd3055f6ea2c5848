"""Wide ResNet (Zagoruyko and Komodakis, BMVC 2016) for images of 32 × 32."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from aswa.models.image.preresnet import PreActivationNet


class WideBlock(nn.Module):
    """x + F(x), F = twice batch-norm, ReLU, 3 × 3 convolution, with dropout between them.

    Where size or channels change, the first batch-norm and ReLU come before the shortcut too,
    a 1 × 1 convolution. No convolution has a bias.
    """

    def __init__(self, channels: int, out: int, stride: int, dropout: float) -> None:
        super().__init__()
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv1 = nn.Conv2d(channels, out, 3, stride, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(out)
        self.dropout = nn.Dropout(dropout)
        self.conv2 = nn.Conv2d(out, out, 3, padding=1, bias=False)
        same = stride == 1 and channels == out
        self.shortcut = None if same else nn.Conv2d(channels, out, 1, stride, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """[B, channels, H, W] → [B, out, H / stride, W / stride]."""
        active = self.bn1(x).relu_()
        shortcut = x if self.shortcut is None else self.shortcut(active)
        y = self.dropout(self.bn2(self.conv1(active)).relu_())
        return self.conv2(y).add_(shortcut)


class WideResNet(PreActivationNet):
    """Three stages of (depth − 4) / 6 blocks of 16, 32 and 64 channels times `widen`.

    Args:
        classes: logits.
        depth: 28 or another 6n + 4.
        widen: factor of the channels; 10 for WRN-28-10.
        dropout: probability, inside each block.
        generator: source of the initial weights.

    Raises:
        ValueError: `depth` is not 6n + 4, or `widen` is below 1.
    """

    def __init__(
        self,
        classes: int,
        depth: int = 28,
        widen: int = 10,
        dropout: float = 0.0,
        generator: torch.Generator | None = None,
    ) -> None:
        if depth < 10 or (depth - 4) % 6:
            raise ValueError(f"model.depth={depth}: must be 6n + 4, such as 28")
        if widen < 1:
            raise ValueError(f"model.widen={widen}: must be at least 1")

        def block(channels: int, width: int, stride: int) -> WideBlock:
            return WideBlock(channels, width * widen, stride, dropout)

        super().__init__(classes, (depth - 4) // 6, block, widen, generator)
