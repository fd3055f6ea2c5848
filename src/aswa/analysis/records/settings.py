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

import orjson

from aswa.analysis.records.legacy import flatten
from aswa.analysis.records.names import listed
from aswa.analysis.records.runs import EVALUATED, Run

Rank = Callable[[Run, str | None], tuple[Any, ...]]
Said = dict[tuple[str | None, str], list[Run]]  # (part, what is said) → of these runs


@dataclass(frozen=True)
class Choice:
    """What the analysis uses: pairs of a run and one of its methods; and what it does not.

    Of `answering` alone the metrics of the family EVALUATED are used.
    """

    kept: frozenset[tuple[int, str]]  # (index into runs, method)
    answering: frozenset[int]
    left_out: tuple[str, ...] = ()  # a sentence for each other setting
    taken: tuple[str, ...] = ()  # where there are several: which setting, and why


# Why a setting is taken, by the first part of its order that tells it from the next one.
REASONS = (
    "the one with most results (method × seed)",
    "of those with most results the one of more epochs",
    "of those with as many results and epochs the first by its values, in every unit alike",
)


def choose_settings(runs: list[Run], rank: Rank | None = None) -> Choice:
    """For each dataset × model the setting that fills most cells, for each method likewise.

    A cell is one method at one seed. Ties go to more epochs, then to the first by the texts of the
    values, so that every dataset × model has the same. Never pools two settings.

    Args:
        rank: of the setting of a part of a run; the smallest is taken, whatever its cells.
    """
    kept: set[tuple[int, str]] = set()
    answering: set[int] = set()
    left_out: Said = defaultdict(list)
    taken: Said = defaultdict(list)
    units: dict[tuple[str, str], list[int]] = defaultdict(list)
    for i, run in enumerate(runs):
        units[run.dataset, run.model].append(i)

    def choose(members: list[int], part: str | None) -> list[int]:
        """The runs of the setting that fills most cells; the others are left out."""
        ranked = _ranked(runs, members, part, rank)
        used, *firsts = (runs[alike[0]] for _, alike in ranked)
        for other, (_, alike) in zip(firsts, ranked[1:], strict=True):
            left_out[part, _left_out(used, other, part)] += [runs[i] for i in alike]
        if firsts and rank is None:
            best, second = ranked[0][0], ranked[1][0]
            why = next(r for r, a, b in zip(REASONS, best, second, strict=True) if a != b)
            taken[part, _taken([used, *firsts], part, why)].append(used)
        return ranked[0][1]

    for _, members in sorted(units.items()):
        best = choose(members, None)
        if asked := [i for i in best if _evaluated(runs[i])]:
            answering.update(choose(asked, EVALUATED))
        for method in sorted({m for i in best for m in runs[i].methods}):
            having = [i for i in best if method in runs[i].methods]
            kept.update((i, method) for i in choose(having, method))
    return Choice(
        frozenset(kept),
        frozenset(answering),
        tuple(
            f"{_who(found, part, len(units))}: {_count(found)} {what}"
            for (part, what), found in left_out.items()
        ),
        tuple(f"{_who(found, part, len(units))}: {what}" for (part, what), found in taken.items()),
    )


def _who(found: list[Run], part: str | None, units: int) -> str:
    """The dataset × model of runs, of so many units, and the method."""
    who = list(dict.fromkeys(f"{run.dataset} × {run.model}" for run in found))
    named = "every dataset × model" if len(who) == units > 1 else listed(who)
    return f"{named}, {part}" if part else named


def _ranked(
    runs: list[Run], members: list[int], part: str | None, rank: Rank | None
) -> list[tuple[tuple[Any, ...], list[int]]]:
    """Runs by the setting of a part, each with its place in the order, the one to take first."""
    groups: dict[str, list[int]] = defaultdict(list)
    for i in members:
        groups[str(runs[i].setting[part][0])].append(i)

    def order(setting: str, alike: list[Run]) -> tuple[Any, ...]:
        cells = {(method, run.seed) for run in alike for method in methods_of(run, part)}
        first = rank(alike[0], part) if rank else ()
        values = orjson.dumps(alike[0].setting[part][1], option=orjson.OPT_SORT_KEYS)
        return *first, -len(cells), -max(epochs_of(run) for run in alike), (values, setting)

    found = [(order(setting, [runs[i] for i in own]), own) for setting, own in groups.items()]
    return sorted(found)


