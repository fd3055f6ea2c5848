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
from aswa.analysis.statistics.signed_rank import SignificanceRecord, correct_family, signed_rank


@dataclass(frozen=True)
class Pairs:
    """Unit means of two methods over their common seeds.

    Attributes:
        units: the units with a pair, in order; a, b: their means, shape (len(units),).
        unpaired: units without one, each with the reason; partial: units with unequal seeds.
    """

    units: tuple[tuple[str, str], ...]
    a: npt.NDArray[np.float64]
    b: npt.NDArray[np.float64]
    unpaired: tuple[str, ...]
    partial: tuple[str, ...]


def pair_units(table: pd.DataFrame, a: str, b: str) -> Pairs:
    """Pair two methods of a seed table by unit. No unit disappears without being named."""
    both = table.reindex(columns=[a, b]).set_axis(["a", "b"], axis=1)
    has = both.notna().groupby(level=UNIT, sort=True).sum()
    complete = both.dropna().groupby(level=UNIT, sort=True)
    means, common = complete.mean(), complete.size().reindex(has.index, fill_value=0)
    seeds = both.groupby(level=UNIT, sort=True).size()
    unpaired, partial = [], []
    for unit, has_a, has_b in has.itertuples():
        name = " × ".join(unit)
        if not common[unit]:
            absent = [method for method, n in ((a, has_a), (b, has_b)) if not n]
            reason = f"no {' or '.join(absent)}" if absent else "no common seed"
            unpaired.append(f"{name} ({reason})")
        elif common[unit] < max(has_a, has_b):
            partial.append(f"{name} ({common[unit]} of {seeds[unit]} seeds)")
    return Pairs(
        units=tuple((str(dataset), str(model)) for dataset, model in means.index),
        a=means["a"].to_numpy(),
        b=means["b"].to_numpy(),
        unpaired=tuple(unpaired),
        partial=tuple(partial),
    )


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
        datasets = table.index.get_level_values("dataset")
        for scope in declared.scopes:
            if scope == "all":
                records += _family(table, cells, metric, scope, declared)
                continue
            for name in sorted(set(datasets)):
                within = table[datasets == name]
                records += _family(within, cells, metric, f"dataset:{name}", declared)
    return records


def _family(
    table: pd.DataFrame, cells: Cells, metric: str, scope: str, declared: Declaration
) -> list[SignificanceRecord]:
    records = []
    lower = cells.names.metric(metric).sign < 0
    for comparison in declared.comparisons:
        pairs = pair_units(table, comparison.a, comparison.b)
        record = SignificanceRecord(
            **vars(signed_rank(pairs.a, pairs.b, lower, declared.confidence)),
            metric=metric,
            scope=scope,
            optimizer_a=comparison.a,
            optimizer_b=comparison.b,
            names=cells.names,
            alpha=declared.alpha,
            confidence=declared.confidence,
            unpaired=pairs.unpaired,
            partial=pairs.partial,
        )
        records.append(record)
    return correct_family(records)


def family(
    records: Iterable[SignificanceRecord], metric: str, scope: str = "all"
) -> list[SignificanceRecord]:
    """The records of one family, in declared order."""
    return [record for record in records if (record.metric, record.scope) == (metric, scope)]
