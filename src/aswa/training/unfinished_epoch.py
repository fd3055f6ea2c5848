"""How far an epoch is, so that a run can go on in its middle."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass
class UnfinishedEpoch:
    """All that a run needs besides weights and history to go on between two batches or averagers.

    Attributes:
        total: sum of the losses of the trained batches over examples, a scalar on the device.
        batches: trained so far.
        n_examples: in them.
        loss: the epoch's mean loss, once it is trained.
        averaged: averagers that have seen the epoch.
        decision: of the first of them that decides.
        score: of the running model on validation, once measured.
    """

    total: Tensor
    batches: int = 0
    n_examples: int = 0
    loss: float | None = None
    averaged: int = 0
    decision: str | None = None
    score: float | None = None


def global_generators(device: torch.device) -> list[Tensor]:
    """States of the generators that dropout draws from."""
    states = [torch.get_rng_state()]
    if device.type == "cuda":
        states.append(torch.cuda.get_rng_state(device))
    return states


def set_global_generators(device: torch.device, states: list[Tensor]) -> None:
    """Let dropout go on with the numbers that were next when `global_generators` was called."""
    torch.set_rng_state(states[0].cpu())
    if device.type == "cuda":
        torch.cuda.set_rng_state(states[1].cpu(), device)


def seed_global_generators(device: torch.device, seed: int) -> None:
    """Let dropout draw the numbers of `seed`."""
    torch.default_generator.manual_seed(seed)
    if device.type == "cuda":
        torch.cuda.manual_seed_all(seed)
