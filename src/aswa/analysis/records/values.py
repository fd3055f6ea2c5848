"""Runs of several values of a key, side by side: a curve is of one setting, the key left aside."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson
import pandas as pd

from aswa.analysis.records.long_table import Cells
from aswa.analysis.records.runs import Run
from aswa.analysis.records.settings import (
    Choice,
    choice_within,
    epochs_of,
    lookup,
    methods_of,
    no_key,
)

Part = tuple[str, str, str | None]  # dataset, model, and a method or None for what all share


@dataclass(frozen=True)
class Values:
    """Runs by the value of a key, each value with the choice of its settings.

    Attributes:
        choices: value → choice; its indices are into all runs.
        cells: as `choose_cells` gives them for each value.
        along, aside: as the functions of these names give them.
    """

    key: str
    choices: dict[Any, Choice]
    cells: dict[Any, Cells]
    along: tuple[str, ...] = ()
    aside: tuple[str, ...] = ()

    @property
    def stem(self) -> str:
        """The key as part of a file name."""
        return self.key.replace(".", "_")

    def frame(self) -> pd.DataFrame:
        """All cells, with the value as the column `setting`."""
        parts = [cells.table.assign(setting=value) for value, cells in self.cells.items()]
        return pd.concat(parts, ignore_index=True)


def choices_by_value(runs: list[Run], key: str) -> dict[Any, Choice]:
    """For each value of a dotted key, in order, the choice among its runs.

    Where the runs of a value have several settings, the one is taken that fills most cells over all
    values, the key left aside; of equals that of more epochs, then the first by the texts of its
    values, in every dataset × model alike. Runs without the key are left out.

    Raises:
        ValueError: no run has the key, or its value is a list.
    """
    having = [(i, value) for i, run in enumerate(runs) if (value := _value(run, key)) is not None]
    if not having:
        raise ValueError(no_key(runs, key))
    covered: dict[tuple[Part, bytes], set[Any]] = defaultdict(set)
    for i, value in having:
        for part in runs[i].setting:
            methods = methods_of(runs[i], part)
            covered[_rest(runs[i], part, key)] |= {(value, m, runs[i].seed) for m in methods}

    def rank(run: Run, part: str | None) -> tuple[int, float, bytes]:
        who, rest = _rest(run, part, key)
        epochs = epochs_of(run) if part is None and key != "epochs" else 0.0
        return -len(covered[who, rest]), -epochs, rest

    values = sorted({value for _, value in having}, key=lambda v: (isinstance(v, str), v))
    return {v: choice_within(runs, [i for i, own in having if own == v], rank) for v in values}


def along(runs: list[Run], choices: Mapping[Any, Choice], key: str) -> tuple[str, ...]:
    """Other keys that differ over the values within a dataset × model × method, sorted."""
    settings: Counter[Part] = Counter()
    having: dict[Part, Counter[tuple[str, bytes]]] = defaultdict(Counter)
    for choice in choices.values():
        for i, method in choice.kept:
            for who, items in _settings(runs[i], method, key):
                settings[who] += 1
                having[who].update(items)
    differing = (
        name
        for who, counts in having.items()
        for (name, _), n in counts.items()
        if n < settings[who]
    )
    return tuple(sorted(set(differing)))


def aside(runs: list[Run], choices: Mapping[Any, Choice], key: str) -> tuple[str, ...]:
    """Keys in which runs that have the key, and are in no choice, differ from those chosen."""
    kept = {pair for choice in choices.values() for pair in choice.kept}
    known: dict[Part, set[tuple[str, bytes]]] = defaultdict(set)
    for i, method in kept:
        for who, items in _settings(runs[i], method, key):
            known[who] |= items
    differing = (
        name
        for i, run in enumerate(runs)
        for method in run.methods
        if (i, method) not in kept and _value(run, key) is not None
        for who, items in _settings(run, method, key)
        for name, _ in items - known[who]
    )
    return tuple(sorted(set(differing)))


def _value(run: Run, key: str) -> Any:
    """One value of a key. Raises ValueError for a list."""
    value = lookup(run, key)
    if isinstance(value, list):
        raise ValueError(f"{key} is a list in the configuration of run {run.run_id}, not a value")
    return value


def _rest(run: Run, part: str | None, key: str) -> tuple[Part, bytes]:
    """The setting of a part of a run without a key, or without a group and all in it."""
    flat = run.setting[part][1]
    kept = {name: v for name, v in flat.items() if name != key and not name.startswith(f"{key}.")}
    return (run.dataset, run.model, part), orjson.dumps(kept, option=orjson.OPT_SORT_KEYS)


def _settings(run: Run, method: str, key: str) -> list[tuple[Part, set[tuple[str, bytes]]]]:
    """What the methods of a run share, and a method's own options, without the key."""
    rests = [_rest(run, part, key) for part in (None, method)]
    return [
        (who, {(name, orjson.dumps(value)) for name, value in orjson.loads(rest).items()})
        for who, rest in rests
    ]
