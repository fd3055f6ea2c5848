"""Runs of a folder that were planned or begun and are in no number."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aswa.analysis.records.legacy import flatten
from aswa.analysis.records.names import listed
from aswa.results.folder import RunFolder
from aswa.results.store import CorruptRecord, has_result, read_record

STATES = ("failed", "damaged", "interrupted", "running", "waiting")  # the worst first


@dataclass(frozen=True)
class Unfinished:
    """A run without a readable result. `state` is one of STATES; waiting: planned, not begun."""

    path: Path  # of its folder
    state: str
    config: dict[str, Any]  # flat; empty without a plan
    overrides: tuple[str, ...]
    seconds: float | None  # that it took so far
    note: str  # the last line of its traceback

    @property
    def seed(self) -> int | None:
        """None without a plan."""
        return self.config.get("seed")

    def name(self, keys: Collection[str] = ()) -> str:
        """Dataset, model, seed, values of the keys and run_id."""
        *_, dataset, model, run_id = self.path.parts
        named = {key: self.config[key] for key in ("seed", *keys) if key in self.config}
        values = "".join(f", {key}={value}" for key, value in named.items())
        return f"{dataset} × {model}{values} ({run_id})"


def read_unfinished(results_dir: Path, finished: Collection[Path]) -> list[Unfinished]:
    """All runs under `results_dir/runs` but the finished ones, in the order of their folders.

    Args:
        finished: paths of the results that could be read.
    """
    done = {path.parent for path in finished}
    folders = (path for path in sorted(results_dir.glob("runs/*/*/*")) if path.is_dir())
    return [found for path in folders if path not in done and (found := _unfinished(path))]


def _unfinished(path: Path) -> Unfinished | None:
    """None for a folder that is no run's."""
    plan, status = read_plan(path), _read(path / "status.json")
    if not (plan or status or has_result(path)):
        return None
    state = "damaged" if has_result(path) else _state(path, status)
    lines = str(status.get("traceback") or "").strip().splitlines()
    return Unfinished(
        path,
        state,
        flatten(plan.get("config") or {}),
        tuple(plan.get("overrides") or ()),
        status.get("seconds"),
        lines[-1] if lines and state == "failed" else "",
    )


def _state(path: Path, status: dict[str, Any]) -> str:
    """Of a run without a result, by its lock and what its `status.json` says."""
    said = status.get("status")
    try:
        at_work = RunFolder(path).owner() is not None
    except OSError:  # the folder of another person, whose locks cannot be tried
        at_work = said == "running"
    if at_work:
        return "running"
    return "failed" if said == "failed" else "interrupted" if said else "waiting"


def read_plan(folder: Path) -> dict[str, Any]:
    """The `plan.json` of a run; empty where it has none, as a packed run."""
    return _read(folder / "plan.json")


def _read(path: Path) -> dict[str, Any]:
    """Empty where there is no record that can be read."""
    try:
        return read_record(path)
    except (OSError, CorruptRecord):
        return {}


def said_of_unfinished(
    unfinished: Sequence[Unfinished], finished: int, keys: Collection[str] = ()
) -> list[str]:
    """How many runs are finished, and a sentence on those of each state; none if all are."""
    if not unfinished:
        return []
    of_state: dict[str, list[str]] = defaultdict(list)
    for run in unfinished:
        note = f": {run.note}" if run.note else ""
        of_state[run.state].append(f"{run.name(keys)}{note}")
    counts = ", ".join(f"{len(of_state[s])} {s}" for s in STATES if s in of_state)
    whole = finished + len(unfinished)
    return [
        f"{finished} of {whole} runs of this folder are finished ({counts}); the others are in no "
        "number here",
        *(f"{s}: {listed(of_state[s])}" for s in STATES if s in of_state),
    ]
