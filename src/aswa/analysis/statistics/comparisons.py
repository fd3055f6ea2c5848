"""Pivot, pairs, and the declared family of tests.

The units of a test are dataset × model means over seeds, never single runs: runs of one
dataset × model are repeated measurements of one unit, and counting them as units would make any
difference significant.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from aswa.analysis.declaration import Declaration
from aswa.analysis.records.long_table import UNIT, Cells
from aswa.analysis.records.names import Names
from aswa.analysis.statistics.signed_rank import SignificanceRecord, correct_family, signed_rank

Unit = tuple[str, str]  # dataset, model


@dataclass(frozen=True)
class Pairs:
    """Unit means of two methods over their common seeds.

    Attributes:
        methods: their names; units: those with a pair, in order.
        a, b: means of these units, shape (len(units),).
        unpaired: units without one, each with the reason; partial: units with unequal seeds.
    """

    methods: tuple[str, str]
    units: tuple[Unit, ...]
    a: npt.NDArray[np.float64]
    b: npt.NDArray[np.float64]
    unpaired: dict[Unit, str]
    partial: dict[Unit, str]

    def within(self, scope: str) -> Pairs:
        """Those of one scope: `all`, or `dataset:NAME`."""
        if scope == "all":
            return self
        name = scope.partition(":")[2]
        units = tuple(unit for unit in self.units if unit[0] == name)
        here = np.array([unit in units for unit in self.units], dtype=bool)
        unpaired = {unit: why for unit, why in self.unpaired.items() if unit[0] == name}
        partial = {unit: why for unit, why in self.partial.items() if unit[0] == name}
        return Pairs(self.methods, units, self.a[here], self.b[here], unpaired, partial)


def pair_units(table: pd.DataFrame, a: str, b: str) -> Pairs:
    """Pair two methods of a seed table by unit. No unit disappears without being named."""
    both = table.reindex(columns=[a, b]).set_axis(["a", "b"], axis=1)
    has = both.notna().assign(common=both.notna().all(axis=1), seeds=True).astype(int)
    unpaired, partial = {}, {}
    for unit, has_a, has_b, common, seeds in has.groupby(level=UNIT, sort=True).sum().itertuples():
        name = " × ".join(unit)
        if not common:
            absent = [method for method, n in ((a, has_a), (b, has_b)) if not n]
            reason = f"no {' or '.join(absent)}" if absent else "no common seed"
            unpaired[unit] = f"{name} ({reason})"
        elif common < max(has_a, has_b):
            partial[unit] = f"{name} ({common} of {seeds} seeds)"
    means = both.dropna().groupby(level=UNIT, sort=True).mean()
    units = tuple((str(dataset), str(model)) for dataset, model in means.index)
    return Pairs((a, b), units, means["a"].to_numpy(), means["b"].to_numpy(), unpaired, partial)


def declared_tests(cells: Cells, declared: Declaration) -> list[SignificanceRecord]:
    """Every declared comparison for every metric that exists and every scope, in declared order.

    One Holm family is one metric in one scope. Only a primary metric in scope `all` answers the
    question; the other families describe. A metric of unknown direction is not tested.
    """
    records: list[SignificanceRecord] = []
    for metric in cells.names.judged(declared.metrics):
        table = cells.seed_table(metric)
        if table.empty:
            continue
        pairs = [pair_units(table, c.a, c.b) for c in declared.comparisons]
        datasets = sorted(set(table.index.get_level_values("dataset")))
        scopes = {"all": ["all"], "dataset": [f"dataset:{name}" for name in datasets]}
        for scope in (scope for kind in declared.scopes for scope in scopes[kind]):
            tests = [_test(p.within(scope), cells.names, metric, scope, declared) for p in pairs]
            records += correct_family(tests)
    return records


def _test(
    pairs: Pairs, names: Names, metric: str, scope: str, declared: Declaration
) -> SignificanceRecord:
    lower = names.metric(metric).sign < 0
    return SignificanceRecord(
        **vars(signed_rank(pairs.a, pairs.b, lower, declared.confidence)),
        metric=metric,
        scope=scope,
        optimizer_a=pairs.methods[0],
        optimizer_b=pairs.methods[1],
        names=names,
        alpha=declared.alpha,
        confidence=declared.confidence,
        unpaired=tuple(pairs.unpaired.values()),
        partial=tuple(pairs.partial.values()),
    )


def family(
    records: Iterable[SignificanceRecord], metric: str, scope: str = "all"
) -> list[SignificanceRecord]:
    """The records of one family, in declared order."""
    return [record for record in records if (record.metric, record.scope) == (metric, scope)]
