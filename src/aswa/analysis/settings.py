"""Runs are pooled over seeds only. Everything else in their config has to be the same.

The setting of a run is its config without what cannot change a result and without the seed.
The setting of one method in it adds that method's own options (`optimizer.swa`, say), so that
`optimizer=aswa` alone and the ASWA rows of `optimizer=all` have the same setting.
"""

from __future__ import annotations

import difflib
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

import orjson

from aswa.analysis.runs import Run
from aswa.files import canonical_json

# Keys, at any depth, that name where and how a run is executed, not what it computes. The last
# line: a dataset's folder and its table of searched rates; the rate used is `lr` itself.
NEUTRAL = {
    "seed", "device", "threads", "tracker", "launcher", "hydra", "experiment", "analysis",
    "run_id", "resume", "progress", "path", "memory_budget", "save_weights",
    "folder", "tuned_lr",
}  # fmt: skip
NEUTRAL_BEGINNINGS = ("checkpoint",)

T = TypeVar("T")


def is_neutral(key: str) -> bool:
    """True if a config key cannot change a result, or is the seed."""
    return key in NEUTRAL or key.endswith("_dir") or key.startswith(NEUTRAL_BEGINNINGS)


def shared_setting(run: Run) -> dict[str, Any]:
    """The part of a run's config that all its methods share, flat: dotted key → value.

    Not the task: answering queries at the end leaves all else as it is.
    """
    config = {key: v for key, v in run.config.items() if key not in ("optimizer", "task")}
    own = _schedule_of_methods(run)
    return {key: v for key, v in flatten(config).items() if _counts(key) and key not in own}


def _schedule_of_methods(run: Run) -> dict[str, Any]:
    """With schedule=fair its numbers follow from what is averaged: they are the methods'."""
    schedule = run.config.get("schedule")
    if not isinstance(schedule, dict) or schedule.get("name") != "fair":
        return {}
    return {f"schedule.{key}": value for key, value in schedule.items() if key != "name"}


def method_setting(run: Run, method: str) -> dict[str, Any]:
    """One method's own options, flat. Empty where the config names none.

    They are looked for under `optimizer.<method>`, `optimizer.methods.<method>`, or, when the
    group is that method alone, in the group itself.
    """
    group = run.config.get("optimizer")
    if not isinstance(group, dict):
        return _schedule_of_methods(run)
    methods = group.get("methods")
    if isinstance(group.get(method), dict):
        own = group[method]
    elif isinstance(methods, dict) and isinstance(methods.get(method), dict):
        own = methods[method]
    elif group.get("name") == method:
        own = {key: value for key, value in group.items() if key not in ("name", "methods")}
    else:
        own = {}
    flat = {key: value for key, value in flatten(own).items() if _counts(key)}
    options = {f"optimizer.{method}.{key}": value for key, value in flat.items()}
    return options | _schedule_of_methods(run)


def task_setting(run: Run) -> dict[str, Any]:
    """How a run answered queries, flat; empty where it did not."""
    task = run.config.get("task")
    flat = flatten(task) if isinstance(task, dict) else {}
    return {f"task.{key}": value for key, value in flat.items() if _counts(key)}


