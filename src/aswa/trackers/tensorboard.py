"""TensorBoard: event files in `tensorboard/` of the run's folder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from aswa.config import RunConfig
from aswa.trackers.tracker import Tracker, Values

FLUSH_SECONDS = 10


class TensorBoard(Tracker):
    """Numbers are scalars by epoch, decisions are texts; `tensorboard --logdir RESULTS/runs`.

    The event files of an interrupted process are replaced: they may lack what it had not yet
    written, or hold epochs that are trained again.
    """

    package = extra = "tensorboard"
    _writer: Any = None

    def start(self, config: RunConfig, past: Sequence[Values]) -> str:
        from torch.utils.tensorboard import SummaryWriter

        folder = config.folder / "tensorboard"
        before = list(folder.glob("events.out.tfevents.*"))
        # With a purge step, a TensorBoard that is open forgets what the other files held.
        self._writer = SummaryWriter(str(folder), purge_step=0, flush_secs=FLUSH_SECONDS)
        for path in before:
            path.unlink()
        self._writer.add_text("title", config.title, 0)
        self._epoch, self._known = 0, set[str]()
        for values in past:
            self.log(values)
        return str(folder)

    def log(self, values: Values) -> None:
        self._epoch = int(values["epoch"])
        self._add(values)
        self._known.update(values)

    def finish(self, summary: Mapping[str, Any], failed: bool = False) -> None:
        """Final values that are no series, such as those of the test split, at the last epoch."""
        if self._writer is not None:
            self._add({name: v for name, v in summary.items() if name not in self._known})
        self.interrupt()

    def interrupt(self) -> None:
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    def _add(self, values: Mapping[str, Any]) -> None:
        for name, value in values.items():
            if isinstance(value, str):
                self._writer.add_text(name, value, self._epoch)
            elif value is not None and name != "epoch":
                self._writer.add_scalar(name, value, self._epoch)
