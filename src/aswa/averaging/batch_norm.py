"""Batch-norm statistics that belong to the weights: recomputed by forward passes only."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from aswa.averaging.undisturbed import undisturbed

Batches = Iterable[Any]
"""Training inputs that are iterated anew each time: a list or a loader, no spent iterator."""
Forward = Callable[[nn.Module, Any], Any]
"""Runs one element of `Batches` through a module; what it returns is not used."""


def has_batch_norm(module: nn.Module) -> bool:
    """Whether some batch-norm of `module` keeps running statistics."""
    return any(isinstance(m, _BatchNorm) and m.track_running_stats for m in module.modules())


def forward_inputs(module: nn.Module, batch: Any) -> None:
    """Default forward pass: a tensor, (inputs, …) or {"name": input, …} goes through `module`."""
    device = next(module.parameters()).device
    if isinstance(batch, Mapping):
        inputs = {n: v.to(device) if isinstance(v, Tensor) else v for n, v in batch.items()}
        module(**inputs)
    else:
        first = batch[0] if isinstance(batch, (tuple, list)) else batch
        module(first.to(device))


@torch.no_grad()
def recompute_batch_norm(
    module: nn.Module, batches: Batches, forward: Forward = forward_inputs
) -> None:
    """Set running mean and variance to the equal-weight mean over `batches`.

    Only batch-norm layers are put in training mode for the passes, so dropout draws no random
    numbers; modes, momenta and torch's random state, from which a shuffling loader draws, are put
    back. Without batch-norm, `batches` is not touched. The cumulative mean is torch's
    (`momentum=None`), as in `torch.optim.swa_utils.update_bn`.

    Args:
        module: its `running_mean` [C], `running_var` [C] and `num_batches_tracked` are replaced.
        batches: training inputs; how many and how large is the caller's choice.
        forward: runs one element of `batches` through the module.

    Raises:
        ValueError: `batches` is empty, so there would be no statistics.
    """
    layers = [m for m in module.modules() if isinstance(m, _BatchNorm) and m.track_running_stats]
    if not layers:
        return
    momenta = [layer.momentum for layer in layers]
    n_batches = 0
    with undisturbed(module, batches):
        module.eval()
        for layer in layers:
            layer.reset_running_stats()
            layer.momentum = None
            layer.train()
        try:
            for batch in batches:
                forward(module, batch)
                n_batches += 1
        finally:
            for layer, momentum in zip(layers, momenta, strict=True):
                layer.momentum = momentum
    if n_batches == 0:
        raise ValueError(
            "recompute_batch_norm got no batch; give a list or a loader, not a spent iterator"
        )
