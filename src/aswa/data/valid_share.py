"""Which validation triples selection sees, where it does not see all: a draw by the run's seed."""

from __future__ import annotations

import torch
from torch import Tensor


def drawn_rows(n: int, share: float, seed: int) -> Tensor:
    """Rows of a split of n triples, sorted: `share` of them, drawn without replacement.

    With one seed a larger share has all rows of a smaller one. It is a draw for each run, unlike
    the fixed list of images in `validation_split`: so the spread over seeds shows what the draw
    does to selection.

    Args:
        share: in (0, 1], rounded to whole triples, to one at least.

    Returns:
        int64 [m].
    """
    order = torch.randperm(n, generator=torch.Generator().manual_seed(seed))
    return order[: max(1, round(share * n))].sort().values
