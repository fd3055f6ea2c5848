"""One run from its configuration to its record, whatever happens in between."""

from __future__ import annotations

import contextlib
import io
import os
import signal
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from aswa import distributed
from aswa.config import ConfigError, RunConfig
from aswa.files import write_bytes
from aswa.registry import TASKS, load
from aswa.results.folder import RunFolder
from aswa.results.provenance import versions
from aswa.results.store import SCHEMA, CorruptRecord
from aswa.tasks.task import Task
from aswa.training.checkpoint import load_checkpoint, remove_checkpoints
from aswa.training.preemption import Preempted, Stopping
from aswa.training.record import run_record
from aswa.training.reuse import Again, evaluate_again
from aswa.training.saving import Pauses, Saver
from aswa.training.trackers import Tracker, build_tracker
from aswa.training.trajectory import Trajectory

Report = Callable[[str], None]
OnEpoch = Callable[[Trajectory], None]


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
        on_epoch: called after every epoch.
        wait: for another process that is computing the run.

    Returns:
        the record, as in `result.json`.

    Raises:
        Busy: another process is computing it, and `wait` is false.
        Exception: whatever ended the run; its traceback is in `status.json`.
        SystemExit: a signal of `aswa.training.preemption` asked for it; the run is saved.
    """
    return find_or_compute(config, report, on_epoch, wait)[0]


def find_or_compute(
    config: RunConfig, report: Report, on_epoch: OnEpoch, wait: bool
) -> tuple[dict[str, Any], bool]:
    """As `execute`, and whether it was this call that computed the run."""
    torch.set_num_threads(config.threads)
    device = pick_device(config.device)
    distributed.join(device)
    folder = RunFolder(config.folder, report)
    # Under torchrun the first process works for all in the folder and at the tracker.
    first = distributed.rank() == 0
    stopping = Stopping()
    with folder.lock(wait) if first else contextlib.nullcontext(), stopping:
        record = distributed.share(folder.result() if first else None)
        if record is not None:
            return record, False
        # How a run ends is written with the last checkpoint still named, so that it can go on.
        tracker = build_tracker(config.tracker.name if first else "none")
        try:
            record = _compute(config, device, folder, tracker, report, on_epoch, stopping)
        except (KeyboardInterrupt, Preempted) as end:
            if first:
                folder.write_status(
                    "interrupted", checkpoint=folder.status().get("checkpoint"), by=repr(end)
                )
            tracker.interrupt()
            if isinstance(end, KeyboardInterrupt):
                raise
            stopping.received = end.number  # of another process, maybe
        except Exception:
            if first:
                checkpoint, died = folder.status().get("checkpoint"), traceback.format_exc()
                with contextlib.suppress(OSError):  # a full disk, which is then what it died of
                    folder.write_status("failed", checkpoint=checkpoint, traceback=died)
            tracker.finish({}, failed=True)
            raise
    if stopping.received is not None:
        name = signal.Signals(stopping.received).name
        state = "the run is done" if record else "saved; the same command goes on from here"
        report(f"{name}: {state}")
        stopping.pass_on(stopping.received)
    return record, True


def _compute(
    config: RunConfig,
    device: torch.device,
    folder: RunFolder,
    tracker: Tracker,
    report: Report,
    on_epoch: OnEpoch,
    stopping: Stopping,
) -> dict[str, Any]:
    start = time.perf_counter()
    _check(config, device)
    first = distributed.rank() == 0
    checkpoint = distributed.share(folder.status().get("checkpoint") if first else None)
    if first:
        folder.write_status("running", checkpoint=checkpoint, epochs=config.epochs)
    task: Task = load(TASKS[config.task.name].path)(config, device)
    alone = distributed.world_size() == 1
    if checkpoint is None and alone:
        stopping.at_once = lambda: True  # nothing is lost but the evaluation
        again = evaluate_again(config, task)
        stopping.at_once = lambda: False
        if again is not None:
            return _write_again(config, folder, again, tracker)
    trajectory, earlier = _resume(config, task, folder, checkpoint, report)

    def total() -> float:
        return earlier + time.perf_counter() - start

    saver = Saver(config, trajectory, folder, total)
    pauses = Pauses(stopping, saver, device)
    trajectory.pause = pauses.within_epoch
    stopping.at_once = lambda: alone and trajectory.scoring
    tracker.start(config)
    try:
        while not trajectory.finished:
            trajectory.run_epoch()
            tracker.log(trajectory.epoch, _latest(trajectory.history))
            on_epoch(trajectory)
            pauses.after_epoch()
        stopping.at_once = lambda: alone  # from here on the trajectory stays as it is
        record = run_record(config, task, trajectory)
        stopping.at_once = lambda: False
    except Preempted:
        stopping.at_once = lambda: False
        saver.save()
        raise
    record["seconds"]["total"] = total()
    if first:
        _write(config, folder, record, task, trajectory)
    tracker.finish(_summary(record))
    return record


def _write_again(
    config: RunConfig,
    folder: RunFolder,
    again: Again,
    tracker: Tracker,
) -> dict[str, Any]:
    """A run whose weights are another one's."""
    tracker.start(config)
    if config.save_weights:
        for name in config.methods:
            content = (again.weights / f"{name}.pt").read_bytes()
            write_bytes(folder.path / "weights" / f"{name}.pt", content)
    record, seconds = again.record, again.record["seconds"]["total"]
    folder.write_result(record, again.history)
    folder.write_status(record["status"], epochs=config.epochs, seconds=seconds)
    tracker.finish(_summary(record))
    return record


