"""Signals by which a scheduler takes a machine back: the run is saved, and ends."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Any, NoReturn

# SIGTERM: SLURM's preemption, scancel, the end of a container. The others: what one asks sbatch
# (--signal) or submitit (SIGUSR2) to send some time before the limit.
SIGNALS = ("SIGTERM", "SIGUSR1", "SIGUSR2")


class Preempted(BaseException):
    """A signal asked this run to end; no `Exception`, so that nothing takes it for a failure."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.number = number


class Stopping:
    """While in this context, a signal is noted instead of ending the process.

    Args:
        at_once: says whether nothing changes just now, so that `Preempted` may be raised where
            the signal finds the program instead of at its next pause.

    Attributes:
        received: the number of the signal, None before one came.
    """

    def __init__(self, at_once: Callable[[], bool] = lambda: False) -> None:
        self.at_once = at_once
        self.received: int | None = None
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Stopping:
        if threading.current_thread() is threading.main_thread():  # the only one with handlers
            for name in SIGNALS:
                if number := getattr(signal, name, None):
                    self._before[number] = signal.signal(number, self._note)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.received = number
        if self.at_once():
            raise Preempted(number)

    def pass_on(self, number: int) -> NoReturn:
        """Let whoever handled the signal before have it, such as submitit, which requeues the job.

        Raises:
            SystemExit: with 128 + the signal's number, as a shell would report it.
        """
        handler = self._before.get(number)
        if callable(handler):
            handler(number, None)
        raise SystemExit(128 + number)
