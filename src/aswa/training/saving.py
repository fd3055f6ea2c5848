"""When a run is saved, and where it may stop."""

from __future__ import annotations

import time
from collections.abc import Callable

import torch

from aswa import distributed
from aswa.config import RunConfig
from aswa.results.folder import RunFolder
from aswa.results.provenance import versions
from aswa.training.checkpoint import remove_checkpoints, save_checkpoint
from aswa.training.preemption import Preempted, Stopping
from aswa.training.trajectory import Trajectory

AT_MOST = 1 / 20  # of the time goes to checkpoints
ASKED_EVERY = 16  # batches, whether another process of torchrun got a signal


class Saver:
    """Saves a trajectory as its checkpoint, by the clock or at once.

    Args:
        total: seconds that the run took so far, those before it was interrupted included.
    """

    def __init__(
        self,
        config: RunConfig,
        trajectory: Trajectory,
        folder: RunFolder,
        total: Callable[[], float],
    ) -> None:
        self._config, self._trajectory, self._folder = config, trajectory, folder
        self._total = total
        self._saved, self._took = time.monotonic(), 0.0

    @property
    def due(self) -> bool:
        """Every `checkpoint_seconds`, or less often where saving takes long; 0 is always."""
        seconds = self._config.checkpoint_seconds
        interval = max(seconds, self._took / AT_MOST) if seconds else 0.0
        return time.monotonic() - self._saved >= interval

    def save(self) -> None:
        """Unless the weights are no numbers: then the checkpoint before is the one to keep.

        Under torchrun all processes call it, and the first writes.
        """
        if not self._trajectory.sound:
            return
        start = time.monotonic()
        state = self._trajectory.state_dict()
        if distributed.rank():
            self._saved = time.monotonic()
            return
        state |= {"total": self._total(), "versions": versions()}
        entry = save_checkpoint(self._folder.path, state)
        self._folder.write_status("running", checkpoint=entry, epochs=self._config.epochs)
        remove_checkpoints(self._folder.path, keep=entry["file"])
        self._saved = time.monotonic()
        self._took = self._saved - start


class Pauses:
    """What happens between two batches or averagers: a checkpoint now and then, or the end."""

    def __init__(self, stopping: Stopping, saver: Saver, device: torch.device) -> None:
        self._stopping, self._saver, self._device = stopping, saver, device
        self._asked = 0

    def within_epoch(self) -> None:
        """After every batch and averager."""
        self._asked += 1
        if distributed.world_size() == 1 or self._asked % ASKED_EVERY == 0:
            self.after_epoch()

    def after_epoch(self) -> None:
        """Here all processes of torchrun meet: a signal to one ends all, one's clock saves all."""
        received, due = self._stopping.received or 0, self._saver.due
        if distributed.world_size() > 1:
            received = distributed.largest(received, self._device)
            due = bool(distributed.largest(int(due), self._device))
        if received:
            raise Preempted(received)
        if due:
            self._saver.save()
