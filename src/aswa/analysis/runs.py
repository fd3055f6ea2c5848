"""Read the records under `RESULTS_DIR/runs`. A record that cannot be read is named, not fatal."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from operator import itemgetter
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import orjson

from aswa.results.store import CorruptRecord, read_record, read_result, result_paths


@dataclass(frozen=True, eq=False)
class Keys:
    """What the numbers of a run are, in order. Runs that measure the same share one of these."""

    optimizer: tuple[str, ...]
    split: tuple[str, ...]
    metric: tuple[str, ...]
    collapsed: tuple[bool, ...]

    def __len__(self) -> int:
        return len(self.optimizer)

    @cached_property
    def methods(self) -> tuple[str, ...]:
        """Names of the methods with at least one number, sorted."""
        return tuple(sorted(set(self.optimizer)))


@dataclass(frozen=True)
class Run:
    """One finished run, as its `result.json` has it. Optional parts are empty where absent.

    Its numbers are `values`, NaN where the record says null; what each is, `keys` say.
    """

    path: Path
    run_id: str
    dataset: str
    model: str
    seed: int
    keys: Keys
    values: npt.NDArray[np.float64]
    config: dict[str, Any]
    decisions: dict[str, Any]
    members: dict[str, Any]
    seconds: dict[str, Any]
    method_seconds: dict[str, Any]
    versions: dict[str, Any]
    git: dict[str, Any]
    device: str

    @property
    def methods(self) -> tuple[str, ...]:
        """Names of the methods with at least one number, sorted."""
        return self.keys.methods


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
    known: dict[Any, Any] = {}
    for path in result_paths(results_dir):
        try:
            runs.append(_run(path, read_result(path), known))
        except CorruptRecord as error:
            problems.append(Problem(path, error.reason))
        except OSError as error:
            problems.append(Problem(path, f"cannot be read ({error.strerror})"))
    return runs, problems


def _run(path: Path, record: dict[str, Any], known: dict[Any, Any]) -> Run:
    try:
        keys = _keys(record, known)
        values = [row["value"] for row in record["rows"]]
        numbers = np.array([math.nan if v is None else float(v) for v in values], dtype=float)
        seed = int(record["seed"])
    except (KeyError, TypeError, ValueError) as error:
        raise CorruptRecord(path, f"its seed or a row is malformed ({error!r})") from None
    return Run(
        path=path,
        run_id=str(record["run_id"]),
        dataset=_dataset(record),
        model=str(record["model"]),
        seed=seed,
        keys=keys,
        values=numbers,
        config={key: _shared(value, known) for key, value in _mapping(record, "config").items()},
        decisions=_mapping(record, "decisions"),
        members=_mapping(record, "members"),
        seconds=_mapping(record, "seconds"),
        method_seconds=_mapping(record, "method_seconds"),
        versions=_shared(_mapping(record, "versions"), known),
        git=_shared(_mapping(record, "git"), known),
        device=str(record.get("device") or "unknown"),
    )


def _dataset(record: dict[str, Any]) -> str:
    """Its name; what is not the published experiment on it never goes by the name alone."""
    rows = record["rows"]
    splits, reduced = ({row.get(key) for row in rows} for key in ("dataset_split", "reduced"))
    notes = {f"split: {split}" for split in splits if split} | {str(r) for r in reduced if r}
    return f"{record['dataset']} ({', '.join(sorted(notes))})" if notes else str(record["dataset"])


def _shared(value: Any, known: dict[Any, Any]) -> Any:
    """One and the same object for equal groups of a config: thousands of runs have the same few."""
    if not isinstance(value, dict):
        return value
    return known.setdefault(orjson.dumps(value, option=orjson.OPT_SORT_KEYS), value)


def _keys(record: dict[str, Any], known: dict[Any, Any]) -> Keys:
    """Those of a record; `known` remembers them by what the record says."""
    rows = record["rows"]
    names = tuple(map(itemgetter("optimizer", "split", "metric"), rows))
    flags = tuple([row.get("collapsed") for row in rows])
    told = (names, flags, record["status"])
    if told not in known:
        # Flags on rows say which methods collapsed; without any, the status speaks for all.
        whole = record["status"] == "collapsed" and all(flag is None for flag in flags)
        optimizer, split, metric = (tuple(str(name[i]) for name in names) for i in range(3))
        collapsed = tuple(whole or bool(flag) for flag in flags)
        known[told] = Keys(optimizer, split, metric, collapsed)
    found: Keys = known[told]
    return found


def _mapping(record: dict[str, Any], key: str) -> dict[str, Any]:
    value = record.get(key)
    return value if isinstance(value, dict) else {}


@dataclass(frozen=True)
class History:
    """Validation scores by epoch of one run: for each method a list as long as `epoch`.

    `decision` is ASWA's of each epoch, or empty if the run has none.
    """

    run: Run
    metric: str
    epoch: tuple[int, ...]
    valid: dict[str, tuple[float, ...]]
    decision: tuple[str | None, ...] = ()


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
        decision = tuple(record.get("decision") or ())
    except CorruptRecord as error:
        return Problem(path, error.reason, fix)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        return Problem(path, f"an epoch or a score is malformed ({error!r})", fix)
    uneven = [name for name, scores in valid.items() if len(scores) != len(epoch)]
    if uneven:
        return Problem(path, f"{', '.join(sorted(uneven))}: not one score an epoch", fix)
    metric = str(record.get("selection_metric", "score"))
    return History(run, metric, epoch, valid, decision if len(decision) == len(epoch) else ())
