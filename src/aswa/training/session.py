"""One run from its configuration to its record, whatever happens in between."""

from __future__ import annotations

import contextlib
import os
import signal
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from aswa import distributed
from aswa.config import ConfigError, RunConfig
from aswa.files import write_bytes
from aswa.registry import load
from aswa.results.folder import RunFolder
from aswa.results.provenance import available_cores
from aswa.results.store import SCHEMA
from aswa.tasks.task import Task
from aswa.training.checkpoint import Checkpoints
from aswa.training.display import Display
from aswa.training.kept import keep_sample, keep_snapshot, keep_weights
from aswa.training.preemption import Preempted, Preemption
from aswa.training.record import run_record
from aswa.training.reuse import evaluate_again
from aswa.training.trackers import Trackers
from aswa.training.work import Work

Report = Callable[[str], None]
OnEpoch = Callable[[Any], object]
NOTHING = Display()
LONG_EPOCH = 5.0  # seconds, above which a word on threads is due
TRACEBACK = "traceback.txt"  # of a run that failed, beside its status


def execute(
    config: RunConfig,
    report: Report = print,
    on_epoch: OnEpoch = lambda _: None,
    wait: bool = True,
) -> dict[str, Any]:
    """Compute a run, or find it done.

    A finished run is returned as it is; an interrupted one goes on from its last checkpoint; a
    failed one is tried again. `status.json` tells how far it is, or what it died of.

    Args:
        config: of the run.
        report: gets lines for a person.
        on_epoch: called with the `Work` after every epoch.
        wait: for another process that is computing the run.

    Returns:
        the record, as in `result.json`.

    Raises:
        Busy: another process is computing it, and `wait` is false.
        CannotResume: its checkpoint cannot be used; the checkpoint is kept.
        Exception: whatever ended the run; its traceback is in `status.json`.
        SystemExit: a signal of `aswa.training.preemption` asked for it; the run is saved.
    """
    return find_or_compute(config, report, on_epoch, wait)[0]


def find_or_compute(
    config: RunConfig,
    report: Report,
    on_epoch: OnEpoch = lambda _: None,
    wait: bool = True,
    shown: Display = NOTHING,
) -> tuple[dict[str, Any], bool]:
    """As `execute`, and whether it was this call that computed the run.

    Args:
        shown: told how far the run is.
    """
    torch.set_num_threads(config.threads)
    device = pick_device(config.device)
    distributed.join(device)
    distributed.train_members_apart(config.population.members > 1)
    folder = RunFolder(config.folder, report)
    # Under torchrun the first process works for all in the folder and at the tracker.
    first = distributed.rank() == 0
    preemption = Preemption(device)
    with folder.lock(wait) if first else contextlib.nullcontext(), preemption:
        record = distributed.broadcast_object(folder.result() if first else None)
        if record is not None:
            return record, False
        record = _Session(config, device, folder, preemption, report, shown).run(on_epoch)
    if preemption.received is not None:
        name = signal.Signals(preemption.received).name
        state = "the run is done" if record else "saved; the same command goes on from here"
        report(f"{name}: {state}")
        preemption.pass_on(preemption.received)
    assert record is not None
    return record, True


