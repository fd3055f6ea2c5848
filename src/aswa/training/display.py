"""What a person sees of a run while it goes on: a bar on a terminal, else a line now and then."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tqdm import tqdm

from aswa import distributed
from aswa.config import RunConfig
from aswa.config.messages import time_text
from aswa.training.work import Work

BAR_SECONDS = 0.2  # from one drawing of the bar to the next
MOMENT_INTERVALS = 5  # of the bar, without the end of an epoch, before a batch is shown
FORMAT = "{desc} |{bar:10}| {n_fmt}/{total_fmt}, {remaining} left{postfix}"
LINE_SECONDS = 30.0  # from one line to the next


class Display:
    """Shows nothing. The methods are called in the process that trains, and cost microseconds."""

    def epoch(self, work: Work) -> None:
        """An epoch is over."""

    def moment(self, work: Work) -> None:
        """Within an epoch, after a batch."""

    def stage(self, text: str) -> None:
        """What is done after the last epoch, such as `evaluating aswa on test`."""

    def hint(self, text: str) -> None:
        """A way to a faster run; the first is enough."""


class Lines(Display):
    """A line every half a minute, for logs and sweeps.

    Args:
        say: prints it.
        hints: are given; runs side by side share the cores.
    """

    def __init__(self, title: str, say: Callable[[str], None], hints: bool) -> None:
        self._title, self._say, self._hints = title, say, hints
        self._first_epoch: int | None = None
        self._start = self._last = time.monotonic()

    def epoch(self, work: Work) -> None:
        if self._first_epoch is None:  # of this process: the run may go on from a checkpoint
            self._first_epoch, self._start = work.epoch, time.monotonic()
        if self._due():
            self._line(work, f"epoch {work.epoch}/{work.epochs}, {work.described}")

    def moment(self, work: Work) -> None:
        if self._due(2):  # the end of an epoch says more
            self._line(work, f"epoch {work.epoch + 1}/{work.epochs}, batch {work.batches}")

    def stage(self, text: str) -> None:
        if self._due():
            self._say(f"{self._title}: {text}")
            self._last = time.monotonic()

    def hint(self, text: str) -> None:
        if self._hints:
            self._say(text)
            self._hints = False

    def _due(self, intervals: int = 1) -> bool:
        return time.monotonic() - self._last >= intervals * LINE_SECONDS

    def _line(self, work: Work, text: str) -> None:
        self._last = time.monotonic()
        left = ""
        if self._first_epoch is not None and work.epoch > self._first_epoch:
            pace = (self._last - self._start) / (work.epoch - self._first_epoch)
            left = f", {time_text(pace * (work.epochs - work.epoch))} left"
        self._say(f"{self._title}: {text}{left}")


class Bar(Display):
    """A bar over the epochs, on a terminal."""

    def __init__(self, title: str, bar: tqdm) -> None:
        self._title, self._bar, self._last = title, bar, 0.0
        self._first_epoch: int | None = None
        self._hinted = False

    def epoch(self, work: Work) -> None:
        if work.epoch == work.epochs or self._due():
            self._draw(work, work.described)

    def moment(self, work: Work) -> None:
        if self._due(MOMENT_INTERVALS):  # the end of an epoch says more
            self._draw(work, ", ".join(filter(None, [f"batch {work.batches}", work.described])))

    def _draw(self, work: Work, text: str) -> None:
        if self._first_epoch is None:  # of this process: the run may go on from a checkpoint
            self._bar.total = work.epochs
            self._first_epoch = self._bar.n = self._bar.initial = max(0, work.epoch - 1)
        self._bar.set_postfix_str(text, refresh=False)
        if not self._bar.update(work.epoch - self._bar.n):
            self._bar.refresh()

    def stage(self, text: str) -> None:
        self._bar.set_postfix_str("", refresh=False)
        self._bar.set_description_str(f"{self._title}, {text}")

    def hint(self, text: str) -> None:
        if not self._hinted:
            self._bar.write(text, file=sys.stderr)
            self._hinted = True

    def _due(self, intervals: int = 1) -> bool:
        now = time.monotonic()
        if now - self._last < intervals * BAR_SECONDS:
            return False
        self._last = now
        return True


@contextmanager
def display(
    config: RunConfig, say: Callable[[str], None], in_sweep: bool, quiet: bool
) -> Iterator[Display]:
    """What shows a run in this process.

    Args:
        say: prints a line.
        in_sweep: runs side by side would mix their bars.
        quiet: nothing does.
    """
    if quiet or distributed.rank() != 0:
        yield Display()
    elif in_sweep or not sys.stderr.isatty():
        yield Lines(config.title, say, hints=not in_sweep)
    else:
        with tqdm(total=config.epochs, desc=config.title, bar_format=FORMAT, leave=False) as bar:
            yield Bar(config.title, bar)
