"""What operators on populations share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from aswa.averaging.mixing.carrier import Carrier, flat
from aswa.averaging.weights import unwrapped

PIECE = 2**16  # numbers of a member that are mixed at a time, so that all members' fit in cache

Members = Sequence[nn.Module]
Optimizers = Sequence[Optimizer]


class Mixing:
    """Moves members of a population towards or among each other; this one does nothing.

    Members have the same tensors; `optimizers[m]` trains `members[m]`, and its state may be moved
    along. The mean of the members is an ordinary module, on which an `Averager` can ride.

    Attributes:
        carrier: reaches the members of other processes; by default all members are in this one.
        distributes: what it reads of other members it asks of `carrier`, so that each process of
            torchrun can have one member, and `members` and `optimizers` that one alone.
    """

    carrier = Carrier()
    distributes = False

    def step(self, members: Members, optimizers: Optimizers, rate: float) -> int:
        """Call after all members have made an optimizer step; `rate` is lr_t / lr_0.

        Returns:
            numbers that members sent to others, in all; 0 where nothing was due.
        """
        return 0

    def epoch(self, members: Members, optimizers: Optimizers, epoch: int) -> int:
        """Call after all members have ended epoch number `epoch`, from 1; returns as `step`."""
        return 0

    def state_dict(self) -> dict[str, Any]:
        """All that is needed to go on exactly, as plain numbers and copied tensors."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from what `state_dict` gave."""


class Drawing(Mixing):
    """A mixing that draws random numbers, from a generator of its own that `seed` begins."""

    def __init__(self, seed: int = 0) -> None:
        if not isinstance(seed, int) or not 0 <= seed < 2**63:
            raise ValueError(f"seed must be a whole number from 0 to 2^63 - 1, not {seed}")
        self._generator = torch.Generator().manual_seed(seed)

    def state_dict(self) -> dict[str, Any]:
        """The state of the generator."""
        return {"generator": self._generator.get_state()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from what `state_dict` gave."""
        self._generator.set_state(state["generator"].cpu())


class Independent(Mixing):
    """No mixing, the control of every other: each member takes the way of a run alone."""

    distributes = True


def parameters(members: Members) -> list[list[Tensor]]:
    """The trained parameters of every member, in one order: [members][tensors]."""
    found = [[p for p in unwrapped(m).parameters() if p.requires_grad] for m in members]
    return [[p.detach() for p in tensors] for tensors in found]


def weights(members: Members, carrier: Carrier) -> list[list[Tensor]]:
    """Trained parameters and floating-point buffers, such as batch-norm statistics.

    Buffers that are not finite in member 0, such as attention masks, are not mixed: −inf − (−inf)
    is not a number.
    """
    bare = [unwrapped(member) for member in members]
    buffers = [[b for b in member.buffers() if b.is_floating_point()] for member in bare]
    kept: list[float] = []
    if buffers[0]:
        finite = torch.stack([torch.isfinite(b).all() for b in buffers[0]]).float()
        kept = carrier.gather([finite])[0].tolist()
    mixed = [[b for b, keep in zip(own, kept, strict=True) if keep] for own in buffers]
    return [own + also for own, also in zip(parameters(members), mixed, strict=True)]


def pull(tensors: Sequence[Sequence[Tensor]], weight: float, carrier: Carrier) -> None:
    """θ ← θ + weight · (θ̄ − θ) for [own members][tensors], in place; weight 1 makes them equal.

    The mean of a piece is used while the piece is in a CPU's cache, so every number is read from
    memory once and written once. Sums are in the order of the members.
    """
    for same in zip(*tensors, strict=True):
        own = [flat(tensor) for tensor in same]
        everyone = zip(*map(_pieces, carrier.gather(own)), strict=True)
        for parts, mine in zip(everyone, zip(*map(_pieces, own), strict=True), strict=True):
            mean = parts[0].clone()
            for part in parts[1:]:
                mean.add_(part)
            mean.div_(len(parts))
            for part in mine:
                if weight == 1:
                    part.copy_(mean)
                else:
                    part.lerp_(mean, weight)


def _pieces(whole: Tensor) -> Sequence[Tensor]:
    return [whole] if whole.is_cuda or whole.numel() <= PIECE else whole.split(PIECE)


def size_of(tensors: Sequence[Sequence[Tensor]]) -> int:
    """Numbers in [members][tensors]."""
    return sum(t.numel() for own in tensors for t in own)


def has_merge(epoch: int, every: int, start: int) -> bool:
    """Whether `epoch`, from 1, is one of start, start + every, …; of every, 2·every, … for 0."""
    return epoch >= start and (epoch - start) % every == 0


def check_merges(name: str, every: int, start: int) -> None:
    """Raise ValueError unless `every` and `start` count epochs."""
    if every < 1 or start < 0 or int(every) != every or int(start) != start:
        raise ValueError(
            f"{name} needs whole numbers every >= 1 and start >= 0, not {every} and {start}"
        )
