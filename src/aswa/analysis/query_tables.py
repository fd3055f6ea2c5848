"""The results of logical queries by structure, in one table."""

from __future__ import annotations

import math
from collections.abc import Iterable

import pandas as pd

from aswa.analysis.naming import PARTS, in_order, method_label, of_queries
from aswa.analysis.runs import Run
from aswa.analysis.tables import UNIT, TextTable

METRIC, DIGITS = "mrr", 3


def structures_table(cells: pd.DataFrame, runs: Iterable[Run]) -> TextTable | None:
    """Mean test MRR over seeds: a row per dataset × model × method, a column per structure.

    Best mean of a unit in bold, with all that print the same. None if no run answered queries.

    Args:
        runs: those whose records give the order of the columns.
    """
    names = dict.fromkeys(name for run in runs for name in run.keys.metric)
    wanted = [name for name in names if of_queries(name) and name.startswith(f"{METRIC}_")]
    rows = cells[(cells["split"] == "test") & cells["metric"].isin(wanted)]
    if rows.empty:
        return None
    long = rows.groupby([*UNIT, "optimizer", "metric"], sort=True)["value"].mean()
    means = long.unstack("metric")[[name for name in wanted if name in set(rows["metric"])]]
    texts: list[tuple[str, ...]] = []
    bold: set[tuple[int, int]] = set()
    for unit, part in means.groupby(level=UNIT, sort=True):
        best = part.round(DIGITS).max().to_numpy(dtype=float)
        of_method = part.reset_index(level=UNIT, drop=True).round(DIGITS)
        for method in in_order(map(str, of_method.index)):
            values = of_method.loc[method].to_numpy(dtype=float)
            bold |= {(len(texts), 3 + j) for j, is_it in enumerate(values == best) if is_it}
            printed = ["missing" if math.isnan(v) else f"{v:.{DIGITS}f}" for v in values]
            texts.append((*map(str, unit), method_label(method), *printed))
    heads = [name.partition("_")[2] for name in means.columns]
    groups = [f"{head}: {PARTS[head]}" for head in heads if head in PARTS]
    return TextTable(
        stem="test_mrr_by_structure",
        title="Test MRR of logical queries by structure, mean over seeds",
        header=("dataset", "model", "method", *heads),
        rows=tuple(texts),
        numbers=long.rename("mean").reset_index(),
        bold=frozenset(bold),
        note=f"Means over structures: {'; '.join(groups)}." if groups else "",
    )
