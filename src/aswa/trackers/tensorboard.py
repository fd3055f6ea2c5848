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
        from tensorboard.compat.proto.event_pb2 import Event, SessionLog
        from torch.utils.tensorboard import FileWriter

        folder = config.folder / "tensorboard"
        before = list(folder.glob("events.out.tfevents.*"))
        self._writer = FileWriter(str(folder), flush_secs=FLUSH_SECONDS)
        for path in before:
            path.unlink()
        # A TensorBoard that is open forgets what the files before held.
        began = SessionLog(status=SessionLog.START)
        self._writer.add_event(Event(step=0, session_log=began))
        self._add({"title": config.title}, 0)
        self._epoch, self._known = 0, set[str]()
        for values in past:
            self.log(values)
        return str(folder)

    def log(self, values: Values) -> None:
        self._epoch = int(values["epoch"])
        self._known.update(values)
        self._add({name: value for name, value in values.items() if name != "epoch"}, self._epoch)

    def finish(self, summary: Mapping[str, Any], failed: bool = False) -> None:
        """Final values that are no series, such as those of the test split, at the last epoch."""
        if self._writer is not None:
            others = {n: v for n, v in summary.items() if n not in self._known and v is not None}
            self._add(others, self._epoch)
        self.interrupt()

    def interrupt(self) -> None:
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    def _add(self, values: Mapping[str, Any], epoch: int) -> None:
        """All in one event, which is cheaper than one event a value."""
        from tensorboard.compat.proto.summary_pb2 import Summary
        from torch.utils.tensorboard.summary import text

        words = {name: value for name, value in values.items() if isinstance(value, str)}
        summary = Summary(
            value=[
                Summary.Value(tag=name, simple_value=value)
                for name, value in values.items()
                if name not in words
            ]
        )
        for name, word in words.items():
            summary.value.extend(text(name, word).value)
        self._writer.add_summary(summary, epoch)