def said_of_settings(choice: Choice) -> str:
    """Which setting of several was taken; empty where no dataset × model has several."""
    if not choice.taken:
        return ""
    return f"Several settings are here, and are never pooled. Taken: {'; '.join(choice.taken)}."


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


def _left_out(used: Run, other: Run, part: str | None) -> str:
    """In which keys another setting differs from the one used, and how to choose it instead."""
    kept, left = used.setting[part][1], other.setting[part][1]
    differs = _differing([used, other], part)
    shown = ", ".join(f"{key}={left.get(key)!r} (used: {kept.get(key)!r})" for key in differs[:5])
    more = f" and {len(differs) - 5} more keys" if len(differs) > 5 else ""
    hint = f" Choose them with --where {differs[0]}={left.get(differs[0])}." if differs else ""
    return f"left out, other setting: {shown}{more}.{hint}"


def _count(found: list[Run]) -> str:
    count = len({run.run_id for run in found})
    return f"{count} run{'' if count == 1 else 's'}"


def _taken(firsts: list[Run], part: str | None, why: str) -> str:
    """The first of several settings, by the keys in which they differ, and why it is taken.

    Args:
        firsts: a run of each setting.
    """
    own = firsts[0].setting[part][1]
    shown = listed([f"{key}={own.get(key)}" for key in _differing(firsts, part)])
    return f"of {len(firsts)} settings {shown}, {why}"


def _differing(runs: list[Run], part: str | None) -> list[str]:
    """Keys in which the settings of a part differ, sorted."""
    flats = [run.setting[part][1] for run in runs]
    keys = sorted({key for flat in flats for key in flat})
    return [key for key in keys if any(flat.get(key) != flats[0].get(key) for flat in flats[1:])]


def _evaluated(run: Run) -> bool:
    return any(metric.family == EVALUATED for metric in run.names.metrics.values())


def epochs_of(run: Run) -> float:
    """Of the whole run; 0 where its configuration has none."""
    epochs = run.config.get("epochs")
    return float(epochs) if isinstance(epochs, (int, float)) else 0.0


def select_where(runs: list[Run], conditions: Iterable[str]) -> list[Run]:
    """Keep the runs whose config meets every `key=value`, or `key=a,b` for any of several values.

    Keys are dotted; the value of a group is its name.

    Raises:
        ValueError: a condition is not `key=value`, no run has the key, or none has a value.
    """
    for condition in conditions:
        key, equals, wanted = condition.partition("=")
        if not equals or not key:
            raise ValueError(f"--where {condition!r}: write key=value, for example epochs=256")
        values = [lookup(run, key) for run in runs]
        if all(value is None for value in values):
            raise ValueError(f"--where {condition}: {no_key(runs, key)}")
        whole = any(_equal(value, wanted) for value in values)
        several = [wanted] if whole else wanted.split(",")
        for one in several:
            if not any(_equal(value, one) for value in values):
                there = sorted({str(value) for value in values if value is not None})
                near = difflib.get_close_matches(one, there, n=1)
                hint = f"; did you mean {near[0]}?" if near else ""
                raise ValueError(f"--where {condition}: no run has {key}={one}; values of {key}: "
                                 f"{', '.join(there)}{hint}")  # fmt: skip
        runs = [run for run in runs if meets(run, key, wanted)]
    return runs


def no_key(runs: list[Run], key: str) -> str:
    """That no run has a key, and which is the nearest."""
    known = sorted({k for run in runs for k in flatten(run.config)} | {"dataset", "model", "seed"})
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


def meets(run: Run, key: str, wanted: str) -> bool:
    """Whether a run has `wanted` at a dotted key, or one of its values between commas."""
    value = lookup(run, key)
    return any(_equal(value, one) for one in {wanted, *wanted.split(",")})


def _equal(value: Any, wanted: str) -> bool:
    if isinstance(value, bool):
        return str(value).lower() == wanted.lower()
    try:
        return float(value) == float(wanted)
    except (TypeError, ValueError):
        return str(value) == wanted
