"""Image classifiers of the paper."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import nn

from aswa import models


def build(name: str, classes: int, **options: Any) -> nn.Module:
    """An image classifier by its config name: images [B, 3, 32, 32] → logits [B, classes].

    Args:
        name: `vgg16`, `preresnet164`, `wide_resnet28x10`, …
        classes: of the dataset.
        options: knobs of the model's constructor.

    Raises:
        ValueError: the model does not take one of `options`, or their values.
    """
    return models.build(name, classes, **options)


@torch.no_grad()
def initialise(model: nn.Module, generator: torch.Generator | None) -> None:
    """Set all weights of `model`, in the order of its modules.

    Convolutions: normal with variance 2 / (k² · channels out), which keeps the size of gradients
    (He et al., ICCV 2015, the form in which He et al. 2016 and Zagoruyko and Komodakis 2016
    released it). Batch-norm: scale 1, shift 0. Linear: uniform in ±1/√in. Biases are 0.

    Args:
        generator: source of the numbers; the global one if None.
    """
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            fan_out = module.out_channels * math.prod(module.kernel_size)
            module.weight.normal_(0, math.sqrt(2 / fan_out), generator=generator)
        elif isinstance(module, nn.BatchNorm2d):
            module.weight.fill_(1)
        elif isinstance(module, nn.Linear):
            bound = 1 / math.sqrt(module.in_features)
            module.weight.uniform_(-bound, bound, generator=generator)
        else:
            continue
        if module.bias is not None:
            module.bias.zero_()
