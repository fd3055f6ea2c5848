"""Which runs a declared regime is about, and what is best or the mean over the values of a key."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import Any, cast

import numpy as np
from scipy.integrate import trapezoid

from aswa.analysis.declaration import Regime
from aswa.analysis.records.long_table import CELL, RESULT_COLUMNS, UNIT, Cells
from aswa.analysis.records.names import Names
from aswa.analysis.records.runs import Run
from aswa.analysis.records.settings import Choice, meets, select_where
from aswa.analysis.records.values import Values

Best = dict[tuple[str, str, str], Any]  # (dataset, model, method) → value


def meeting(runs: list[Run], where: dict[str, Any]) -> list[int]:
    """Indices of the runs that meet every condition of a regime. Raises ValueError for none."""
    wanted = {key: str(value) for key, value in where.items()}
    met = [i for i, run in enumerate(runs) if all(meets(run, *each) for each in wanted.items())]
    if not met:
        select_where(runs, [f"{key}={value}" for key, value in wanted.items()])  # says why
        raise ValueError(f"no run meets all of {', '.join(map('='.join, wanted.items()))}")
    return met


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
    return Choice(frozenset(kept), frozenset(i for i, _ in kept))


def choice_of_methods(regime: Regime, others: Mapping[str, Choice]) -> Choice:
    """Each method from the regime that is named for it."""
    kept = {
        (i, method)
        for method, name in regime.methods.items()
        for i, other in others[name].kept
        if other == method
    }
    return Choice(frozenset(kept), frozenset(i for i, _ in kept))


def areas(values: Values, names: Names) -> Cells:
    """Every test metric as its mean over the values, by trapezoids over their logarithms.

    A dataset × model × method × seed that lacks a value is left out, and a notice says so.

    Raises:
        ValueError: the values are no two positive numbers.
    """
    wanted = list(values.cells)
    frame = values.frame()
    wide = frame[frame["split"] == "test"].pivot(index=CELL, columns="setting", values="value")
    whole = wide.reindex(columns=wanted).dropna()
    if len(wanted) < 2 or not all(isinstance(v, (int, float)) and v > 0 for v in wanted):
        raise ValueError(f"no area over {values.key}: its values are {', '.join(map(str, wanted))}")
    place = np.log(wanted)
    mean = trapezoid(whole.to_numpy(), place, axis=1) / (place[-1] - place[0])
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
        taken[f"{value:g}" if isinstance(value, float) else str(value)].append(who)
    parts = [f"{key}={value}: {', '.join(dict.fromkeys(who))}" for value, who in taken.items()]
    return f"Chosen on validation: {'; '.join(parts)}."
