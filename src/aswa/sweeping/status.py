"""How far a sweep is, from its folders alone: files and their locks, on any machine."""

from __future__ import annotations

import statistics
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tabulate import tabulate

from aswa.results.folder import RunFolder
from aswa.results.store import FINISHED, has_result

STATES = ("done", "running", "interrupted", "failed", "waiting")


@dataclass(frozen=True)
class RunState:
    """One run's folder."""

    path: Path
    state: str  # of STATES. interrupted: begun, and nobody is at work on it; waiting: planned
    part: float = 0.0  # of its epochs done
    seconds: float | None = None  # that a finished run took
    note: str = ""  # who computes it, or the last line of its traceback

    @property
    def unit(self) -> str:
        """dataset × model"""
        return " × ".join(self.path.parts[-3:-1])


def read_state(path: Path) -> RunState:
    """The state of the run in a folder; damaged files count as not there."""
    folder = RunFolder(path, report=lambda line: None)
    status = folder.status()
    said = status.get("status")
    if said in FINISHED and has_result(path):
        return RunState(path, "done", 1.0, status.get("seconds"))
    checkpoint = status.get("checkpoint") or {}
    part = checkpoint.get("epoch", 0) / max(1, status.get("epochs") or 1)
    if (owner := folder.owner()) is not None:
        where = f"{owner.get('host', '?')}, process {owner.get('pid', '?')}"
        job = f", job {owner['slurm_job']}" if "slurm_job" in owner else ""
        return RunState(path, "running", part, note=where + job)
    if said == "failed":
        lines = str(status.get("traceback", "")).strip().splitlines()
        return RunState(path, "failed", part, note=lines[-1] if lines else "")
    return RunState(path, "interrupted" if said else "waiting", part)


def read_states(results_dir: Path) -> list[RunState]:
    """Every run that was planned or begun under RESULTS_DIR, in sorted order.

    Raises:
        FileNotFoundError: there is no `runs` in it.
    """
    runs = results_dir / "runs"
    if not runs.is_dir():
        raise FileNotFoundError(
            f"no folder {runs}; give the results_dir of a sweep, such as `aswa-status results`"
        )
    return [read_state(path) for path in sorted(runs.glob("*/*/*")) if path.is_dir()]


def seconds_left(states: Sequence[RunState]) -> float | None:
    """Until all is done, at the pace of the runs of the same kind and the workers of this moment.

    None where nothing is running or no run is done yet, so that nothing can be said.
    """
    took = defaultdict(list)
    for state in states:
        if state.seconds is not None:
            took[state.unit].append(state.seconds)
    running = sum(state.state == "running" for state in states)
    if not took or not running:
        return None
    usual = statistics.mean(value for values in took.values() for value in values)
    left = [
        (1 - state.part) * statistics.mean(took.get(state.unit, [usual]))
        for state in states
        if state.state not in ("done", "failed")
    ]
    return sum(left) / running


def text(states: Sequence[RunState]) -> str:
    """Counts by dataset × model, who is running, what failed and why, and the time left."""
    units = sorted({state.unit for state in states})
    counts = Counter((state.unit, state.state) for state in states)
    rows = [[unit, *(counts[unit, name] or "" for name in STATES)] for unit in units]
    rows.append(["all", *(sum(s.state == name for s in states) for name in STATES)])
    parts = [tabulate(rows, ["", *STATES], tablefmt="simple")]
    for name in ("running", "failed"):
        if lines := [f"  {s.path}: {s.note}" for s in states if s.state == name]:
            parts.append("\n".join([f"{name}:", *lines]))
    if (left := seconds_left(states)) is not None:
        parts.append(f"about {left / 60:.0f} min left" if left > 90 else f"about {left:.0f} s left")
    return "\n\n".join(parts)


def exit_code(states: Sequence[RunState]) -> int:
    """0 all finished, 1 some failed, 3 some still to do."""
    found = {state.state for state in states}
    return 1 if "failed" in found else 0 if found <= {"done"} else 3
