"""Read the records under `RESULTS_DIR/runs`. An unreadable record is named, not fatal."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import cache, cached_property
from operator import itemgetter
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import orjson

from aswa.analysis.records import legacy
from aswa.analysis.records.names import Names, declared_names
from aswa.results.store import CorruptRecord, read_record, read_result, result_paths

# Fields with which a record describes itself; `legacy` supplies those that are not there.
DESCRIBED = ("metrics", "methods", "setting", "setting_ids", "decisions", "notes")


@dataclass(frozen=True, eq=False)
class Keys:
    """What the numbers of a run are, in order. Runs that measure the same share one of these."""

    optimizer: tuple[str, ...]
    split: tuple[str, ...]
    metric: tuple[str, ...]
    collapsed: tuple[bool, ...]

    @cached_property
    def methods(self) -> tuple[str, ...]:
        """Names of the methods with at least one number, sorted."""
        return tuple(sorted(set(self.optimizer)))


# All that can change a result but the seed, in parts of an id and flat values: under None what all
# methods share, under a method its own options, under EVALUATED what changes no training.
Setting = dict[str | None, tuple[str | None, dict[str, Any]]]
EVALUATED = "queries"  # the family of metrics that rest on the setting of the evaluation


@dataclass(frozen=True)
class Run:
    """One finished run, as its `result.json` has it. Optional parts are empty where absent.

    `values` are the numbers, NaN where the record says null; `keys` say what each is.
    """

    path: Path
    run_id: str
    dataset: str
    model: str
    seed: int
    status: str
    keys: Keys
    values: npt.NDArray[np.float64]
    names: Names
    setting: Setting
    config: dict[str, Any]
    decisions: dict[str, Any]
    members: dict[str, Any]
    seconds: dict[str, Any]
    method_seconds: dict[str, Any]
    diagrams: dict[str, Any]  # of predicted probabilities on test, by method
    versions: dict[str, Any]
    git: dict[str, Any]
    device: str
    hardware: dict[str, Any]

    @property
    def methods(self) -> tuple[str, ...]:
        """`keys.methods`."""
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
        if record["schema"] == 1 or not all(key in record for key in DESCRIBED):
            record = legacy.completed(record)
        rows = record["rows"]
        told = tuple(map(itemgetter("optimizer", "split", "metric"), rows))
        keys = _keys(told, tuple([row.get("collapsed") for row in rows]), record["status"])
        values = np.array(_numbers([row["value"] for row in rows]), dtype=float)
        seed = int(record["seed"])
        names = _names(orjson.dumps((record["metrics"], record["methods"])))
        parts = orjson.dumps((record["setting_ids"], record["setting"]))
        setting = _setting(parts, keys.methods)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise CorruptRecord(path, f"a field or a row is malformed ({error!r})") from None
    reduced = record["notes"].get("reduced")
    optional = ("members", "seconds", "method_seconds", "diagrams")
    same = ("versions", "git", "hardware")
    return Run(
        path=path,
        run_id=str(record["run_id"]),
        # What is not the published experiment on a dataset never goes by its name alone.
        dataset=f"{record['dataset']} ({reduced})" if reduced else str(record["dataset"]),
        model=str(record["model"]),
        seed=seed,
        status=str(record["status"]),
        keys=keys,
        values=values,
        names=names,
        setting=setting,
        config={key: _shared(value) for key, value in _mapping(record, "config").items()},
        decisions=legacy.by_method(_mapping(record, "decisions"), keys.methods),
        device=str(record.get("device") or "unknown"),
        **{key: _mapping(record, key) for key in optional},
        **{key: _shared(_mapping(record, key)) for key in same},
    )


# Thousands of runs say the same few things: what one of them has made of it serves all.
@cache
def _keys(told: tuple[Any, ...], flags: tuple[Any, ...], status: str) -> Keys:
    # Flags on rows say which methods collapsed; without any, the status speaks for all.
    whole = status == "collapsed" and all(flag is None for flag in flags)
    optimizer, split, metric = (tuple(str(names[i]) for names in told) for i in range(3))
    return Keys(optimizer, split, metric, tuple(whole or bool(flag) for flag in flags))


@cache
def _names(told: bytes) -> Names:
    return declared_names(*orjson.loads(told))


@cache
def _setting(told: bytes, methods: tuple[str, ...]) -> Setting:
    ids, values = orjson.loads(told)
    return {
        None: (ids["shared"], values["shared"]),
        EVALUATED: (ids.get("evaluation"), values.get("evaluation") or {}),
        **{m: (ids["methods"].get(m), values["methods"].get(m) or {}) for m in methods},
    }


def _shared(value: Any) -> Any:
    return _loaded(orjson.dumps(value)) if isinstance(value, dict) else value


_loaded = cache(orjson.loads)


def _mapping(record: dict[str, Any], key: str) -> dict[str, Any]:
    value = record.get(key)
    return value if isinstance(value, dict) else {}


@dataclass(frozen=True)
class History:
    """Validation scores by epoch of one run: for each method a list as long as `epoch`.

    `decisions` has the decision of each epoch by deciding method, `running` the score of the
    running model that the method saw, NaN where there was none.
    """

    run: Run
    metric: str
    epoch: tuple[int, ...]
    valid: dict[str, tuple[float, ...]]
    decisions: dict[str, tuple[str | None, ...]] = field(default_factory=dict)
    running: dict[str, tuple[float, ...]] = field(default_factory=dict)


def read_history(run: Run) -> History | Problem | None:
    """The `history.json` beside a result; None where there is none (it is optional)."""
    path = run.path.with_name("history.json")
    fix = "its curves are not drawn; delete the run's folder and run the training command again"
    try:
        record = legacy.history(read_record(path), run.methods)
        epoch = tuple(int(e) for e in record["epoch"])
        valid = {name: _numbers(scores) for name, scores in record["valid"].items()}
        running = {
            name: _numbers([pair and pair[0] for pair in pairs])
            for name, pairs in (record.get("scores") or {}).items()
        }
        decisions = {name: tuple(made) for name, made in record["decisions"].items()}
    except FileNotFoundError:
        return None
    except CorruptRecord as error:
        return Problem(path, error.reason, fix)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        return Problem(path, f"an epoch or a score is malformed ({error!r})", fix)
    uneven = [name for name, scores in valid.items() if len(scores) != len(epoch)]
    if uneven:
        return Problem(path, f"{', '.join(sorted(uneven))}: not one score an epoch", fix)
    metric = str(record.get("selection_metric", "score"))
    whole = {name: made for name, made in decisions.items() if len(made) == len(epoch)}
    return History(run, metric, epoch, valid, whole, running)


def _numbers(scores: list[float | None]) -> tuple[float, ...]:
    return tuple(math.nan if score is None else float(score) for score in scores)
