"""How far a sweep is, from its folders alone: files and their locks, on any machine."""

from __future__ import annotations

import statistics
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from tabulate import tabulate

from aswa.config.messages import time_text
from aswa.results.folder import RunFolder
from aswa.results.store import FINISHED, has_result

STATES = ("done", "running", "interrupted", "failed", "waiting")


@dataclass(frozen=True)
class RunState:
    """One run's folder."""

    path: Path
    state: str  # of STATES. interrupted: begun, and nobody is at work on it; waiting: planned
    title: str = ""
    epoch: int = 0  # done and saved
    epochs: int = 0
    described: str = ""  # the last saved epoch: loss, scores, decisions
    seconds: float | None = None  # that the run took so far
    note: str = ""  # who computes it, the last line of its traceback, what is damaged

    @property
    def unit(self) -> str:
        """dataset × model"""
        return " × ".join(self.path.parts[-3:-1])

    @property
    def dataset(self) -> str:
        return self.path.parts[-3]

    @property
    def part(self) -> float:
        """Of its epochs done."""
        return 1.0 if self.state == "done" else self.epoch / max(1, self.epochs)


def read_state(path: Path) -> RunState:
    """The state of the run in a folder; damaged files count as not there."""
    folder = RunFolder(path, report=lambda line: None)
    status = folder.status()
    said, checkpoint = status.get("status"), status.get("checkpoint") or {}
    about = RunState(
        path,
        "interrupted" if said else "waiting",
        title=str(status.get("title") or path.name),
        epoch=int(checkpoint.get("epoch") or 0),
        epochs=int(status.get("epochs") or 0),
        described=str(status.get("described") or ""),
        seconds=status.get("seconds"),
    )
    if said in FINISHED and has_result(path):
        if folder.result() is not None:
            return replace(about, state="done")
        return replace(about, seconds=None, note="result.json is damaged; the run is done again")
    if (owner := folder.owner()) is not None:
        where = f"{owner.get('host', '?')}, process {owner.get('pid', '?')}"
        job = f", job {owner['slurm_job']}" if "slurm_job" in owner else ""
        return replace(about, state="running", note=where + job)
    if said == "failed":
        lines = str(status.get("traceback", "")).strip().splitlines()
        return replace(about, state="failed", note=lines[-1] if lines else "")
    return about


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


def usual_seconds(states: Sequence[RunState]) -> dict[str, float]:
    """dataset × model → mean seconds of its finished runs; and dataset → that of its own."""
    took = defaultdict(list)
    for state in states:
        if state.state == "done" and state.seconds is not None:
            took[state.unit].append(state.seconds)
            took[state.dataset].append(state.seconds)
    return {unit: statistics.mean(values) for unit, values in took.items()}


def left_of(state: RunState, usual: Mapping[str, float]) -> tuple[float | None, str]:
    """Seconds until a run is done, and how they are known."""
    if state.seconds is not None and 0 < state.part < 1:
        return state.seconds * (1 - state.part) / state.part, "its own pace"
    whole = usual.get(state.unit, usual.get(state.dataset))
    if whole is None:  # another dataset tells nothing: one epoch may be a thousand of another
        return None, "not known yet"
    known = "finished runs of this kind" if state.unit in usual else "other models' finished runs"
    return whole * (1 - state.part), known


def seconds_left(states: Sequence[RunState]) -> float | None:
    """Until all is done, by the workers of this moment.

    None where nothing is running, or nothing is known of some run.
    """
    usual, running = usual_seconds(states), sum(state.state == "running" for state in states)
    left = [left_of(s, usual)[0] for s in states if s.state not in ("done", "failed")]
    if not running or any(seconds is None for seconds in left):
        return None
    return sum(seconds for seconds in left if seconds is not None) / running


def text(states: Sequence[RunState]) -> str:
    """Counts by dataset × model, how far the running runs are, what failed and why, time left."""
    units = sorted({state.unit for state in states})
    counts = Counter((state.unit, state.state) for state in states)
    rows = [[unit, *(counts[unit, name] or "" for name in STATES)] for unit in units]
    rows.append(["all", *(sum(s.state == name for s in states) for name in STATES)])
    parts = [tabulate(rows, ["", *STATES], tablefmt="simple")]
    usual = usual_seconds(states)
    for state in (s for s in states if s.state == "running"):
        left, known = left_of(state, usual)
        so_far = "" if state.seconds is None else f", {time_text(state.seconds)} so far"
        wait = "" if left is None else f", about {time_text(left)} left ({known})"
        saved = f"epoch {state.epoch}/{state.epochs} ({100 * state.part:.0f}%)"
        lines = [f"{state.title}: {saved}{so_far}{wait}", f"  {state.described}", f"  {state.note}"]
        parts.append("\n".join(line for line in lines if line.strip()))
    ended = [s for s in states if s.state in ("failed", "interrupted") and s.note]
    if lines := [f"  {s.path}: {s.note}" for s in ended]:
        parts.append("\n".join(["failed or damaged:", *lines]))
    if (left := seconds_left(states)) is not None:
        parts.append(f"about {time_text(left)} left in all")
    return "\n\n".join(parts)


def dry_run_text(results_dir: Path, waiting: Sequence[Path], total: int) -> str:
    """How many of the runs of a sweep are to do, and how long they take if finished ones tell.

    Args:
        waiting: folders of the runs that are not finished.
    """
    there = read_states(results_dir) if (results_dir / "runs").is_dir() else []
    usual, begun = usual_seconds(there), {state.path: state for state in there}
    states = [begun.get(path, RunState(path, "waiting")) for path in waiting]
    left = [left_of(state, usual)[0] for state in states]
    known = [seconds for seconds in left if seconds is not None]
    took = "no finished run here tells how long"
    if known or not left:
        unknown = f", {len(left) - len(known)} runs of unknown length aside" if None in left else ""
        took = f"about {time_text(sum(known))} one after the other{unknown}"
    return f"{total} runs, {total - len(waiting)} done and {len(waiting)} to do: {took}"


def exit_code(states: Sequence[RunState]) -> int:
    """0 all finished, 1 some failed, 3 some still to do."""
    found = {state.state for state in states}
    return 1 if "failed" in found else 0 if found <= {"done"} else 3
