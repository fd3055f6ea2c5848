"""Order-n character models (Witten and Bell 1991): floors that a network has to beat."""

from __future__ import annotations

import math
from collections import Counter, defaultdict


def floor(train: str, held_out: str, order: int, symbols: int) -> float:
    """Mean −log p of the characters of `held_out`, in nats, given `order` characters before each.

    p_n(c | h) = (count(h c) + T(h) · p_{n−1}(c | h′)) / (count(h) + T(h)), T(h) the number of
    different successors of h, h′ without its first character; below them all is 1 / symbols.
    """
    followers: dict[str, Counter[str]] = defaultdict(Counter)
    for n in range(order + 1):
        for i in range(n, len(train)):
            followers[train[i - n : i]][train[i]] += 1
    sums = {history: sum(counts.values()) for history, counts in followers.items()}
    total = 0.0
    for i in range(order, len(held_out)):
        p = 1 / symbols
        for n in range(order + 1):
            history = held_out[i - n : i]
            if counts := followers.get(history):
                p = (counts[held_out[i]] + len(counts) * p) / (sums[history] + len(counts))
        total -= math.log(p)
    return total / (len(held_out) - order)