def flatten(config: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested mapping → {"a.b.c": leaf}. Lists are leaves."""
    flat: dict[str, Any] = {}
    for key, value in config.items():
        if isinstance(value, dict) and value:
            flat.update(flatten(value, f"{prefix}{key}."))
        else:
            flat[f"{prefix}{key}"] = value
    return flat


def _counts(dotted: str) -> bool:
    return not any(is_neutral(part) for part in dotted.split("."))


@dataclass(frozen=True)
class LeftOut:
    """Runs of one cell that were not used because another setting was."""

    dataset: str
    model: str
    method: str | None
    run_ids: tuple[str, ...]
    differs: dict[str, tuple[Any, Any]]

    def sentence(self) -> str:
        """What was left out, in which keys it differs, and how to choose it instead."""
        who = f"{self.dataset} × {self.model}" + (f", {self.method}" if self.method else "")
        shown = [f"{key}={old!r} (used: {new!r})" for key, (new, old) in self.differs.items()]
        more = f" and {len(shown) - 5} more keys" if len(shown) > 5 else ""
        first = next(iter(self.differs.items()), None)
        hint = f" Choose them with --where {first[0]}={first[1][1]}." if first else ""
        count = len(self.run_ids)
        runs = "1 run" if count == 1 else f"{count} runs"
        return f"{who}: {runs} left out, other setting: {', '.join(shown[:5])}{more}.{hint}"


@dataclass(frozen=True)
class Choice:
    """What the analysis uses: pairs of a run and one of its methods; and what it does not.

    Of `answering` alone the metrics of queries are used.
    """

    kept: frozenset[tuple[int, str]]  # (index into runs, method)
    answering: frozenset[int]
    left_out: tuple[LeftOut, ...]


def choose_settings(runs: list[Run]) -> Choice:
    """For each dataset × model the setting that fills most cells, for each method likewise.

    A cell is one method at one seed. Ties go to more epochs, then to the order of the setting
    as text. Never pools two settings.
    """
    kept: set[tuple[int, str]] = set()
    answering: set[int] = set()
    left_out: list[LeftOut] = []
    alike = _alike(runs)
    shared = _remembered(runs, alike, lambda run, _: shared_setting(run))
    own = _remembered(runs, alike, method_setting)
    task = _remembered(runs, alike, lambda run, _: task_setting(run))
    by_cell = _group(range(len(runs)), lambda i: (runs[i].dataset, runs[i].model))
    for (dataset, model), cell in sorted(by_cell.items()):
        best, others = _split(cell, partial(shared, method=""), runs, None)
        for indices, differs in others:
            ids = tuple(sorted({runs[i].run_id for i in indices}))
            left_out.append(LeftOut(dataset, model, None, ids, differs))
        asked = [i for i in best if task_setting(runs[i])]
        if asked:
            used, unused = _split(asked, partial(task, method=""), runs, None)
            answering.update(used)
            for indices, differs in unused:
                ids = tuple(sorted({runs[i].run_id for i in indices}))
                left_out.append(LeftOut(dataset, model, "queries", ids, differs))
        for method in sorted({m for i in best for m in runs[i].methods}):
            having = [i for i in best if method in runs[i].methods]
            used, unused = _split(having, partial(own, method=method), runs, method)
            kept.update((i, method) for i in used)
            for indices, differs in unused:
                ids = tuple(sorted({runs[i].run_id for i in indices}))
                left_out.append(LeftOut(dataset, model, method, ids, differs))
    return Choice(frozenset(kept), frozenset(answering), tuple(left_out))


def _alike(runs: list[Run]) -> list[bytes]:
    """Of each run a text that those have in common which differ in their seed alone."""
    sort = orjson.OPT_SORT_KEYS
    return [orjson.dumps({**run.config, "seed": None}, option=sort) for run in runs]


def _remembered(
    runs: list[Run], alike: list[bytes], setting: Callable[[Run, str], dict[str, Any]]
) -> Callable[..., dict[str, Any]]:
    """`setting(runs[i], method)`, computed once for all runs that are alike."""
    known: dict[tuple[bytes, str], dict[str, Any]] = {}

    def of(index: int, method: str) -> dict[str, Any]:
        key = (alike[index], method)
        if key not in known:
            known[key] = setting(runs[index], method)
        return known[key]

    return of


def _split(
    indices: Iterable[int],
    setting: Callable[[int], dict[str, Any]],
    runs: list[Run],
    method: str | None,
) -> tuple[list[int], list[tuple[list[int], dict[str, tuple[Any, Any]]]]]:
    """The runs of the winning setting; for each other setting its runs and differing keys."""
    texts: dict[int, str] = {}  # by identity: runs alike have one and the same setting

    def text_of(i: int) -> str:
        found = setting(i)
        if id(found) not in texts:
            texts[id(found)] = canonical_json(found)
        return texts[id(found)]

    groups = _group(indices, text_of)

    def order(item: tuple[str, list[int]]) -> tuple[int, float, str]:
        text, members = item
        cells = {(m, runs[i].seed) for i in members for m in runs[i].methods if method in (None, m)}
        return -len(cells), -max(_epochs(runs[i]) for i in members), text

    ranked = sorted(groups.items(), key=order)
    winner = ranked[0][1]
    used = setting(winner[0])
    others = [(members, _differences(used, setting(members[0]))) for _, members in ranked[1:]]
    return winner, others


def _epochs(run: Run) -> float:
    epochs = run.config.get("epochs")
    return float(epochs) if isinstance(epochs, (int, float)) else 0.0


def _differences(used: dict[str, Any], other: dict[str, Any]) -> dict[str, tuple[Any, Any]]:
    keys = sorted(used.keys() | other.keys())
    pairs = {key: (used.get(key), other.get(key)) for key in keys}
    return {key: pair for key, pair in pairs.items() if pair[0] != pair[1]}


def _group(items: Iterable[int], key: Callable[[int], T]) -> dict[T, list[int]]:
    groups: dict[T, list[int]] = defaultdict(list)
    for item in items:
        groups[key(item)].append(item)
    return dict(groups)


def select_where(runs: list[Run], conditions: Iterable[str]) -> list[Run]:
    """Keep the runs whose config meets every `key=value` (dotted keys; a group by its name).

    Raises:
        ValueError: a condition is not `key=value`, no run has the key, or none has the value.
    """
    for condition in conditions:
        key, equals, wanted = condition.partition("=")
        if not equals or not key:
            raise ValueError(f"--where {condition!r}: write key=value, for example epochs=256")
        values = [_lookup(run, key) for run in runs]
        if all(value is None for value in values):
            known = sorted({k for run in runs for k in flatten(run.config)} | {"dataset", "model"})
            near = difflib.get_close_matches(key, known, n=1, cutoff=0.0)
            raise ValueError(f"--where {condition}: no run has {key!r}; nearest key: {near[0]!r}")
        matching = [r for r, value in zip(runs, values, strict=True) if _equal(value, wanted)]
        if not matching:
            there = ", ".join(sorted({str(value) for value in values if value is not None}))
            raise ValueError(f"--where {condition}: no run has it; values of {key}: {there}")
        runs = matching
    return runs


def _lookup(run: Run, key: str) -> Any:
    own = {"dataset": run.dataset, "model": run.model, "seed": run.seed, "run_id": run.run_id}
    if key in own:
        return own[key]
    value: Any = run.config
    for part in key.split("."):
        value = value.get(part) if isinstance(value, dict) else None
    return value.get("name") if isinstance(value, dict) else value


def _equal(value: Any, wanted: str) -> bool:
    if isinstance(value, bool):
        return str(value).lower() == wanted.lower()
    try:
        return float(value) == float(wanted)
    except (TypeError, ValueError):
        return str(value) == wanted
