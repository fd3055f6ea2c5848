"""The folder of one run: who works in it, what state it is in, how it ended."""

from __future__ import annotations

import contextlib
import datetime
import os
import shutil
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from aswa.files import Locked, is_locked, lock
from aswa.results.store import CorruptRecord, read_record, read_result, write_record

LOCK, OWNER = ".lock", ".owner.json"


class Busy(RuntimeError):
    """Another process is computing this run."""


class RunFolder:
    """`RESULTS_DIR/runs/<dataset>/<model>/<run_id>/`.

    Args:
        path: the folder; made when it is first locked.
        report: called with a line for a person when something had to be put aside.
    """

    def __init__(self, path: Path, report: Any = print) -> None:
        self.path, self._report = path, report

    @contextlib.contextmanager
    def lock(self, wait: bool = True) -> Iterator[None]:
        """Only one process works in the folder; another one waits, or is told.

        The lock is the kernel's: when its owner dies, in whatever way, the lock is free.

        Raises:
            Busy: another process is at work, and `wait` is false.
        """
        path = self.path / LOCK
        if wait and is_locked(path):
            self._report(f"{self.path}: another process is computing this run; waiting for it")
        try:
            with lock(path, wait):
                owner: dict[str, Any] = {"host": socket.gethostname(), "pid": os.getpid()}
                if job := os.environ.get("SLURM_JOB_ID"):
                    owner["slurm_job"] = job
                write_record(self.path / OWNER, owner)
                for leftover in self.path.glob(".*.tmp"):  # of a writer that was killed
                    leftover.unlink(missing_ok=True)
                yield
        except Locked:
            raise Busy(self.path) from None

    def owner(self) -> dict[str, Any] | None:
        """Host, process and job of who works in the folder now; None if nobody does."""
        if not is_locked(self.path / LOCK):
            return None
        try:
            return read_record(self.path / OWNER)
        except (FileNotFoundError, CorruptRecord):  # it is just being written
            return {}

    def result(self) -> dict[str, Any] | None:
        """The finished run's record; None if there is none that can be trusted."""
        return self._read("result.json", read_result, "the run is done again")

    def status(self) -> dict[str, Any]:
        """What `status.json` says; empty if there is none that can be trusted."""
        lost = "what the run did before is not known"
        return self._read("status.json", read_record, lost) or {}

    def _read(self, name: str, read: Callable[[Path], Any], lost: str) -> dict[str, Any] | None:
        try:
            return read(self.path / name)
        except FileNotFoundError:
            return None
        except CorruptRecord as error:
            self._report(f"{error}; {lost}")
            return None

    def remove_unbegun(self) -> None:
        """Remove the folder of a run of which nothing was computed."""
        if not any(self.path.glob("checkpoint*")) and not (self.path / "result.json").exists():
            shutil.rmtree(self.path, ignore_errors=True)

    def write_status(self, state: str, **details: Any) -> None:
        """Say that the run is `running`, `interrupted`, `failed`, `done` or `collapsed`."""
        now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
        record = {"run_id": self.path.name, "status": state, "updated": now}
        write_record(self.path / "status.json", {**record, **details})

    def write_result(self, record: dict[str, Any], history: dict[str, Any]) -> None:
        """Write `history.json`, then `result.json`, which makes the run a finished one."""
        write_record(self.path / "history.json", history)
        write_record(self.path / "result.json", record)
