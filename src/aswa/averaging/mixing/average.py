"""All members set to their mean: PAPA-all, DART and IMWA are this operator with other recipes.

PAPA-all: Jolicoeur-Martineau et al. (TMLR 2024). DART: Jain et al. (CVPR 2023). IMWA: Iterative
Model Weight Averaging (arXiv 2404.16331).
"""

from __future__ import annotations

import torch

from aswa.averaging.mixing.mixing import (
    Members,
    Mixing,
    Optimizers,
    check_merges,
    has_merge,
    pull,
    size_of,
    weights,
)


class Average(Mixing):
    """θ_n ← θ̄ for every member, every few epochs. Batch-norm statistics are moved along.

    Args:
        every: epochs from one merge to the next.
        start: the first merge is after this epoch; 0: after epoch `every`.
        reset: optimizer state begins anew at a merge; else every member keeps its own.
    """

    distributes = True

    def __init__(self, every: int, start: int = 0, reset: bool = False) -> None:
        check_merges("Average", every, start)
        self.every, self.start, self.reset = every, start, reset

    @torch.no_grad()
    def epoch(self, members: Members, optimizers: Optimizers, epoch: int) -> int:
        """Merge, where it is time."""
        if not has_merge(epoch, self.every, self.start) or self.carrier.size(members) == 1:
            return 0
        tensors = weights(members, self.carrier)
        pull(tensors, 1.0, self.carrier)
        if self.reset:
            for optimizer in optimizers:
                optimizer.state.clear()
        return size_of(tensors)
