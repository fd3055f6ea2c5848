"""Runs are pooled over seeds only: every other field that can change a result has to be equal.

A run has one setting for all its methods, one for each method alone, so that `optimizer=aswa` and
the ASWA rows of `optimizer=all` have the same, and one for what is evaluated besides.
"""

from __future__ import annotations

import difflib
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any

from aswa.analysis.records.legacy import flatten
from aswa.analysis.records.runs import EVALUATED, Run

Rank = Callable[[Run, str | None], tuple[Any, ...]]


@dataclass(frozen=True)
class Choice:
    """What the analysis uses: pairs of a run and one of its methods; and what it does not.

    Of `answering` alone the metrics of the family EVALUATED are used.
    """

    kept: frozenset[tuple[int, str]]  # (index into runs, method)
    answering: frozenset[int]
    left_out: tuple[str, ...]  # a sentence for each other setting


def choose_settings(runs: list[Run], rank: Rank | None = None) -> Choice:
    """For each dataset × model the setting that fills most cells, for each method likewise.

    A cell is one method at one seed. Ties go to more epochs, then to the order of the ids. Never
    pools two settings.

    Args:
        rank: of the setting of a part of a run; the smallest is taken, whatever its cells.
    """
    kept: set[tuple[int, str]] = set()
    answering: set[int] = set()
    left_out: list[str] = []

    def choose(members: list[int], part: str | None) -> list[int]:
        """The runs of the setting that fills most cells; the others are left out."""
        groups: dict[str, list[int]] = defaultdict(list)
        for i in members:
            groups[str(runs[i].setting[part][0])].append(i)

        def order(item: tuple[str, list[int]]) -> tuple[Any, ...]:
            cells: set[tuple[str, int]] = set()
            for run in (alike := [runs[i] for i in item[1]]):
                cells.update((method, run.seed) for method in methods_of(run, part))
            first = rank(alike[0], part) if rank else ()
            return *first, -len(cells), -max(_epochs(run) for run in alike), item[0]

        used, *others = [alike for _, alike in sorted(groups.items(), key=order)]
        left_out.extend(_left_out(runs[used[0]], [runs[i] for i in o], part) for o in others)
        return used

    units: dict[tuple[str, str], list[int]] = defaultdict(list)
    for i, run in enumerate(runs):
        units[run.dataset, run.model].append(i)
    for _, members in sorted(units.items()):
        best = choose(members, None)
        if asked := [i for i in best if _evaluated(runs[i])]:
            answering.update(choose(asked, EVALUATED))
        for method in sorted({m for i in best for m in runs[i].methods}):
            having = [i for i in best if method in runs[i].methods]
            kept.update((i, method) for i in choose(having, method))
    return Choice(frozenset(kept), frozenset(answering), tuple(left_out))


def choice_within(runs: list[Run], kept: Iterable[int], rank: Rank | None = None) -> Choice:
    """`choose_settings` among some of the runs; indices are into all of them."""
    places = list(kept)
    choice = choose_settings([runs[i] for i in places], rank)
    return replace(
        choice,
        kept=frozenset((places[i], method) for i, method in choice.kept),
        answering=frozenset(places[i] for i in choice.answering),
    )


def methods_of(run: Run, part: str | None) -> Iterable[str]:
    """The methods of a run that the setting of a part is about."""
    return [part] if part in run.methods else run.methods


def _left_out(used: Run, others: list[Run], part: str | None) -> str:
    """How many runs of another setting, in which keys it differs, and how to choose it instead."""
    kept, left = used.setting[part][1], others[0].setting[part][1]
    differs = [key for key in sorted(kept.keys() | left.keys()) if kept.get(key) != left.get(key)]
    who = f"{used.dataset} × {used.model}" + (f", {part}" if part else "")
    shown = ", ".join(f"{key}={left.get(key)!r} (used: {kept.get(key)!r})" for key in differs[:5])
    more = f" and {len(differs) - 5} more keys" if len(differs) > 5 else ""
    hint = f" Choose them with --where {differs[0]}={left.get(differs[0])}." if differs else ""
    count = len({run.run_id for run in others})
    runs = "1 run" if count == 1 else f"{count} runs"
    return f"{who}: {runs} left out, other setting: {shown}{more}.{hint}"


def _evaluated(run: Run) -> bool:
    return any(metric.family == EVALUATED for metric in run.names.metrics.values())


def _epochs(run: Run) -> float:
    epochs = run.config.get("epochs")
    return float(epochs) if isinstance(epochs, (int, float)) else 0.0


def select_where(runs: list[Run], conditions: Iterable[str]) -> list[Run]:
    """Keep the runs whose config meets every `key=value` (dotted keys; a group by its name).

    Raises:
        ValueError: a condition is not `key=value`, no run has the key, or none has the value.
    """
    for condition in conditions:
        key, equals, wanted = condition.partition("=")
        if not equals or not key:
            raise ValueError(f"--where {condition!r}: write key=value, for example epochs=256")
        values = [lookup(run, key) for run in runs]
        if all(value is None for value in values):
            raise ValueError(f"--where {condition}: {no_key(runs, key)}")
        matching = [r for r, value in zip(runs, values, strict=True) if _equal(value, wanted)]
        if not matching:
            there = ", ".join(sorted({str(value) for value in values if value is not None}))
            raise ValueError(f"--where {condition}: no run has it; values of {key}: {there}")
        runs = matching
    return runs


def no_key(runs: list[Run], key: str) -> str:
    """That no run has a key, and which is the nearest."""
    known = sorted({k for run in runs for k in flatten(run.config)} | {"dataset", "model"})
    near = difflib.get_close_matches(key, known, n=1, cutoff=0.0)
    return f"no run has {key!r}; nearest key: {near[0]!r}"


def lookup(run: Run, key: str) -> Any:
    """The value of a dotted key of a run, of a group its name; None without one."""
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
