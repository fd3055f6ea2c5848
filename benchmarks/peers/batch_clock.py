"""Times the batches of one epoch and stops it when the time is up (peers venv).

The epoch is the time an example took, the first batches apart (threads, memory and caches are new
there), times its examples; where there are no more batches than those, their time as it was.
"""

from __future__ import annotations

import time
from typing import Any

WARM_UP = 2  # batches that say nothing about the others


class Enough(Exception):
    """The time is up."""


class BatchClock:
    """Call `begin` before the first batch is fetched and `batch` after each step."""

    def __init__(self, seconds: float) -> None:
        self.limit = seconds
        self.start = 0.0
        self.ends: list[float] = []
        self.examples: list[int] = []

    def begin(self) -> None:
        self.start = time.perf_counter()

    def batch(self, examples: int) -> None:
        self.ends.append(time.perf_counter())
        self.examples.append(examples)
        if self.ends[-1] - self.start > self.limit and len(self.ends) > WARM_UP:
            raise Enough

    def figures(self, total: int) -> dict[str, Any]:
        """Seconds of an epoch of `total` examples."""
        done = sum(self.examples)
        if counted := sum(self.examples[WARM_UP:]):
            seconds = (self.ends[-1] - self.ends[WARM_UP - 1]) / counted * total
        else:
            seconds = self.ends[-1] - self.start
        return {
            "pairs": total,
            "seconds": seconds,
            "extrapolated": done < total,
            "pairs_done": done,
        }
