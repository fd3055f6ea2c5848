"""One job of `aswa-train`: alone, or in a process that a launcher started."""

from __future__ import annotations

import errno
import math
import os
import sys
import time
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from aswa.config import ConfigError, RunConfig, remarks, resolve
from aswa.results.folder import Busy, RunFolder
from aswa.sweeping import progress
from aswa.sweeping.beside import beside
from aswa.sweeping.plan import check_run, load_plan, write_plan
from aswa.sweeping.workers import die_with_launcher, take_gpu

FULL = (errno.ENOSPC, errno.EDQUOT)  # a disk or a quota
BUSY = "busy"  # what a job returns whose run another sweep is computing


class RunFailed(RuntimeError):
    """A run, or some of a sweep, ended with an exception, which its status.json holds."""


class RunHopeless(RunFailed):
    """The same, and it would end so again: the loss diverged."""


def say(text: str) -> None:
    """A line for a person; under torchrun the first process speaks."""
    if _first():
        print(f"aswa-train: {text}", file=sys.stderr)


def _first() -> bool:
    return os.environ.get("RANK", "0") == "0"


def run_job(composed: DictConfig, overrides: list[str]) -> str:
    """Compute the run of a composed configuration, or find it done, and print its headline.

    Args:
        composed: by Hydra; `planned` in it is the folder of a run that a sweep planned.
        overrides: that it was composed with.

    Returns:
        the run's status, or BUSY if another process is computing it.
    """
    planned = composed.get("planned")
    if planned is None:
        config = resolve(composed, overrides)
        notes = remarks(config, composed)
    else:
        config, notes = load_plan(Path(planned))
    for note in notes:
        say(note)
    began = time.perf_counter()
    folder = RunFolder(config.folder, report=lambda _: None)  # the session reports
    record = folder.result()
    took = "already done"
    if record is not None and config.save_weights and not (config.folder / "weights").is_dir():
        say(
            f"{config.title}: done before without save_weights, so its weights are gone; remove "
            f"{config.folder} and give the same command to train it again"
        )
    if progress.dry_run():
        print(f"{config.title}: {'to do' if record is None else took}, {config.folder}")
        return "to do" if record is None else str(record["status"])
    if record is not None and config.tracker.options and _first():
        from aswa.training.trackers import mirror_finished

        mirror_finished(config, record, say)
    if record is None:
        if planned is None:
            check_run(config)
            new = not config.folder.exists()
            if _first():
                write_plan(composed, config, overrides)
        try:
            record, computed = _compute(config, wait=planned is None)
        except ConfigError:
            if planned is None and new and _first():
                folder.remove_unbegun()
            raise
        except Busy:
            return BUSY
        if computed:
            took = f"{time.perf_counter() - began:.1f} s"
    if _first():
        place = progress.note_end(time.perf_counter() - began)
        print(f"{place}{config.title}: {headline(record, config.headline)} ({took})", flush=True)
        if published := composed.get("published"):
            print(beside(record, published), flush=True)
    return str(record["status"])


def _compute(config: RunConfig, wait: bool) -> tuple[dict[str, Any], bool]:
    """The run's record, and whether it was computed here."""
    from aswa.training.checkpoint import CannotResume
    from aswa.training.display import display
    from aswa.training.session import TRACEBACK, find_or_compute
    from aswa.training.trajectory import Diverged

    die_with_launcher()
    if progress.launcher() is not None and config.device in ("auto", "cuda"):
        take_gpu()
    try:
        with display(config, say, in_sweep=progress.in_sweep(), quiet=progress.quiet()) as shown:
            return find_or_compute(config, say, wait=wait, shown=shown)
    except (ConfigError, Busy):
        raise
    except SystemExit as end:  # the run is saved; a signal wants the process to end
        if progress.launcher() is not None:
            # joblib would send the exception home as an answer, and keep its worker.
            sys.stderr.flush()
            os._exit(int(end.code or 0))
        raise
    except Exception as error:
        expected = isinstance(error, (Diverged, CannotResume))
        kind = RunHopeless if expected else RunFailed
        full = isinstance(error, OSError) and error.errno in FULL
        if not expected and not full and not progress.in_sweep():
            traceback.print_exc()
        place = config.folder / TRACEBACK
        seen = f"\n  {place}" if place.is_file() else ""
        raise kind(f"{config.title}: {type(error).__name__}: {error}{seen}") from error


def headline(record: dict[str, Any], metrics: Sequence[str]) -> str:
    """Test values of each method, of the metrics that the run has."""
    parts = []
    for metric in metrics:
        rows = [r for r in record["rows"] if (r["split"], r["metric"]) == ("test", metric)]
        values = [
            f"{r['optimizer']} {math.nan if r['value'] is None else r['value']:.3f}" for r in rows
        ]
        if values:
            parts.append(f"test {metric} {', '.join(values)}")
    return "; ".join(parts)
