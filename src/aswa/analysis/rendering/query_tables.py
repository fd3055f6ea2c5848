"""The results of logical queries by structure, in one table."""

from __future__ import annotations

import math

from aswa.analysis.records.long_table import UNIT, Cells
from aswa.analysis.records.runs import EVALUATED
from aswa.analysis.rendering.tables import TextTable

DIGITS = 3


def structures_table(cells: Cells) -> TextTable | None:
    """Mean test value over seeds: a row per dataset × model × method, a column per structure.

    Of the first measure that the records declare for queries. Best mean of a unit in bold, with
    all that print the same. None if no run answered queries.
    """
    names = cells.names
    asked = [metric for metric in names.metrics.values() if metric.family == EVALUATED]
    wanted = [metric for metric in asked if metric.label == asked[0].label]
    rows = cells.of_test(metric.name for metric in wanted)
    if rows.empty:
        return None
    long = rows.groupby([*UNIT, "optimizer", "metric"], sort=True)["value"].mean()
    columns = [metric for metric in wanted if metric.name in set(rows["metric"])]
    means = long.unstack("metric")[[metric.name for metric in columns]]
    texts: list[tuple[str, ...]] = []
    bold: set[tuple[int, int]] = set()
    for unit, part in means.groupby(level=UNIT, sort=True):
        of_method = part.reset_index(level=UNIT, drop=True).round(DIGITS)
        best = [
            math.nan if metric.higher_is_better is None
            else metric.sign * (metric.sign * of_method[metric.name]).max()
            for metric in columns
        ]  # fmt: skip
        for method in names.in_order(map(str, of_method.index)):
            values = of_method.loc[method].to_numpy(dtype=float)
            bold |= {(len(texts), 3 + j) for j, is_it in enumerate(values == best) if is_it}
            printed = ["missing" if math.isnan(v) else f"{v:.{DIGITS}f}" for v in values]
            texts.append((*map(str, unit), names.method(method), *printed))
    label = columns[0].label
    heads = [metric.name.partition("_")[2] or metric.name for metric in columns]
    parts = zip(heads, columns, strict=True)
    groups = [f"{head}: {m.part}" for head, m in parts if m.part != f"{head} queries"]
    return TextTable(
        stem=f"test_{label.lower()}_by_structure",
        title=f"Test {label} of logical queries by structure, mean over seeds",
        header=("dataset", "model", "method", *heads),
        rows=tuple(texts),
        numbers=long.rename("mean").reset_index(),
        bold=frozenset(bold),
        note=f"Means over structures: {'; '.join(groups)}." if groups else "",
    )
