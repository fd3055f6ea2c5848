"""Small models, and a stand-in for training them."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import nn

from aswa.averaging import (
    ASWA,
    EMA,
    SGD,
    SWA,
    SWAG,
    EarlyStopping,
    GatedSWAG,
    PolynomialDecay,
    ReleasedASWA,
)

METHODS = (SGD, SWA, EMA, EarlyStopping, ASWA, ReleasedASWA, PolynomialDecay, SWAG, GatedSWAG)
AVERAGES = METHODS[1:]


def small_model(dtype: torch.dtype = torch.float32) -> nn.Module:
    return nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 2, bias=False)).to(dtype)


def batch_norm_model() -> nn.Module:
    return nn.Sequential(nn.Linear(3, 5), nn.BatchNorm1d(5), nn.Dropout(0.5), nn.Linear(5, 2))


class Odd(nn.Module):
    """Tied, frozen and non-contiguous parameters; counters, flags and a mask of −inf."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(4, 4)
        self.tied = nn.Linear(4, 4)
        self.tied.weight = self.first.weight
        self.frozen = nn.Parameter(torch.randn(3), requires_grad=False)
        self.transposed = nn.Parameter(torch.randn(4, 6).t())
        self.register_buffer("steps", torch.tensor(0))
        self.register_buffer("flag", torch.tensor(False))
        self.register_buffer("mask", torch.full((2, 2), -math.inf).triu(1))
        self.register_buffer("statistic", torch.zeros(2))


def drift(model: nn.Module) -> None:
    """Stand-in for an epoch of training."""
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.add_(torch.randn_like(parameter))


def bits(module: nn.Module) -> list[bytes]:
    """All parameters and buffers, to compare to the last bit."""
    state = [*module.parameters(), *module.buffers()]
    return [t.detach().reshape(-1).view(torch.uint8).numpy().tobytes() for t in state]


def scores(*values: float) -> Callable[[nn.Module], float]:
    """An `evaluate` that gives these values one after the other."""
    left = iter(values)
    return lambda module: next(left)
