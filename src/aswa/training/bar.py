"""A bar over the epochs of a single run, on a terminal."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tqdm import tqdm

from aswa import distributed
from aswa.config import RunConfig
from aswa.sweeping.progress import VARIABLE
from aswa.training.trajectory import Trajectory


@contextmanager
def epoch_bar(config: RunConfig) -> Iterator[Callable[[Trajectory], None]]:
    """A function to call after each epoch. Quiet in a multirun, whose runs would mix their bars."""
    first = distributed.rank() == 0
    quiet = VARIABLE in os.environ or not first or not sys.stderr.isatty()
    with tqdm(
        total=config.epochs, desc=config.title, unit="epoch", leave=False, disable=quiet
    ) as bar:

        def on_epoch(trajectory: Trajectory) -> None:
            bar.update(trajectory.epoch - bar.n)

        yield on_epoch
