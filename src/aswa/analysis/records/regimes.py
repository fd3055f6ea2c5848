"""Which runs a declared regime is about; runs of several values of a key, side by side."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, cast

import numpy as np
import orjson
import pandas as pd

from aswa.analysis.declaration import Regime
from aswa.analysis.records.long_table import CELL, RESULT_COLUMNS, UNIT, Cells
from aswa.analysis.records.names import Names
from aswa.analysis.records.runs import Run
from aswa.analysis.records.settings import (
    Choice,
    Coverage,
    choose_settings,
    lookup,
    methods_of,
    no_key,
    select_where,
)

Unit = tuple[str, str]  # dataset, model
Best = dict[tuple[str, str, str], Any]  # (dataset, model, method) → value


@dataclass(frozen=True)
class Values:
    """Runs by the value of a key, each value with the choice of its settings.

    Attributes:
        choices: value → choice; its indices are into all runs.
        cells: as `choose_cells` gives them for each value.
        along: other keys whose values differ within a dataset × model × method.
    """

    key: str
    choices: dict[Any, Choice]
    cells: dict[Any, Cells]
    along: tuple[str, ...] = ()

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
    values, the key left aside. Runs without the key are left out.

    Raises:
        ValueError: no run has the key.
    """
    having = [(i, value) for i, run in enumerate(runs) if (value := _value(run, key)) is not None]
    if not having:
        raise ValueError(no_key(runs, key))
    covered: dict[Any, set[Any]] = defaultdict(set)
    for i, value in having:
        for part in runs[i].setting:
            methods = methods_of(runs[i], part)
            covered[_rest(runs[i], part, key)] |= {(value, m, runs[i].seed) for m in methods}

    def coverage(run: Run, part: str | None) -> int:
        return len(covered[_rest(run, part, key)])

    values = sorted({value for _, value in having}, key=lambda v: (isinstance(v, str), v))
    return {v: choice_within(runs, [i for i, own in having if own == v], coverage) for v in values}


def along(runs: list[Run], choices: Mapping[Any, Choice], key: str) -> tuple[str, ...]:
    """Other keys that differ over the values within a dataset × model × method, sorted."""
    settings: Counter[Any] = Counter()  # of a part of a dataset × model
    items: dict[Any, Counter[tuple[str, bytes]]] = defaultdict(Counter)
    for choice in choices.values():
        for i, method in choice.kept:
            for part in (None, method):
                *who, rest = _rest(runs[i], part, key)
                settings[tuple(who)] += 1
                items[tuple(who)].update(
                    (k, orjson.dumps(v)) for k, v in orjson.loads(rest).items()
                )
    pairs = (
        (k, n < settings[who]) for who, all_of in items.items() for (k, _), n in all_of.items()
    )
    return tuple(sorted({name for name, differs in pairs if differs}))


def _value(run: Run, key: str) -> Any:
    """One value of a key. Raises ValueError for a list."""
    value = lookup(run, key)
    if isinstance(value, list):
        raise ValueError(f"{key} is a list in the configuration of run {run.run_id}, not a value")
    return value


def _rest(run: Run, part: str | None, key: str) -> tuple[str, str, str | None, bytes]:
    """The setting of a part of a run without a key, or without a group and all in it."""
    flat = run.setting[part][1]
    kept = {name: v for name, v in flat.items() if name != key and not name.startswith(f"{key}.")}
    return run.dataset, run.model, part, orjson.dumps(kept, option=orjson.OPT_SORT_KEYS)


def choice_within(runs: list[Run], kept: Iterable[int], coverage: Coverage | None = None) -> Choice:
    """`choose_settings` among some of the runs; indices are into all of them."""
    places = list(kept)
    choice = choose_settings([runs[i] for i in places], coverage)
    return replace(
        choice,
        kept=frozenset((places[i], method) for i, method in choice.kept),
        answering=frozenset(places[i] for i in choice.answering),
    )


def meeting(runs: list[Run], where: dict[str, Any]) -> list[int]:
    """Indices of the runs that meet every condition of a regime. Raises ValueError for none."""
    met = select_where(runs, [f"{key}={value}" for key, value in where.items()])
    chosen = {id(run) for run in met}
    return [i for i, run in enumerate(runs) if id(run) in chosen]


def best_values(values: Values, metric: str, names: Names, of: str = "") -> Best:
    """(dataset, model, method) → the value of the best validation score, a mean over seeds.

    Args:
        metric: its validation rows decide.
        of: the method whose best value all methods take; empty: each its own.
    """
    sign = names.metric(metric).sign
    frame = values.frame()
    rows = frame[(frame["split"] == "valid") & (frame["metric"] == metric)]
    scores = rows.groupby([*UNIT, "optimizer", "setting"], sort=True)["value"].mean()
    best: Best = {}
    for cell, row in scores.unstack("setting").iterrows():
        dataset, model, method = map(str, cast(tuple[str, str, str], cell))
        best[dataset, model, method] = (sign * row).idxmax()  # of equal scores the first value
    if not of:
        return best
    return {cell: best[*cell[:2], of] for cell in best if (*cell[:2], of) in best}


def choice_of_best(runs: list[Run], values: Values, best: Best) -> Choice:
    """Each dataset × model × method at its value of `best`."""
    kept = {
        (i, method)
        for value, choice in values.choices.items()
        for i, method in choice.kept
        if best.get((runs[i].dataset, runs[i].model, method)) == value
    }
    return Choice(frozenset(kept), frozenset(i for i, _ in kept), ())


def choice_of_methods(regime: Regime, others: Mapping[str, Choice]) -> Choice:
    """Each method from the regime that is named for it."""
    kept = {
        (i, method)
        for method, name in regime.methods.items()
        for i, other in others[name].kept
        if other == method
    }
    return Choice(frozenset(kept), frozenset(i for i, _ in kept), ())


def areas(values: Values, names: Names) -> Cells:
    """Every test metric as its mean over the values, by trapezoids over their logarithms.

    A dataset × model × method × seed that lacks a value is left out, and a notice says so.
    """
    wanted = list(values.cells)
    frame = values.frame()
    wide = frame[frame["split"] == "test"].pivot(index=CELL, columns="setting", values="value")
    whole = wide.reindex(columns=wanted).dropna()
    place = np.log([float(value) for value in wanted])
    width = place[-1] - place[0] if len(place) > 1 else math.nan
    mean = np.trapezoid(whole.to_numpy(), place, axis=1) / width
    table = whole.index.to_frame(index=False).assign(value=mean, run_id="")
    lacking = {cell[:4]: None for cell in wide.index.difference(whole.index)}
    notices: dict[str, list[str]] = defaultdict(list)
    for dataset, model, method, seed in lacking:
        notices[f"{dataset} × {model}"].append(f"{method} seed {seed}")
    return Cells(
        table[RESULT_COLUMNS], names,
        tuple(f"{unit}: not at every {values.key}, in no area: {', '.join(who)}"
              for unit, who in notices.items()),
    )  # fmt: skip


def said_of_best(best: Best, key: str, shared: bool, names: Names) -> str:
    """Which values were taken, in a sentence."""
    taken: dict[str, list[str]] = defaultdict(list)
    for (dataset, model, method), value in best.items():
        who = f"{dataset} × {model}" + ("" if shared else f" {names.method(method)}")
        if who not in taken[f"{value:g}" if isinstance(value, float) else str(value)]:
            taken[f"{value:g}" if isinstance(value, float) else str(value)].append(who)
    parts = [f"{key}={value}: {', '.join(who)}" for value, who in taken.items()]
    return f"Chosen on validation: {'; '.join(parts)}."