@dataclass
class _Session:
    """The computation of a run in its locked folder."""

    config: RunConfig
    device: torch.device
    folder: RunFolder
    preemption: Preemption
    report: Report
    shown: Display

    def __post_init__(self) -> None:
        self.first = distributed.rank() == 0
        self.trackers = Trackers(self.config.tracker.options if self.first else {}, self.report)
        self.about = {"title": self.config.title, "epochs": self.config.epochs}
        self.checkpoints = Checkpoints(self.folder, self.config.checkpoint_seconds, self.about)

    def run(self, on_epoch: OnEpoch) -> dict[str, Any] | None:
        """The record; None if a signal ended the run, which is saved."""
        try:
            return self._compute(on_epoch)
        except (KeyboardInterrupt, Preempted) as end:
            self._note("interrupted", by=repr(end))
            self.trackers.interrupt()
            if isinstance(end, KeyboardInterrupt):
                raise
            self.preemption.received = end.number  # of another process, maybe
            return None
        except Exception:
            told = traceback.format_exc()
            self._note("failed", traceback=told)
            if self.first:
                with contextlib.suppress(OSError):
                    write_bytes(self.folder.path / TRACEBACK, told.encode())
            self.trackers.finish(None)
            raise

    def _note(self, state: str, **details: Any) -> None:
        """Say how the run stands, with its checkpoint still named, so that the run can go on."""
        if self.first:
            with contextlib.suppress(OSError):  # a full disk, which is then what it died of
                entry = self.checkpoints.entry
                self.folder.write_status(state, checkpoint=entry, **self.about, **details)

    def _compute(self, on_epoch: OnEpoch) -> dict[str, Any]:
        config = self.config
        _check(config, self.device)
        self._note("running")
        declared = config.kind.tasks[config.task.name]
        try:
            task: Task = load(declared.path)(config, self.device)
        except FileNotFoundError as error:
            raise ConfigError(f"dataset={config.dataset.name}: {error}") from None
        if self.checkpoints.entry is None and distributed.world_size() == 1:
            with self.preemption.at_any_moment():  # nothing is lost but the evaluation
                reused = evaluate_again(config, task)
            if reused is not None:
                self.trackers.start(config, lambda: reused[1])
                self._write(*reused)
                return reused[0]
        _check_selection(config, task)
        work: Work = load(declared.work)(config, task)
        self.about["epochs"] = work.epochs
        self.checkpoints.resume(work, self.device, config.resume, self.report)
        self.trackers.start(config, lambda: work.history, self.checkpoints.epoch_seconds)
        record = self._finish(work, on_epoch)
        record["seconds"] = self.checkpoints.all_seconds(record["seconds"])
        unknown = [n for n, said in record["metrics"].items() if said["higher_is_better"] is None]
        if unknown:
            self.report(f"not declared by task={config.task.name}: {', '.join(unknown)}")
        if self.first:
            history = {"schema": SCHEMA, "run_id": config.run_id, **work.history}
            weights = work.weights() if config.save_weights or declared.sample else {}
            self._write(record, history, weights)
            if write := declared.sample and load(declared.sample):
                keep_sample(config, self.folder.path, write, task, weights, self.report)
        return record

    def _finish(self, work: Work, on_epoch: OnEpoch) -> dict[str, Any]:
        """Bring `work` to its end, or save it where a signal ends it."""
        preemption, checkpoints = self.preemption, self.checkpoints
        preemption.due = lambda: checkpoints.due
        preemption.save = lambda: checkpoints.save(work)
        preemption.interruptible = lambda: work.interruptible
        work.stage = self.shown.stage

        def pause() -> None:
            self.shown.moment(work)
            preemption.pause()

        work.pause = pause
        try:
            while not work.finished:
                checkpoints.start_epoch()
                work.advance()
                seconds = checkpoints.end_epoch(work.epoch)
                self._snapshot(work)
                self.trackers.log(work.epoch, seconds)
                self.shown.epoch(work)
                self._hint(seconds)
                on_epoch(work)
                preemption.meet()
            with preemption.at_any_moment():  # from here on the weights stay as they are
                found = work.record()
            for words in found.get("words", ()):
                self.report(f"{self.config.title}: {words}")
        except Preempted:
            checkpoints.save(work)
            raise
        return run_record(self.config, self.device, found)

    def _hint(self, seconds: float) -> None:
        """Once, after a long epoch on fewer threads than there are."""
        cores = available_cores()
        if seconds > LONG_EPOCH and self.config.threads < cores and self.device.type == "cpu":
            self.shown.hint(
                f"an epoch takes {seconds:.0f} s with threads={self.config.threads}; "
                f"threads={cores} may be faster"
            )

    def _write(
        self, record: dict[str, Any], history: dict[str, Any], weights: dict[str, list[nn.Module]]
    ) -> None:
        """Everything of a finished run, `result.json` last but for the status."""
        if self.config.save_weights:
            keep_weights(self.folder.path, weights)
        self.folder.write_result(record, history)
        (self.folder.path / TRACEBACK).unlink(missing_ok=True)
        ended = {"epoch": len(history["epoch"]), "seconds": record["seconds"]["total"]}
        self.folder.write_status(record["status"], **self.about, **ended)
        self.checkpoints.remove()
        self.trackers.finish(record)

    def _snapshot(self, work: Work) -> None:
        if self.first and (every := self.config.save_snapshots) and work.epoch % every == 0:
            keep_snapshot(self.folder.path, work.epoch, work.snapshot())


def _check(config: RunConfig, device: torch.device) -> None:
    """What cannot be computed on this device or by these processes."""
    if config.precision in ("tf32", "fp16") and device.type != "cuda":
        raise ConfigError(f"precision={config.precision}: for GPUs only; take fp32 or bf16 here")
    n, members = distributed.world_size(), config.population.members
    if n > 1 and members > 1:
        if n != members:
            raise ConfigError(
                f"population.members={members}: under torchrun each process trains one member; "
                f"take --nproc-per-node={members}, or one process for all"
            )
    elif n > 1 and not config.kind.torchrun:
        raise ConfigError(
            f"dataset={config.dataset.name}: one run of this kind does not share its work among "
            "processes of torchrun; several run side by side, with -m and hydra/launcher=joblib"
        )


def _check_selection(config: RunConfig, task: Task) -> None:
    """Methods select by the highest score, so the selection metric has to be better when higher."""
    name = task.selection_metric
    if config.metrics([name])[name]["higher_is_better"] is not True:
        raise ConfigError(
            f"task={config.task.name}: its selection_metric {name!r} is not declared with "
            "higher_is_better=True; select by a metric that is, such as the negative of an error"
        )


def pick_device(name: str) -> torch.device:
    """`auto`, `cpu`, `cuda` or `cuda:N` as a device; under torchrun `cuda` is this process's own.

    Raises:
        ConfigError: there is no such device here.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
    except RuntimeError:
        raise ConfigError(f"device={name}: no such device; take cpu, cuda or cuda:1") from None
    if device.type != "cuda":
        return device
    # Index sums and matrix products in a fixed order, as far as CUDA offers one.
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(True, warn_only=True)
    # That would also fill all new memory with NaN; ours is written before it is read.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    index = distributed.local_rank() if device.index is None else device.index
    if index >= torch.cuda.device_count():
        raise ConfigError(
            f"device={name}: this machine has {torch.cuda.device_count()} CUDA device(s); "
            "take device=cpu or device=auto"
        )
    return torch.device("cuda", index)
