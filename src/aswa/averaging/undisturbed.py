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
    random_state = torch.get_rng_state()
    gpu_states = torch.cuda.get_rng_state_all() if torch.cuda.is_initialized() else []
    own = [(generator, generator.get_state()) for generator in _generators(batches)]
    try:
        yield
    finally:
        torch.set_rng_state(random_state)
        if gpu_states:
            torch.cuda.set_rng_state_all(gpu_states)
        for generator, state in own:
            generator.set_state(state)
        for part, training in modes:
            part.training = training


def _generators(batches: Any) -> list[torch.Generator]:
    """The generators from which a loader draws in place of the global one."""
    if not isinstance(batches, DataLoader):
        return []
    found = (batches.generator, getattr(batches.sampler, "generator", None))
    return [generator for generator in found if generator is not None]
