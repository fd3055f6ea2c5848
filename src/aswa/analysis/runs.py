"""Read the records under `RESULTS_DIR/runs`. A record that cannot be read is named, not fatal."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aswa.results.store import CorruptRecord, read_record, read_result, result_paths


@dataclass(frozen=True)
class Row:
    """One measured number of one run. `value` is NaN where the record says null."""

    optimizer: str
    split: str
    metric: str
    value: float
    collapsed: bool


@dataclass(frozen=True)
class Run:
    """One finished run, as its `result.json` has it. Optional parts are empty where absent."""

    path: Path
    run_id: str
    dataset: str
    model: str
    seed: int
    rows: tuple[Row, ...]
    config: dict[str, Any]
    decisions: dict[str, Any]
    seconds: dict[str, Any]
    versions: dict[str, Any]
    git: dict[str, Any]
    device: str

    @property
    def methods(self) -> tuple[str, ...]:
        """Names of the methods with at least one row, sorted."""
        return tuple(sorted({row.optimizer for row in self.rows}))


@dataclass(frozen=True)
class Problem:
    """A record left out: where it is, why, and what to do about it."""

    path: Path
    reason: str
    fix: str = "run the same training command again, it will redo it"


def read_runs(results_dir: Path) -> tuple[list[Run], list[Problem]]:
    """All finished runs in the order of their paths, and the records that could not be used."""
    runs: list[Run] = []
    problems: list[Problem] = []
    for path in result_paths(results_dir):
        try:
            runs.append(_run(path, read_result(path)))
        except CorruptRecord as error:
            problems.append(Problem(path, error.reason))
        except OSError as error:
            problems.append(Problem(path, f"cannot be read ({error.strerror})"))
    return runs, problems


def _run(path: Path, record: dict[str, Any]) -> Run:
    try:
        # Flags on rows say which methods collapsed; without any, the status speaks for all.
        flagged = any("collapsed" in row for row in record["rows"])
        whole = record["status"] == "collapsed" and not flagged
        rows = tuple(_row(row, whole) for row in record["rows"])
        seed = int(record["seed"])
    except (KeyError, TypeError, ValueError) as error:
        raise CorruptRecord(path, f"its seed or a row is malformed ({error!r})") from None
    return Run(
        path=path,
        run_id=str(record["run_id"]),
        dataset=_dataset(record),
        model=str(record["model"]),
        seed=seed,
        rows=rows,
        config=_mapping(record, "config"),
        decisions=_mapping(record, "decisions"),
        seconds=_mapping(record, "seconds"),
        versions=_mapping(record, "versions"),
        git=_mapping(record, "git"),
        device=str(record.get("device") or "unknown"),
    )


def _dataset(record: dict[str, Any]) -> str:
    """Its name; what is not the published experiment on it never goes by the name alone."""
    rows = record["rows"]
    notes = {f"split: {row['dataset_split']}" for row in rows if row.get("dataset_split")}
    notes |= {str(row["reduced"]) for row in rows if row.get("reduced")}
    return f"{record['dataset']} ({', '.join(sorted(notes))})" if notes else str(record["dataset"])


def _row(row: dict[str, Any], collapsed: bool) -> Row:
    value = row["value"]
    number = math.nan if value is None else float(value)
    collapsed = collapsed or bool(row.get("collapsed", False))
    return Row(str(row["optimizer"]), str(row["split"]), str(row["metric"]), number, collapsed)


def _mapping(record: dict[str, Any], key: str) -> dict[str, Any]:
    value = record.get(key)
    return value if isinstance(value, dict) else {}


@dataclass(frozen=True)
class History:
    """Validation scores by epoch of one run: for each method a list as long as `epoch`."""

    run: Run
    metric: str
    epoch: tuple[int, ...]
    valid: dict[str, tuple[float, ...]]


def read_history(run: Run) -> History | Problem | None:
    """The `history.json` beside a result; None where there is none (it is optional)."""
    path = run.path.with_name("history.json")
    fix = "its curves are not drawn; delete the run's folder and run the training command again"
    if not path.is_file():
        return None
    try:
        record = read_record(path)
        epoch = tuple(int(e) for e in record["epoch"])
        valid = {
            str(name): tuple(math.nan if v is None else float(v) for v in scores)
            for name, scores in record["valid"].items()
        }
    except CorruptRecord as error:
        return Problem(path, error.reason, fix)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        return Problem(path, f"an epoch or a score is malformed ({error!r})", fix)
    uneven = [name for name, scores in valid.items() if len(scores) != len(epoch)]
    if uneven:
        return Problem(path, f"{', '.join(sorted(uneven))}: not one score an epoch", fix)
    return History(run, str(record.get("selection_metric", "score")), epoch, valid)
