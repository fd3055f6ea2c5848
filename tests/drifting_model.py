"""A small model, and a stand-in for training it."""

from __future__ import annotations

import torch
from torch import nn


def small_model(dtype: torch.dtype = torch.float32) -> nn.Module:
    return nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 2, bias=False)).to(dtype)


def drift(model: nn.Module) -> None:
    """Stand-in for an epoch of training."""
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter))
