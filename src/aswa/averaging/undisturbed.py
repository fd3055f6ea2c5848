"""Evaluation and passes over data that leave no trace in the training run."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn
from torch.utils.data import DataLoader


@contextmanager
def undisturbed(module: nn.Module, batches: Any = None) -> Iterator[None]:
    """Put back training modes and torch's random state, whatever the block does to them.

    The state of every GPU counts, and so does the generator of a `DataLoader` that is passed
    through. The generators of numpy and of `random` do not.
    """
    modes = [(part, part.training) for part in module.modules()]
    own: list[torch.Generator | None] = []  # from which a loader draws in place of the global one
    if isinstance(batches, DataLoader):
        own = [batches.generator, getattr(batches.sampler, "generator", None)]
    states = [(generator, generator.get_state()) for generator in own if generator is not None]
    gpus = range(torch.cuda.device_count() if torch.cuda.is_initialized() else 0)
    with torch.random.fork_rng(gpus, device_type="cuda"):
        try:
            yield
        finally:
            for generator, state in states:
                generator.set_state(state)
            for part, training in modes:
                part.training = training
