"""Seconds by part of a run."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any


class Timers:
    """Exclusive times of named parts; a part inside another is not counted twice.

    Attributes:
        seconds: part → seconds so far.
    """

    def __init__(self, *parts: str) -> None:
        self.seconds = dict.fromkeys(parts, 0.0)
        self._stack: list[str] = []
        self._since = 0.0

    @contextmanager
    def measure(self, part: str) -> Iterator[None]:
        """Count the block as `part`."""
        self._credit()
        self._stack.append(part)
        try:
            yield
        finally:
            self._credit()
            self._stack.pop()

    def _credit(self) -> None:
        now = time.perf_counter()
        if self._stack:
            self.seconds[self._stack[-1]] += now - self._since
        self._since = now


class Timed:
    """An iterable that counts every pass through it as `part`."""

    def __init__(self, items: Iterable[Any], timers: Timers, part: str) -> None:
        self._items, self._timers, self._part = items, timers, part

    def __iter__(self) -> Iterator[Any]:
        with self._timers.measure(self._part):
            yield from self._items
