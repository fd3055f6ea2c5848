"""Tables of a study: test metrics, tests, intervals, logical queries by structure.

A `TextTable` is what a reader sees, the same in markdown, LaTeX, HTML and on the terminal; beside
it stands the frame with the unrounded numbers.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from tabulate import tabulate

from aswa.analysis.records.long_table import UNIT, Cells
from aswa.analysis.records.names import Names
from aswa.analysis.records.runs import EVALUATED
from aswa.analysis.statistics.signed_rank import p_text
from aswa.analysis.statistics.unit_intervals import told_apart, unit_intervals

DIGITS = {"classification": 4}  # by family of metrics: a point in ten thousand images
QUERY_DIGITS = 3
LATEX = {
    "χ": "\\chi", "²": "{}^2", "±": "\\pm", "×": "\\times", "−": "-", "†": "{}^\\dagger",
    "<": "<", ">": ">",
}  # fmt: skip


@dataclass(frozen=True)
class TextTable:
    """A finished table: texts, which (row, column) is set in bold or underlined, and a note."""

    stem: str
    title: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    numbers: pd.DataFrame
    bold: frozenset[tuple[int, int]] = frozenset()
    underlined: frozenset[tuple[int, int]] = frozenset()
    note: str = ""

    def marked(
        self, bold: str, underlined: str, escaped: Callable[[str], str] = str
    ) -> list[list[str]]:
        """The rows, escaped, with their marks, each given as `before{}after`."""
        marks = dict.fromkeys(self.underlined, underlined) | dict.fromkeys(self.bold, bold)
        return [
            [marks.get((i, j), "{}").format(escaped(text)) for j, text in enumerate(row)]
            for i, row in enumerate(self.rows)
        ]

    def markdown(self) -> str:
        """Pipe table under its title, over its note."""
        body = tabulate(
            self.marked("**{}**", "<ins>{}</ins>"), headers=self.header, tablefmt="pipe",
            disable_numparse=True, colalign=self.alignment(),
        )  # fmt: skip
        note = f"\n{self.note}\n" if self.note else ""
        return f"{self.title}\n\n{body}\n{note}"

    def latex(self) -> str:
        """A booktabs tabular (needs `\\usepackage{booktabs}`); title and note are comments."""
        columns = "".join(a[0] for a in self.alignment())
        notes = [f"% {line}" for line in (self.title, self.note) if line]
        marked = self.marked("\\textbf{{{}}}", "\\underline{{{}}}", latex_text)
        cells = [list(map(latex_text, self.header)), *marked]
        head, *rows = (" & ".join(row) + " \\\\" for row in cells)
        begin = [f"\\begin{{tabular}}{{{columns}}}", "\\toprule", head, "\\midrule"]
        return "\n".join([*notes, *begin, *rows, "\\bottomrule", "\\end{tabular}", ""])

    def alignment(self) -> tuple[str, ...]:
        """`left` for the leading columns of names, `right` for numbers."""
        names = {
            "dataset", "model", "method", "optimizers", "device", "metric", "scope", "difference",
            "question", "scoring", "status", "commit", "folder",
        }  # fmt: skip
        return tuple("left" if text.lower() in names else "right" for text in self.header)


def latex_text(text: str) -> str:
    """A text with LaTeX's special characters and ours escaped."""
    for char in "&%$#_{}":
        text = text.replace(char, f"\\{char}")
    for char, command in LATEX.items():
        text = text.replace(char, f"${command}$")
    return text


def table_rows(frame: pd.DataFrame) -> Iterator[Any]:
    """The rows of a frame, with its columns as attributes."""
    return frame.itertuples(index=False)


