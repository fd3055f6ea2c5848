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

from aswa.analysis.naming import lower_is_better
from aswa.analysis.plan import Plan
from aswa.analysis.significance import (
    COLUMNS,
    SignificanceRecord,
    correct_family,
    make_record,
    signed_rank,
)

UNIT = ["dataset", "model"]


def seed_table(cells: pd.DataFrame, metric: str) -> pd.DataFrame:
    """Test values of one metric: index (dataset, model, seed), one column per method."""
    rows = cells[(cells["split"] == "test") & (cells["metric"] == metric)]
    return rows.pivot(index=[*UNIT, "seed"], columns="optimizer", values="value").sort_index()


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
    """Pair two methods of a `seed_table` by unit. No unit disappears without being named."""
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


def declared_tests(cells: pd.DataFrame, plan: Plan) -> list[SignificanceRecord]:
    """Every declared comparison for every metric that exists and every scope, in plan order.

    One Holm family is one metric in one scope. Only a primary metric in scope `all` answers the
    question; the other families describe.
    """
    records: list[SignificanceRecord] = []
    for metric in plan.metrics:
        table = seed_table(cells, metric)
        if table.empty:
            continue
        for scope in _scopes(table, plan.scopes):
            records.extend(correct_family(_family(_within(table, scope), metric, scope, plan)))
    return records


def _scopes(table: pd.DataFrame, declared: Iterable[str]) -> list[str]:
    datasets = sorted(set(table.index.get_level_values("dataset")))
    scopes = []
    for scope in declared:
        scopes += ["all"] if scope == "all" else [f"dataset:{name}" for name in datasets]
    return scopes


def _within(table: pd.DataFrame, scope: str) -> pd.DataFrame:
    if scope == "all":
        return table
    return table[table.index.get_level_values("dataset") == scope.partition(":")[2]]


def _family(table: pd.DataFrame, metric: str, scope: str, plan: Plan) -> list[SignificanceRecord]:
    records = []
    for comparison in plan.comparisons:
        pairs = pair_units(table, comparison.a, comparison.b)
        test = signed_rank(pairs.a, pairs.b, lower_is_better(metric), plan.confidence)
        records.append(
            make_record(
                test,
                metric,
                scope,
                (comparison.a, comparison.b),
                alpha=plan.alpha,
                confidence=plan.confidence,
                unpaired=pairs.unpaired,
                partial=pairs.partial,
            )
        )
    return records


def significance_frame(records: Iterable[SignificanceRecord]) -> pd.DataFrame:
    """The records as significance.csv has them: exactly COLUMNS, in the order of the records."""
    return pd.DataFrame([record.row() for record in records], columns=COLUMNS)


def family(
    records: Iterable[SignificanceRecord], metric: str, scope: str = "all"
) -> list[SignificanceRecord]:
    """The records of one family, in declared order."""
    return [record for record in records if (record.metric, record.scope) == (metric, scope)]
