"""Slow, readable twins of the operators on populations: members are fp64 vectors [N, P]."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def pull_matrix(n: int, a: float) -> Tensor:
    """W of PAPA: θ ← W θ with W = a I + (1 − a) 1 1ᵀ / N."""
    return a * torch.eye(n, dtype=torch.float64) + (1 - a) / n


def average_matrix(n: int) -> Tensor:
    """W of PAPA-all, DART and IMWA: 1 1ᵀ / N."""
    return pull_matrix(n, 0.0)


def pairs_matrix(parents: Sequence[tuple[int, int]]) -> Tensor:
    """W of PAPA-2: a half for each parent of each member."""
    found = torch.zeros(len(parents), len(parents), dtype=torch.float64)
    for member, (a, b) in enumerate(parents):
        found[member, a] += 0.5
        found[member, b] += 0.5
    return found


def shuffled(thetas: Tensor, chosen: Sequence[int], orders: Sequence[Sequence[int]]) -> Tensor:
    """WASH: coordinate chosen[i] of member n becomes that of member orders[i][n]."""
    found = thetas.clone()
    for coordinate, order in zip(chosen, orders, strict=True):
        for member, source in enumerate(order):
            found[member, coordinate] = thetas[source, coordinate]
    return found


def sparsely_averaged(thetas: Tensor, chosen: Sequence[int]) -> Tensor:
    """The control of WASH: each chosen coordinate becomes the mean over members."""
    found = thetas.clone()
    for coordinate in chosen:
        found[:, coordinate] = sum(thetas[:, coordinate]) / len(thetas)
    return found


def distance(thetas: Tensor) -> float:
    """The consensus distance Σ_n ‖θ_n − θ̄‖² of members [N, P]."""
    return float((thetas - thetas.mean(0)).square().sum())
