"""Pre-activation ResNet (He et al., ECCV 2016) for images of 32 × 32."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from aswa.models.image import initialise

EXPANSION = 4  # channels out of a bottleneck, per channel inside it


class Bottleneck(nn.Module):
    """x + F(x), F = three times batch-norm, ReLU, convolution: 1 × 1, 3 × 3, 1 × 1.

    Where size or channels change, x goes through a 1 × 1 convolution, without batch-norm.
    No convolution has a bias.
    """

    def __init__(self, channels: int, width: int, stride: int = 1) -> None:
        super().__init__()
        out = width * EXPANSION
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv1 = nn.Conv2d(channels, width, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride, padding=1, bias=False)
        self.bn3 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, out, 1, bias=False)
        same = stride == 1 and channels == out
        self.shortcut = None if same else nn.Conv2d(channels, out, 1, stride, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """[B, channels, H, W] → [B, 4 · width, H / stride, W / stride]."""
        shortcut = x if self.shortcut is None else self.shortcut(x)
        x = self.conv1(self.bn1(x).relu_())
        x = self.conv2(self.bn2(x).relu_())
        return self.conv3(self.bn3(x).relu_()).add_(shortcut)


class BasicBlock(nn.Module):
    """x + F(x), F = twice batch-norm, ReLU, 3 × 3 convolution.

    Where size or channels change, x goes through a 1 × 1 convolution, without batch-norm.
    No convolution has a bias.
    """

    def __init__(self, channels: int, out: int, stride: int = 1) -> None:
        super().__init__()
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv1 = nn.Conv2d(channels, out, 3, stride, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(out)
        self.conv2 = nn.Conv2d(out, out, 3, padding=1, bias=False)
        same = stride == 1 and channels == out
        self.shortcut = None if same else nn.Conv2d(channels, out, 1, stride, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """[B, channels, H, W] → [B, out, H / stride, W / stride]."""
        shortcut = x if self.shortcut is None else self.shortcut(x)
        x = self.conv1(self.bn1(x).relu_())
        return self.conv2(self.bn2(x).relu_()).add_(shortcut)


class PreActivationNet(nn.Module):
    """A convolution, three stages of blocks, batch-norm, ReLU, the mean over places, linear.

    The second and the third stage begin with a stride of 2.

    Args:
        classes: logits.
        blocks: in each stage.
        block: (channels in, inner channels of the stage: 16, 32 or 64, stride) → a block.
        widen: channels out of a block, per inner channel.
        generator: source of the initial weights.
    """

    def __init__(
        self,
        classes: int,
        blocks: int,
        block: Callable[[int, int, int], nn.Module],
        widen: int,
        generator: torch.Generator | None,
    ) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 16, 3, padding=1, bias=False)
        channels, layers = 16, []
        for width, first_stride in ((16, 1), (32, 2), (64, 2)):
            for number in range(blocks):
                layers.append(block(channels, width, 1 if number else first_stride))
                channels = width * widen
        self.blocks = nn.Sequential(*layers)
        self.bn = nn.BatchNorm2d(channels)
        self.linear = nn.Linear(channels, classes)
        initialise(self, generator)

    def forward(self, images: Tensor) -> Tensor:
        """Logits [B, classes] of images [B, 3, 32, 32]."""
        x = self.bn(self.blocks(self.conv1(images))).relu_()
        return self.linear(x.mean((2, 3)))


class PreResNet(PreActivationNet):
    """Three stages of (depth − 2) / 9 bottlenecks of 16, 32 and 64 channels inside.

    Args:
        classes: logits.
        depth: 110, 164 or another 9n + 2.
        generator: source of the initial weights.

    Raises:
        ValueError: `depth` is not 9n + 2.
    """

    def __init__(
        self, classes: int, depth: int = 164, generator: torch.Generator | None = None
    ) -> None:
        if depth < 11 or (depth - 2) % 9:
            raise ValueError(f"model.depth={depth}: must be 9n + 2, such as 110 or 164")
        super().__init__(classes, (depth - 2) // 9, Bottleneck, EXPANSION, generator)


class BasicPreResNet(PreActivationNet):
    """Three stages of (depth − 2) / 6 basic blocks of 16, 32 and 64 channels.

    Networks of less than 44 layers are built of basic blocks in He et al. 2016 and in the code of
    Izmailov et al. 2018, deeper ones of bottlenecks.

    Args:
        classes: logits.
        depth: 20 or another 6n + 2.
        generator: source of the initial weights.

    Raises:
        ValueError: `depth` is not 6n + 2.
    """

    def __init__(
        self, classes: int, depth: int = 20, generator: torch.Generator | None = None
    ) -> None:
        if depth < 8 or (depth - 2) % 6:
            raise ValueError(f"model.depth={depth}: must be 6n + 2, such as 20")
        super().__init__(classes, (depth - 2) // 6, BasicBlock, 1, generator)
