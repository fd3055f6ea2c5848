"""Where a run may stop: signals by which a scheduler takes a machine back, and the clock."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any, NoReturn

import torch

from aswa import distributed

# SIGTERM: SLURM's preemption, scancel, the end of a container. The others: what one asks sbatch
# (--signal) or submitit (SIGUSR2) to send some time before the limit.
SIGNALS = ("SIGTERM", "SIGUSR1", "SIGUSR2")
ASKED_EVERY = 16  # batches, whether another process of torchrun got a signal


class Preempted(BaseException):
    """A signal asked this run to end; no `Exception`, so that nothing takes it for a failure."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.number = number


class Preemption:
    """While in this context, a signal is noted instead of ending the process.

    Attributes:
        received: the number of the signal, None before one came.
        interruptible: says whether nothing changes just now, so that `Preempted` may be raised
            where the signal finds the program instead of at its next pause.
        due, save: the clock of checkpoints, and what to do when it is time.
    """

    def __init__(self, device: torch.device) -> None:
        self.received: int | None = None
        self.interruptible: Callable[[], bool] = lambda: False
        self.due: Callable[[], bool] = lambda: False
        self.save: Callable[[], None] = lambda: None
        self._device, self._alone = device, distributed.world_size() == 1
        self._asked = 0
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Preemption:
        if threading.current_thread() is threading.main_thread():  # the only one with handlers
            for name in SIGNALS:
                if number := getattr(signal, name, None):
                    self._before[number] = signal.signal(number, self._note)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.received = number
        if self._alone and self.interruptible():  # processes of torchrun can only stop together
            raise Preempted(number)

    @contextlib.contextmanager
    def at_any_moment(self) -> Iterator[None]:
        """In this block nothing changes that would have to be saved."""
        before, self.interruptible = self.interruptible, lambda: True
        try:
            yield
        finally:
            self.interruptible = before

    def pause(self) -> None:
        """Call where the state is whole: after every batch and rider. See `meet`."""
        self._asked += 1
        if self._alone or self._asked % ASKED_EVERY == 0:
            self.meet()

    def meet(self) -> None:
        """Save if it is time. A signal to one process of torchrun ends all, one clock saves all.

        Raises:
            Preempted: a signal came.
        """
        received, due = self.received or 0, self.due()
        if not self._alone:
            received = distributed.all_reduce_max(received, self._device)
            due = bool(distributed.all_reduce_max(int(due), self._device))
        if received:
            raise Preempted(received)
        if due:
            self.save()

    def pass_on(self, number: int) -> NoReturn:
        """Let whoever handled the signal before have it, such as submitit, which requeues the job.

        Raises:
            SystemExit: with 128 + the signal's number, as a shell would report it.
        """
        handler = self._before.get(number)
        if callable(handler):
            handler(number, None)
        raise SystemExit(128 + number)
