"""A bar over the epochs of a single run, on a terminal."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tqdm import tqdm

from aswa import distributed
from aswa.config import RunConfig
from aswa.training.work import Work


@contextmanager
def epoch_bar(config: RunConfig, quiet: bool = False) -> Iterator[Callable[[Work], object]]:
    """A function to call after each epoch; `quiet` in a sweep, whose runs would mix their bars."""
    quiet = quiet or distributed.rank() != 0 or not sys.stderr.isatty()
    with tqdm(
        total=config.epochs, desc=config.title, unit="epoch", leave=False, disable=quiet
    ) as bar:
        yield lambda work: bar.update(work.epoch - bar.n)
