"""VGG (Simonyan and Zisserman, ICLR 2015) for images of 32 × 32."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from aswa.models.image import initialise

# Convolutions of 3 × 3 in each of the five stages, by depth: table 1 of the paper, A, D and E.
STAGES = {11: (1, 1, 2, 2, 2), 16: (2, 2, 3, 3, 3), 19: (2, 2, 4, 4, 4)}
GROWTH = (1, 2, 4, 8, 8)  # channels of a stage, per channel of the first


class VGG(nn.Module):
    """Five stages of convolutions, each ended by a max-pooling to half the size, and a classifier.

    After five poolings one position of 512 channels is left, so the paper's classifier for
    224 × 224 (4096-4096-1000) becomes 512-512-`classes`; with other `channels` all widths change
    in proportion. Convolutions have biases, with batch-norm
    too, as in the networks of Izmailov et al. 2018.

    Args:
        classes: logits.
        depth: 11, 16 or 19, the layers that have weights.
        batch_norm: after each convolution.
        dropout: probability, before each of the first two linear layers.
        channels: of the first stage; 64 in the paper.
        generator: source of the initial weights.

    Raises:
        ValueError: there is no such depth, or `channels` is below 1.
    """

    def __init__(
        self,
        classes: int,
        depth: int = 16,
        batch_norm: bool = False,
        dropout: float = 0.5,
        channels: int = 64,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        if depth not in STAGES:
            known = ", ".join(map(str, STAGES))
            raise ValueError(f"model.depth={depth}: must be one of {known}")
        if channels < 1:
            raise ValueError(f"model.channels={channels}: must be at least 1")
        layers: list[nn.Module] = []
        before = 3
        for growth, convolutions in zip(GROWTH, STAGES[depth], strict=True):
            width = channels * growth
            for _ in range(convolutions):
                layers.append(nn.Conv2d(before, width, 3, padding=1))
                if batch_norm:
                    layers.append(nn.BatchNorm2d(width))
                layers.append(nn.ReLU(inplace=True))
                before = width
            layers.append(nn.MaxPool2d(2))
        self.features = nn.Sequential(*layers)
        self.classifier = nn.Sequential(
            nn.Dropout(dropout),
            nn.Linear(before, before),
            nn.ReLU(inplace=True),
            nn.Dropout(dropout),
            nn.Linear(before, before),
            nn.ReLU(inplace=True),
            nn.Linear(before, classes),
        )
        initialise(self, generator)

    def forward(self, images: Tensor) -> Tensor:
        """Logits [B, classes] of images [B, 3, 32, 32]."""
        return self.classifier(self.features(images).flatten(1))