def metric_table(cells: Cells, name: str, reference: str, confidence: float = 0.95) -> TextTable:
    """Test metric as mean ± sample standard deviation, one row per dataset × model.

    Best mean of a row in bold, with all that print the same; the next underlined; neither where
    no record says which direction is better. `seeds` is the largest n of the row; a cell with
    fewer says its own. † marks a method whose paired differences from `reference` over common
    seeds have a t interval without 0: it describes this unit alone.
    """
    names, values = cells.names, cells.of_test([name]).groupby([*UNIT, "optimizer"])["value"]
    long = values.agg(mean="mean", std="std", n="size").reset_index()
    metric, methods = names.metric(name), names.in_order(long["optimizer"])
    apart = told_apart(cells.seed_table(name), names, reference, confidence)
    digits = DIGITS.get(metric.family or "", 3)
    rows: list[tuple[str, ...]] = []
    for (dataset, model), part in long.groupby(UNIT):
        found = {r.optimizer: (r.mean, r.std, r.n) for r in table_rows(part)}
        seeds = part["n"].max()
        texts = []
        for m in methods:
            mark = " †" if (dataset, model, m) in apart else ""
            texts.append(_mean_std(found.get(m), seeds, digits) + mark)
        rows.append((str(dataset), str(model), *texts, str(seeds)))
    bold = underlined = frozenset[tuple[int, int]]()
    if metric.higher_is_better is not None:
        wide = long.pivot(index=UNIT, columns="optimizer", values="mean")[methods]
        printed = wide.map(lambda mean: round(mean, digits))
        places = printed.rank(axis=1, method="dense", ascending=metric.sign < 0).to_numpy()
        bold, underlined = (
            frozenset((i, 2 + j) for i, j in np.argwhere(places == place).tolist())
            for place in (1, 2)
        )
    return TextTable(
        stem=f"test_{metric.stem}",
        title=f"Test {metric.title}, mean ± standard deviation over seeds",
        header=("dataset", "model", *map(names.method, methods), "seeds"),
        rows=tuple(rows),
        numbers=long,
        bold=bold,
        underlined=underlined,
        note=f"† {100 * confidence:g}% t interval of the difference from {names.method(reference)} "
        "over common seeds is without 0: about this dataset and model only, not corrected for the "
        "number of marks."
        if apart
        else "",
    )


def intervals_table(
    table: pd.DataFrame, names: Names, name: str, reference: str, confidence: float
) -> TextTable:
    """`unit_intervals` of a metric, for the report."""
    frame, metric = unit_intervals(table, names, reference, confidence), names.metric(name)
    rows = tuple(
        (r.dataset, r.model, f"{names.method(r.reference)} − {names.method(r.optimizer)}",
         str(r.seeds), signed_cell(r.mean_difference),
         _interval(r.ci_low, r.ci_high, "undefined"))
        for r in table_rows(frame)
    )  # fmt: skip
    return TextTable(
        f"intervals_{metric.stem}",
        f"Differences in test {metric.title} within each dataset × model, over seeds",
        ("dataset", "model", "difference", "seeds", "mean", f"{100 * confidence:g}% t interval"),
        rows,
        frame,
    )


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
        of_method = part.reset_index(level=UNIT, drop=True).round(QUERY_DIGITS)
        best = [
            math.nan if metric.higher_is_better is None
            else metric.sign * (metric.sign * of_method[metric.name]).max()
            for metric in columns
        ]  # fmt: skip
        for method in names.in_order(map(str, of_method.index)):
            values = of_method.loc[method].to_numpy(dtype=float)
            bold |= {(len(texts), 3 + j) for j, is_it in enumerate(values == best) if is_it}
            printed = ["missing" if math.isnan(v) else f"{v:.{QUERY_DIGITS}f}" for v in values]
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


def _mean_std(cell: tuple[float, float, int] | None, seeds: int, digits: int) -> str:
    if cell is None:
        return "missing"
    mean, std, n = cell
    text = f"{mean:.{digits}f}" + ("" if math.isnan(std) else f" ± {std:.{digits}f}")
    return text if n == seeds else f"{text} (n = {n})"


def significance_table(frame: pd.DataFrame, names: Names, stem: str, title: str) -> TextTable:
    """Rows of significance.csv with rounded numbers; the csv has them in full."""
    rows = tuple(
        (names.metric(r.metric).title, r.scope, f"{names.method(r.optimizer_a)} − "
         f"{names.method(r.optimizer_b)}", str(r.n), f"{r.wins} / {r.ties} / {r.losses}",
         signed_cell(r.median_difference), _interval(r.ci_low, r.ci_high), p_cell(r.p),
         p_cell(r.p_holm), signed_cell(r.rank_biserial, 2), p_cell(r.smallest_p))
        for r in table_rows(frame)
    )  # fmt: skip
    header = (
        "metric", "scope", "difference", "n", "wins / ties / losses", "median", "interval", "p",
        "p (Holm)", "effect", "smallest p",
    )  # fmt: skip
    return TextTable(stem, title, header, rows, frame)


def signed_cell(value: float, digits: int = 4) -> str:
    """`+0.0110`, with a true minus sign; NaN is `undefined`."""
    return "undefined" if math.isnan(value) else f"{value:+.{digits}f}".replace("-", "−")


def _interval(low: float, high: float, none: str = "too few units") -> str:
    return none if math.isnan(low) else f"{signed_cell(low)} to {signed_cell(high)}"


def p_cell(value: float) -> str:
    """A p as a table has it: `0.0156`, `< 0.0001` or `undefined`."""
    return p_text(value).removeprefix("p ").removeprefix("= ")
