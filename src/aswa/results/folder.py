"""The folder of one run: who works in it, what state it is in, how it ended."""

from __future__ import annotations

import contextlib
import datetime
import fcntl
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from aswa.results.store import SCHEMA, CorruptRecord, read_record, read_result, write_record


class RunFolder:
    """`RESULTS_DIR/runs/<dataset>/<model>/<run_id>/`.

    Args:
        path: the folder; made when it is first locked.
        report: called with a line for a person when something had to be put aside.
    """

    def __init__(self, path: Path, report: Any = print) -> None:
        self.path, self._report = path, report

    @contextlib.contextmanager
    def lock(self) -> Iterator[None]:
        """Only one process works in the folder; another one waits. A dead one's lock is gone."""
        self.path.mkdir(parents=True, exist_ok=True)
        with (self.path / ".lock").open("w") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                self._report(f"{self.path}: another process is computing this run; waiting for it")
                fcntl.flock(file, fcntl.LOCK_EX)
            for leftover in self.path.glob(".*.tmp"):  # of a writer that was killed
                leftover.unlink(missing_ok=True)
            yield

    def result(self) -> dict[str, Any] | None:
        """The finished run's record; None if there is none that can be trusted."""
        try:
            return read_result(self.path / "result.json")
        except FileNotFoundError:
            return None
        except CorruptRecord as error:
            self._report(f"{error}; the run is done again")
            return None

    def status(self) -> dict[str, Any]:
        """What `status.json` says; empty if there is none that can be trusted."""
        try:
            return read_record(self.path / "status.json")
        except FileNotFoundError:
            return {}
        except CorruptRecord as error:
            self._report(f"{error}; the run starts from the beginning")
            return {}

    def write_status(self, state: str, **details: Any) -> None:
        """Say that the run is `running`, `interrupted`, `failed`, `done` or `collapsed`."""
        now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
        record = {"schema": SCHEMA, "run_id": self.path.name, "status": state, "updated": now}
        write_record(self.path / "status.json", {**record, **details})

    def write_result(self, record: dict[str, Any], history: dict[str, Any]) -> None:
        """Write `history.json`, then `result.json`, which makes the run a finished one."""
        write_record(self.path / "history.json", history)
        write_record(self.path / "result.json", record)
