"""Random crops and flips of whole batches of images, and what a network sees of bytes.

Each image has a crop and a flip of its own, distributed as by torchvision's
`RandomCrop(32, padding=4)` followed by `RandomHorizontalFlip()`, and equal to these given the same
numbers. They are drawn apart from being applied, so that the same ones can be applied again.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

PADDING = 4  # black pixels around an image before it is cropped to its old size


def draw_crops(n: int, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
    """Random numbers of `n` images.

    Returns:
        top and left, int64 [n], first row and column of the crop in the padded image, uniform in
        0 … 2 · PADDING; and flip, bool [n], true for half of the images.
    """
    top, left = torch.randint(2 * PADDING + 1, (2, n), generator=generator)
    return top, left, torch.rand(n, generator=generator) < 0.5


def crop_and_flip(images: Tensor, top: Tensor, left: Tensor, flip: Tensor) -> Tensor:
    """Crops of black-padded images, mirrored from left to right where `flip` is true.

    Args:
        images: uint8 [B, 3, H, W].
        top, left, flip: [B], as `draw_crops` gives them.

    Returns:
        uint8 [B, 3, H, W].
    """
    height, width = images.shape[2:]
    padded = F.pad(images, (PADDING,) * 4)
    # [B, 3, 9, 9, H, W] without a copy: every crop of every image; one of each is taken.
    windows = padded.unfold(2, height, 1).unfold(3, width, 1)
    crops = windows[torch.arange(len(images), device=images.device), :, top, left]
    return torch.where(flip[:, None, None, None], crops.flip(3), crops)


def normalise(
    images: Tensor,
    mean: Tensor,
    std: Tensor,
    layout: torch.memory_format = torch.contiguous_format,
) -> Tensor:
    """(x / 255 − mean) / std of bytes [B, 3, H, W], by channel [3]: float32 of the same shape."""
    pixels = images.to(torch.float32)
    pixels.sub_(255 * mean[:, None, None]).div_(255 * std[:, None, None])
    return pixels.contiguous(memory_format=layout)  # last: a CPU computes faster in planes
