"""Checkpoints that a kill at any moment cannot spoil, and that are never deleted unread.

A checkpoint is a file of plain tensors; `status.json` names the one that counts, with its sha256.
The file is written first and the status after it, both atomically, so the status always points to
a whole file. A new checkpoint replaces the one before. A checkpoint that could not be resumed is
kept, whatever the reason, until its owner decides.
"""

from __future__ import annotations

import hashlib
import io
import time
from collections.abc import Callable, Mapping
from typing import Any

import torch

from aswa import distributed
from aswa.files import write_bytes
from aswa.results.folder import RunFolder
from aswa.results.provenance import versions
from aswa.training.work import Work

MAX_CHECKPOINT_TIME_SHARE = 1 / 20
CHANGE_NUMBERS = ("aswa", "torch", "numpy")  # packages


class CannotResume(RuntimeError):
    """A checkpoint is there and cannot be used; it stays where it is."""


class Checkpoints:
    """The checkpoint of a run, written by the clock.

    Under torchrun all processes call the methods together, and the first writes.

    Args:
        seconds: from one checkpoint to the next, longer where saving takes long; 0 is always.
        about: what the status says of the run besides.

    Attributes:
        entry: what the status says of the checkpoint that counts; None if there is none.
        total: seconds that the run took so far, those before an interruption included.
        parts: of them, on `setup` (data, models, resuming) and on `checkpoint`.
        epoch_seconds: epoch → seconds of training, averaging and evaluation.
    """

    def __init__(self, folder: RunFolder, seconds: float, about: Mapping[str, Any]) -> None:
        self._folder, self._seconds, self._about = folder, seconds, about
        self._first = distributed.rank() == 0
        self._saved = self._start = self._begun = time.monotonic()
        self._took = 0.0
        self.parts = {"setup": 0.0, "checkpoint": 0.0}
        self._marks: dict[str, Any] = {}
        self.epoch_seconds: dict[int, float] = {}
        self._epoch_start = time.monotonic()  # of the unfinished one, by the clock
        self._spent = 0.0  # on it, before the run was interrupted
        self.entry = distributed.broadcast_object(self._named() if self._first else None)

    def _named(self) -> dict[str, Any] | None:
        """The entry of the status; where the status is lost, of the newest file."""
        entry: dict[str, Any] | None = self._folder.status().get("checkpoint")
        files = sorted(self._folder.path.glob("checkpoint-*.pt"), key=lambda p: p.stat().st_mtime)
        if entry is None and files:
            _, epoch, sha256 = files[-1].stem.split("-")
            entry = {"file": files[-1].name, "epoch": int(epoch), "sha256": sha256}
        return entry

    @property
    def total(self) -> float:
        return time.monotonic() - self._start

    def all_seconds(self, measured: dict[str, float]) -> dict[str, float]:
        """Every second of the run by part; `first_epoch` is a part of `train`."""
        found, total = measured | self.parts, self.total
        rest = total - sum(found.values()) + found.get("first_epoch", 0.0)
        return found | {"other": max(0.0, rest), "total": total}

    @property
    def due(self) -> bool:
        """Whether the first process's clock asks for a checkpoint."""
        share = self._took / MAX_CHECKPOINT_TIME_SHARE
        interval = max(self._seconds, share) if self._seconds else 0.0
        return self._first and time.monotonic() - self._saved >= interval

    def start_epoch(self) -> None:
        """From here on the run computes an epoch, or the rest of one."""
        self._epoch_start, self._spent = time.monotonic() - self._spent, 0.0

    def end_epoch(self, epoch: int) -> float:
        """Note the end of an epoch; the seconds that it took."""
        now = time.monotonic()
        seconds, self._epoch_start = now - self._epoch_start, now
        self.epoch_seconds[epoch] = seconds
        return seconds

    def save(self, work: Work) -> None:
        """Replace the checkpoint, unless weights are no numbers: then the one before stays."""
        if not work.weights_finite:
            return
        start = time.monotonic()
        state = work.state_dict() | {
            "total": self.total,
            "parts": self.parts,
            "versions": versions(),
            "epoch_seconds": self.epoch_seconds,
            "spent": time.monotonic() - self._epoch_start,  # on the unfinished epoch
        }
        if self._first:
            before, self.entry = self.entry, self._write(state, work.epoch)
            self._folder.write_status(
                "running", checkpoint=self.entry, **self._about,
                described=work.described, seconds=self.total,
            )  # fmt: skip
            if before is not None and before["file"] != self.entry["file"]:
                (self._folder.path / before["file"]).unlink(missing_ok=True)
        self._saved = time.monotonic()
        self._took = self._saved - start
        self.parts["checkpoint"] += self._took

    def _write(self, state: dict[str, Any], epoch: int) -> dict[str, Any]:
        content = serialised(state)
        sha256 = hashlib.sha256(content).hexdigest()
        name = f"checkpoint-{epoch:06d}-{sha256[:12]}.pt"  # no content has another's
        write_bytes(self._folder.path / name, content)
        return {"file": name, "epoch": epoch, "sha256": sha256, **self._marks}

    def resume(
        self, work: Work, device: torch.device, how: str, report: Callable[[str], None]
    ) -> None:
        """Let `work` go on from the checkpoint, where there is one. Ends the set-up of the run.

        Args:
            how: `auto`; `force`, also with other versions of packages; `restart`, from the
                beginning, once: a checkpoint that a restarted run wrote is resumed.

        Raises:
            CannotResume: says why and what to do. `work` is spoilt then.
        """
        try:
            self._resume(work, device, how, report)
        finally:
            self.parts["setup"] += time.monotonic() - self._begun

    def _resume(
        self, work: Work, device: torch.device, how: str, report: Callable[[str], None]
    ) -> None:
        if self.entry is None:
            return
        path = self._folder.path / str(self.entry["file"])
        restart, restarted = how == "restart", "restarted" in self.entry
        self._marks = {"restarted": True} if restart else {}
        if not path.is_file() or (restart and not restarted):
            why = f"the checkpoint {path} is gone"
            if path.is_file():
                why = f"the checkpoint is kept as {path}.kept"
                if self._first:
                    path.replace(f"{path}.kept")
            report(f"{why}; the run starts from the beginning")
            self.entry = None
            return
        anew = f"remove {path.name}" if restart else "give resume=restart"
        try:
            content = path.read_bytes()
            if not hashlib.sha256(content).hexdigest().startswith(self.entry["sha256"]):
                raise ValueError("the content does not match its sha256")
            state = torch.load(io.BytesIO(content), map_location=device, weights_only=True)
            if how != "force":
                _check_versions(state["versions"])
            work.load_state_dict(state)
        except Exception as error:  # out of memory too; no reason is good enough to lose work
            raise CannotResume(
                f"{path}: cannot go on from this checkpoint, which is kept: "
                f"{type(error).__name__}: {error}. Mend the cause and give the same command, or "
                f"{anew} to begin anew"
            ) from error
        self._start -= state["total"]
        self.parts = state.get("parts", self.parts)
        self.epoch_seconds = state.get("epoch_seconds", {})
        self._spent = state.get("spent", 0.0)
        within = ", in the middle of the next" if work.batches else ""
        report(f"going on after epoch {work.epoch} of {work.epochs}{within}")

    def remove(self) -> None:
        """Delete the checkpoints of a finished run, but not those kept by a restart."""
        for path in self._folder.path.glob("checkpoint-*.pt"):
            path.unlink(missing_ok=True)


def serialised(state: dict[str, Any]) -> bytes:
    """The content of a file of tensors."""
    buffer = io.BytesIO()
    torch.save(state, buffer)
    return buffer.getvalue()


def _check_versions(then: dict[str, str]) -> None:
    now = versions()
    if other := [name for name in CHANGE_NUMBERS if then.get(name) != now.get(name)]:
        found = ", ".join(f"{name} {then.get(name)}, now {now.get(name)}" for name in other)
        raise ValueError(f"written with {found}; resume=force goes on all the same")
