"""Runs are pooled over seeds only: every other field that can change a result has to be equal.

A run has one setting for all its methods, one for each method alone, so that `optimizer=aswa` and
the ASWA rows of `optimizer=all` have the same, and one for what is evaluated besides.
"""

from __future__ import annotations

import difflib
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from operator import methodcaller
from typing import Any

from aswa.analysis.records.legacy import flatten
from aswa.analysis.records.runs import Part, Run, Setting

EVALUATED = "queries"  # the family of metrics that rest on the setting of the evaluation

Differences = dict[str, tuple[Any, Any]]  # key → (used, of the others)


@dataclass(frozen=True)
class LeftOut:
    """Runs of one cell that were not used because another setting was."""

    dataset: str
    model: str
    part: str | None  # a method, `queries`, or None for the setting that methods share
    run_ids: tuple[str, ...]
    differs: Differences

    def sentence(self) -> str:
        """What was left out, in which keys it differs, and how to choose it instead."""
        who = f"{self.dataset} × {self.model}" + (f", {self.part}" if self.part else "")
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

    Of `answering` alone the metrics of the family EVALUATED are used.
    """

    kept: frozenset[tuple[int, str]]  # (index into runs, method)
    answering: frozenset[int]
    left_out: tuple[LeftOut, ...]


def choose_settings(runs: list[Run]) -> Choice:
    """For each dataset × model the setting that fills most cells, for each method likewise.

    A cell is one method at one seed. Ties go to more epochs, then to the order of the ids. Never
    pools two settings.
    """
    kept: set[tuple[int, str]] = set()
    answering: set[int] = set()
    left_out: list[LeftOut] = []

    def choose(members: list[int], who: str | None, part: Callable[[Setting], Part]) -> list[int]:
        """The runs of the setting that fills most cells; the others are left out."""
        groups: dict[str, list[int]] = defaultdict(list)
        for i in members:
            groups[str(part(runs[i].setting)[0])].append(i)

        def counted(i: int) -> Iterable[str]:
            return [who] if who in runs[i].methods else runs[i].methods

        def order(item: tuple[str, list[int]]) -> tuple[int, float, str]:
            cells = {(m, runs[i].seed) for i in item[1] for m in counted(i)}
            return -len(cells), -max(_epochs(runs[i]) for i in item[1]), item[0]

        used, *others = [alike for _, alike in sorted(groups.items(), key=order)]
        for alike in others:
            one, other = runs[used[0]], runs[alike[0]]
            differs = _differences(part(one.setting)[1], part(other.setting)[1])
            ids = tuple(sorted({runs[i].run_id for i in alike}))
            left_out.append(LeftOut(one.dataset, one.model, who, ids, differs))
        return used

    units: dict[tuple[str, str], list[int]] = defaultdict(list)
    for i, run in enumerate(runs):
        units[run.dataset, run.model].append(i)
    for _, members in sorted(units.items()):
        best = choose(members, None, Setting.of_all)
        if asked := [i for i in best if _evaluated(runs[i])]:
            answering.update(choose(asked, EVALUATED, Setting.of_evaluation))
        for method in sorted({m for i in best for m in runs[i].methods}):
            having = [i for i in best if method in runs[i].methods]
            used = choose(having, method, methodcaller("of_method", method))
            kept.update((i, method) for i in used)
    return Choice(frozenset(kept), frozenset(answering), tuple(left_out))


def _evaluated(run: Run) -> bool:
    return any(metric.family == EVALUATED for metric in run.names.metrics.values())


def _epochs(run: Run) -> float:
    epochs = run.config.get("epochs")
    return float(epochs) if isinstance(epochs, (int, float)) else 0.0


def _differences(used: dict[str, Any], other: dict[str, Any]) -> Differences:
    pairs = {key: (used.get(key), other.get(key)) for key in sorted(used.keys() | other.keys())}
    return {key: pair for key, pair in pairs.items() if pair[0] != pair[1]}


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
    value = own[key] if key in own else configured(run, key)
    return value.get("name") if isinstance(value, dict) else value


def configured(run: Run, key: str) -> Any:
    """The value of a dotted key in the config of a run; None without one."""
    value: Any = run.config
    for part in key.split("."):
        value = value.get(part) if isinstance(value, dict) else None
    return value


def _equal(value: Any, wanted: str) -> bool:
    if isinstance(value, bool):
        return str(value).lower() == wanted.lower()
    try:
        return float(value) == float(wanted)
    except (TypeError, ValueError):
        return str(value) == wanted
