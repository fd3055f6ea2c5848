"""Operators on few coordinates: WASH exchanges them, its control averages them.

WASH: Fournier et al., "WASH: Train your Ensemble with Communication-Efficient Weight Shuffling,
then Average" (2024). Its code was not at hand; what a layer is, and what happens to batch-norm
statistics and to Adam's moments, are decisions of this project.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from aswa.averaging.mixing.carrier import flat
from aswa.averaging.mixing.mixing import Drawing, Members, Optimizers
from aswa.averaging.weights import unwrapped

MOST_TABLED = 6  # members, whose 720 permutations are a table

Places = list[list[Tensor]]  # [tensors][own members], flat views of tensors that move together


class _Sparse(Drawing):
    """After each optimizer step, each coordinate of layer l takes part with probability p_l.

    A layer is a module with parameters of its own, in the order of registration. Parameters alone
    take part: batch-norm statistics stay with their member.

    Args:
        p: probability in the first layer.
        decrease: p_l = p (1 − l / (L − 1)), nothing in the last of several layers; else p in all.
        moments: what the optimizer keeps for a coordinate moves with it.
        seed: of the coordinates and their permutations.
    """

    distributes = True

    def __init__(
        self, p: float, decrease: bool = True, moments: bool = False, seed: int = 0
    ) -> None:
        super().__init__(seed)
        if not 0 <= p <= 1:
            raise ValueError(f"{type(self).__name__} needs 0 <= p <= 1, not {p}")
        self.p, self.decrease, self.moments = p, decrease, moments

    @torch.no_grad()
    def step(self, members: Members, optimizers: Optimizers, rate: float) -> int:
        """Draw coordinates, and mix them."""
        if not self.p or self.carrier.size(members) == 1:
            return 0
        drawn = [
            (moving, distinct(moving[0][0].numel(), p, self._generator))
            for p, places in self._layers(members, optimizers)
            for moving in places
        ]
        return sum(self._mix(moving, chosen) for moving, chosen in drawn if len(chosen))

    def _layers(
        self, members: Members, optimizers: Optimizers
    ) -> Iterator[tuple[float, list[Places]]]:
        """p_l of every layer, and for each of its parameters the tensors that move together."""
        layers = [list(_layers_of(unwrapped(member))) for member in members]
        last = len(layers[0]) - 1
        for number, same in enumerate(zip(*layers, strict=True)):
            p = self.p * (1 - number / last) if self.decrease and last else self.p
            of_members = zip(*same, strict=True)
            yield p, [self._together(tensors, optimizers) for tensors in of_members]

    def _together(self, tensors: tuple[nn.Parameter, ...], optimizers: Optimizers) -> Places:
        found: Places = [[flat(t) for t in tensors]]
        if self.moments:
            states = [_moments(o, t) for o, t in zip(optimizers, tensors, strict=True)]
            if any(state.keys() != states[0].keys() for state in states):
                raise ValueError(
                    "members whose optimizers keep different things for a weight cannot exchange "
                    "moments: they are of different kinds, or not all have stepped it"
                )
            found += [[flat(state[key]) for state in states] for key in states[0]]
        return found

    def _mix(self, places: Places, chosen: Tensor) -> int:
        """Mix coordinates `chosen` [k] in every tensor alike; the numbers that own members got."""
        raise NotImplementedError


class Shuffle(_Sparse):
    """WASH: each chosen coordinate is permuted among the members, by a permutation of its own.

    The values of a coordinate stay the same as a set, so the mean θ̄ and the consensus distance
    Σ ‖θ_n − θ̄‖² are kept. With `moments` this is WASH+Opt.
    """

    def _mix(self, places: Places, chosen: Tensor) -> int:
        n, device = self.carrier.size(places[0]), places[0][0].device
        order = permutations(n, len(chosen), self._generator)
        chosen, there = chosen.to(device), order.to(device)
        for tensors in places:
            values = self.carrier.permute([t[chosen] for t in tensors], there)
            for tensor, value in zip(tensors, values, strict=True):
                tensor[chosen] = value
        own = torch.tensor(self.carrier.numbers(places[0]))
        return len(places) * int((order[own] != own[:, None]).sum())


class SparseAverage(_Sparse):
    """The control of `Shuffle`: the same coordinates are averaged, which contracts the members."""

    def _mix(self, places: Places, chosen: Tensor) -> int:
        chosen = chosen.to(places[0][0].device)
        for tensors in places:
            values = self.carrier.gather([t[chosen] for t in tensors])
            mean = torch.stack(list(values)).mean(0)
            for tensor in tensors:
                tensor[chosen] = mean
        return len(places) * len(places[0]) * len(chosen)


def distinct(n: int, p: float, generator: torch.Generator) -> Tensor:
    """Each of 0 … n − 1 with probability p: int64 [k], k ~ Binomial(n, p), in O(k) for small p."""
    if p <= 0:
        return torch.empty(0, dtype=torch.int64)
    count = torch.binomial(
        torch.tensor(float(n), dtype=torch.float64),
        torch.tensor(p, dtype=torch.float64),
        generator=generator,
    )
    k = int(count)
    if 4 * k > n:
        return torch.randperm(n, generator=generator)[:k]
    found = torch.empty(0, dtype=torch.int64)
    while len(found) < k:  # draws of a value seen before are dropped
        drawn = torch.randint(n, (k - len(found) + 8,), generator=generator)
        found = torch.cat([found, drawn]).unique()
    # A set of distinct values without favourites; of its subsets each is as likely as another.
    return found[torch.randperm(len(found), generator=generator)[:k]]


def permutations(n: int, k: int, generator: torch.Generator) -> Tensor:
    """k uniform permutations of 0 … n − 1, as columns: int64 [n, k]."""
    if n > MOST_TABLED:
        return torch.rand(n, k, generator=generator).argsort(0)
    table = _table(n)  # one number a column is drawn faster than n that are sorted
    return table[torch.randint(len(table), (k,), generator=generator)].T


@functools.cache
def _table(n: int) -> Tensor:
    return torch.tensor(list(itertools.permutations(range(n))))


def _layers_of(member: nn.Module) -> Iterator[list[nn.Parameter]]:
    """The parameters of each module that has some of its own; a tied one is its first module's."""
    seen: set[int] = set()
    for module in member.modules():
        own = [p for p in module.parameters(recurse=False) if p.requires_grad]
        if new := [p for p in own if id(p) not in seen]:
            seen.update(map(id, new))
            yield new


def _moments(optimizer: Optimizer, parameter: nn.Parameter) -> dict[str, Tensor]:
    """What an optimizer keeps for each number of a parameter; `step`, a count, is none of it."""
    state: dict[str, Any] = optimizer.state.get(parameter, {})
    return {
        key: value
        for key, value in state.items()
        if key != "step" and torch.is_tensor(value) and value.shape == parameter.shape
    }
