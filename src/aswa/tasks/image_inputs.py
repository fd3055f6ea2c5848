"""What networks see of images: another network's normalisation, crops, batches."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import torch
from torch import Tensor, nn

from aswa import distributed
from aswa.averaging.seeded import seeded


class Normalisation(NamedTuple):
    """Of pixels in [0, 1], by channel: (x − mean) / std, both float32 [3]."""

    mean: Tensor
    std: Tensor


class Renormalised(nn.Module):
    """A network that is given images normalised for another one.

    Args:
        network: sees (x σ₀ + μ₀ − μ) / σ of an input x.
        given: μ₀ and σ₀, of the inputs.
        own: μ and σ, with which it was trained.
        layout: memory format that the network is called with.
    """

    scale: Tensor
    shift: Tensor

    def __init__(
        self,
        network: nn.Module,
        given: Normalisation,
        own: Normalisation,
        layout: torch.memory_format,
    ) -> None:
        super().__init__()
        self.network, self._layout = network, layout
        std = own.std.double()
        scale = given.std.double() / std
        shift = (given.mean.double() - own.mean.double()) / std
        self.register_buffer("scale", scale.float()[:, None, None])
        self.register_buffer("shift", shift.float()[:, None, None])

    def forward(self, x: Tensor) -> Tensor:
        """Inputs [B, 3, H, W] → what the network gives."""
        renormalised = x * self.scale + self.shift
        return self.network(renormalised.contiguous(memory_format=self._layout))


def generator_of(model: nn.Module, purpose: str) -> torch.Generator:
    """Random numbers that follow from the purpose and the model's parameters, bit by bit."""
    weights = (parameter.detach().cpu().flatten() for parameter in model.parameters())
    return seeded(purpose, *(each.numpy().tobytes() for each in weights))


class Prepared:
    """Network inputs of fixed images, made anew at each pass; under torchrun of a shard."""

    def __init__(self, images: Tensor, size: int, prepare: Callable[[Tensor], Tensor]) -> None:
        self._images, self._size, self._prepare = images, size, prepare

    def __iter__(self) -> Iterator[Tensor]:
        for batch in self._images.split(self._size):
            yield self._prepare(distributed.shard(batch))
