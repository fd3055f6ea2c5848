"""Methods of runs under different conditions, told apart: `wash` and `aswa` → `wash_aswa`.

Tests and tables compare methods, which are the rows of a run. Where a question is about runs that
differ in more than that, a population against one long trajectory say, a declaration names
conditions, and a method is then one under a condition.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cache
from typing import Any

from aswa.analysis.declaration import Condition
from aswa.analysis.records.names import Names
from aswa.analysis.records.runs import Keys, Run, Setting
from aswa.analysis.records.settings import meets


def by_condition(runs: Sequence[Run], conditions: Sequence[Condition]) -> list[Run]:
    """The runs of a condition, each with the rows that the condition names, under names of its own.

    A run is of the first condition that it meets. What its methods shared, such as the population
    or the number of epochs, becomes part of each method's own setting, so that methods of several
    conditions stand in one table, and settings are still never pooled.
    """
    renamed = cache(lambda keys, condition: _renamed(keys, conditions[condition]))
    labelled: dict[int, Names] = {}  # by identity: most runs share their names
    found = []
    for run in runs:
        number = next((i for i, c in enumerate(conditions) if _is_of(run, c)), None)
        if number is not None:
            keys, kept = renamed(run.keys, number)
            if id(run.names) not in labelled:
                labelled[id(run.names)] = _labelled(run.names, conditions)
            names = labelled[id(run.names)]
            found.append(_under(run, conditions[number], keys, kept, names))
    return found


def _is_of(run: Run, condition: Condition) -> bool:
    return all(meets(run, key, str(wanted)) for key, wanted in condition.where.items())


def _renamed(keys: Keys, condition: Condition) -> tuple[Keys, list[int]]:
    """The rows of a condition under their new names, and their places among the old ones."""
    kept = [i for i, method in enumerate(keys.optimizer) if method in condition.rows]
    return Keys(
        tuple(condition.method(keys.optimizer[i]) for i in kept),
        tuple(keys.split[i] for i in kept),
        tuple(keys.metric[i] for i in kept),
        tuple(keys.collapsed[i] for i in kept),
    ), kept


def _labelled(names: Names, conditions: Sequence[Condition]) -> Names:
    """All methods of all conditions, in the order of the declaration."""
    labels = {
        c.method(row): f"{c.label}, {said}" for c in conditions for row, said in c.rows.items()
    }
    return Names(names.metrics, labels)


def _under(run: Run, condition: Condition, keys: Keys, kept: list[int], names: Names) -> Run:
    def named(values: Mapping[str, Any]) -> dict[str, Any]:
        return {condition.method(m): v for m, v in values.items() if m in condition.rows}

    return replace(
        run,
        keys=keys,
        values=run.values[kept],
        names=names,
        setting=_setting(run.setting, condition),
        decisions=named(run.decisions),
        members=named(run.members),
        method_seconds=named(run.method_seconds),
    )


def _setting(setting: Setting, condition: Condition) -> Setting:
    """What all methods of a run share, as part of each method's own."""
    shared, values = setting[None]
    found: Setting = {None: ("", {})}
    for part, (own, more) in setting.items():
        if part in condition.rows:
            found[condition.method(part)] = (f"{shared} {own}", values | more)
        elif part is not None:
            found[part] = (own, more)
    return found