def _check(config: RunConfig, device: torch.device) -> None:
    """What cannot be computed on this device or by these processes."""
    if config.precision in ("tf32", "fp16") and device.type != "cuda":
        raise ConfigError(f"precision={config.precision}: for GPUs only; take fp32 or bf16 here")
    if distributed.world_size() > 1 and config.dataset.kind != "images":
        raise ConfigError(
            f"dataset={config.dataset.name}: torchrun is for images; several link predictors run "
            "side by side, with -m and hydra/launcher=joblib"
        )


def _write(
    config: RunConfig, folder: RunFolder, record: dict[str, Any], task: Task, trajectory: Trajectory
) -> None:
    """Everything of a finished run, `result.json` last but for the status."""
    if config.save_weights:
        _save_weights(folder.path, trajectory)
    history = {"schema": SCHEMA, "run_id": config.run_id, "selection_metric": task.selection_metric}
    folder.write_result(record, {**history, **trajectory.history})
    folder.write_status(
        record["status"],
        epoch=trajectory.epoch,
        epochs=config.epochs,
        seconds=record["seconds"]["total"],
    )
    remove_checkpoints(folder.path)


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
    if device.type == "cuda":
        # Index sums and matrix products in a fixed order, as far as CUDA offers one.
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        torch.use_deterministic_algorithms(True, warn_only=True)
        # That would also fill all new memory with NaN; ours is written before it is read.
        torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    if device.type == "cuda" and device.index is None:
        device = torch.device("cuda", distributed.local_rank())
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise ConfigError(
            f"device={name}: this machine has {torch.cuda.device_count()} CUDA device(s); "
            "take device=cpu or device=auto"
        )
    return device


def _resume(
    config: RunConfig,
    task: Task,
    folder: RunFolder,
    checkpoint: dict[str, Any] | None,
    report: Report,
) -> tuple[Trajectory, float]:
    """The trajectory at its checkpoint, if there is a good one, and the seconds spent before."""
    trajectory = Trajectory(config, task)
    if checkpoint is None:
        return trajectory, 0.0
    try:
        state = load_checkpoint(folder.path, checkpoint, task.device)
        if state["versions"] != versions():
            raise CorruptRecord(folder.path, "the checkpoint is of other package versions")
        trajectory.load_state_dict(state)
    except CorruptRecord as error:
        report(f"{error}; the run starts from the beginning")
        return Trajectory(config, task), 0.0
    except Exception as error:  # written by another state of the code, whatever that broke
        reason = f"{type(error).__name__}: {error}"
        report(f"{folder.path}: the checkpoint does not fit ({reason}); starting anew")
        return Trajectory(config, task), 0.0
    within = ", in the middle of the next" if trajectory.begun.batches else ""
    report(f"going on after epoch {trajectory.epoch} of {trajectory.config.epochs}{within}")
    return trajectory, float(state["total"])


def _save_weights(folder: Path, trajectory: Trajectory) -> None:
    for name, averager in trajectory.averagers.items():
        buffer = io.BytesIO()
        torch.save(averager.module.state_dict(), buffer)  # batch-norm as it was evaluated
        write_bytes(folder / "weights" / f"{name}.pt", buffer.getvalue())


def _latest(history: dict[str, Any]) -> dict[str, float]:
    """The last entry of a history, as flat names for a tracker."""
    values = {"train/loss": history["train_loss"][-1]}
    for name, scores in history["valid"].items():
        if scores[-1] is not None:
            values[f"valid/{name}"] = scores[-1]
    if history["decision"][-1] is not None:
        values["decision"] = ("reject", "soft", "hard").index(history["decision"][-1])
    return values


def _summary(record: dict[str, Any]) -> dict[str, Any]:
    """The final values of a record, as flat names for a tracker."""
    summary = {f"{r['split']}/{r['metric']}/{r['optimizer']}": r["value"] for r in record["rows"]}
    summary |= {f"decisions/{key}": n for key, n in record["decisions"].items()}
    return {**summary, "status": record["status"], "seconds": record["seconds"]["total"]}
