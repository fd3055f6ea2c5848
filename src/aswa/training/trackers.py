"""What a session tells its trackers. A tracker that fails is dropped, and said so once."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch

from aswa.config import RunConfig
from aswa.registry import load, trackers
from aswa.results.store import CorruptRecord, read_record
from aswa.trackers.series import epoch_values, final_values
from aswa.trackers.tracker import Tracker

Report = Callable[[str], None]
GIVE_SECONDS = 1.0


class Trackers:
    """The trackers of one run, in the process that writes its folder.

    Args:
        chosen: options by name.
        report: gets a line where the run can be seen, and one for a tracker that fails.
    """

    def __init__(self, chosen: Mapping[str, Mapping[str, Any]], report: Report) -> None:
        self._report = report
        self._waiting: dict[str, Mapping[str, Any]] = dict(chosen)
        self._running: dict[str, Tracker] = {}
        self._pending: dict[int, float] = {}  # epochs that the trackers have not yet
        self._given = time.monotonic()

    def start(
        self, config: RunConfig, history: Callable[[], Mapping[str, Any]], seconds: Mapping = {}
    ) -> None:
        """A run begins, or goes on after the epochs of its history.

        Args:
            history: gives it as it is at the moment; asked where there is a tracker.
            seconds: epoch → what it took.
        """
        if not self._waiting:
            return
        self._history = history
        before = history()
        past = [epoch_values(before, i, seconds.get(e)) for i, e in enumerate(before["epoch"])]
        places: list[str] = []
        waiting, self._waiting = self._waiting, {}
        for name, options in waiting.items():
            with self._guarded(name):
                self._running[name] = tracker = load(trackers()[name])(options)
                places.append(f"{name}: {tracker.start(config, [dict(values) for values in past])}")
        for place in places:
            self._report(place)

    def log(self, epoch: int, seconds: float) -> None:
        """Epoch `epoch` of the history is over, and took `seconds`.

        Short epochs are given to the trackers together, about every second.
        """
        if self._running:
            self._pending[epoch] = seconds
            if time.monotonic() - self._given >= GIVE_SECONDS:
                self._give()

    def _give(self) -> None:
        pending, self._pending = self._pending, {}
        history = self._history() if pending else {}
        for epoch, seconds in pending.items():
            values = epoch_values(history, epoch - 1, seconds)
            for name, tracker in list(self._running.items()):
                with self._guarded(name):
                    tracker.log(dict(values))
        self._given = time.monotonic()

    def finish(self, record: Mapping[str, Any] | None) -> None:
        """The run is over, with its record, or without one where it failed."""
        self._give()
        summary = {} if record is None else final_values(record)
        for name, tracker in list(self._running.items()):
            with self._guarded(name):
                tracker.finish(dict(summary), failed=record is None)
        self._running = {}

    def interrupt(self) -> None:
        """The process ends before the run does; another one will go on with it."""
        self._give()
        for name, tracker in list(self._running.items()):
            with self._guarded(name):
                tracker.interrupt()
        self._running = {}

    @contextlib.contextmanager
    def _guarded(self, name: str) -> Any:
        """Whatever a tracker does, the run goes on as it would: its random numbers too."""
        gpus = range(torch.cuda.device_count() if torch.cuda.is_initialized() else 0)
        try:
            with torch.random.fork_rng(gpus, device_type="cuda"):
                yield
        except Exception as error:  # whatever a service or its client can come up with
            tracker = self._running.pop(name, None)
            if tracker is not None:
                with contextlib.suppress(Exception):
                    tracker.finish({}, failed=True)  # else the next run here logs into it
            told = " ".join(str(error).split()) or type(error).__name__
            self._report(f"tracker={name}: {told}; the run goes on without it")


def mirror_finished(config: RunConfig, record: Mapping[str, Any], report: Report) -> None:
    """Give the trackers of `config` a run that was finished before, from what it recorded.

    What its epochs took is not recorded, so trackers do not get `epoch_seconds`.
    """
    path = Path(config.folder, "history.json")
    try:
        history = read_record(path)
    except (FileNotFoundError, CorruptRecord) as error:
        report(
            f"{config.title}: done before, and its epochs cannot be read ({error}), so no tracker "
            f"gets them; remove {config.folder} and give the same command to train it again"
        )
        return
    report(f"{config.title}: done before; its recorded epochs go to {config.tracker.name}")
    chosen = Trackers(config.tracker.options, report)
    chosen.start(config, lambda: history)
    chosen.finish(record)
