"""The update rules under all methods: torch's own."""

from __future__ import annotations

import torch
from torch import nn

from aswa.config import BaseOptimizerConfig


def build_optimizer(
    config: BaseOptimizerConfig, model: nn.Module, lr: float, sparse_gradient: bool = False
) -> torch.optim.Optimizer:
    """Adam, SGD or Adagrad over the model's trainable parameters, fused where torch has it."""
    parameters = [p for p in model.parameters() if p.requires_grad]
    if config.name == "adam":
        return torch.optim.Adam(parameters, lr, weight_decay=config.weight_decay, fused=True)
    if config.name == "adagrad":
        return torch.optim.Adagrad(parameters, lr, weight_decay=config.weight_decay)
    return torch.optim.SGD(
        parameters,
        lr,
        momentum=config.momentum,
        weight_decay=config.weight_decay,
        fused=None if sparse_gradient else True,
    )
