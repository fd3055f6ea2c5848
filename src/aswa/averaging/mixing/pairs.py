"""PAPA-2 (Jolicoeur-Martineau et al., TMLR 2024): every member becomes the mean of a pair."""

from __future__ import annotations

import itertools

import torch

from aswa.averaging.mixing.carrier import flat
from aswa.averaging.mixing.mixing import (
    Drawing,
    Members,
    Optimizers,
    check_merges,
    has_merge,
    size_of,
    weights,
)


class Pairs(Drawing):
    """θ_n ← ½ (θ_a + θ_b) with random pairs {a, b}, different ones as long as there are enough.

    The mean of the members is kept in expectation only.

    Args:
        every: epochs from one merge to the next.
        start: the first merge is after this epoch; 0: after epoch `every`.
        first_pairs: as the released code, whose N pairs are always the first of the list (0, 1),
            (0, 2), …: of ten members the first is a parent of nine.
        seed: of the random pairs.
    """

    distributes = True

    def __init__(
        self, every: int, start: int = 0, first_pairs: bool = False, seed: int = 0
    ) -> None:
        super().__init__(seed)
        check_merges("Pairs", every, start)
        self.every, self.start, self.first_pairs = every, start, first_pairs

    @torch.no_grad()
    def epoch(self, members: Members, optimizers: Optimizers, epoch: int) -> int:
        """Merge, where it is time."""
        if not has_merge(epoch, self.every, self.start) or self.carrier.size(members) == 1:
            return 0
        tensors = [[flat(t) for t in own] for own in weights(members, self.carrier)]
        parents = self._draw(self.carrier.size(members))
        gathered = [self.carrier.gather(same) for same in zip(*tensors, strict=True)]
        before = [[t.clone() for t in each] for each in zip(*gathered, strict=True)]
        for own, number in zip(tensors, self.carrier.numbers(members), strict=True):
            a, b = parents[number]
            torch._foreach_copy_(own, before[a])
            torch._foreach_lerp_(own, before[b], 0.5)
        return size_of(tensors)

    def _draw(self, n: int) -> list[tuple[int, int]]:
        """The parents of each member."""
        pairs = list(itertools.combinations(range(n), 2))
        if self.first_pairs:
            pairs = pairs[:n]
        found: list[tuple[int, int]] = []
        while len(found) < n:  # two members have one pair
            order = torch.randperm(len(pairs), generator=self._generator).tolist()
            found += [pairs[i] for i in order]
        return found[:n]
