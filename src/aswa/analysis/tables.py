"""Tables of a study: mean ± std of the test metrics, decisions, costs.

A `TextTable` is what a reader sees, the same in markdown, LaTeX, HTML and on the terminal; beside
it stands the frame with the unrounded numbers.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pandas as pd
from tabulate import tabulate

from aswa.analysis.comparisons import seed_table
from aswa.analysis.naming import file_stem, in_order, lower_is_better, method_label, metric_label
from aswa.analysis.unit_intervals import told_apart, unit_intervals

UNIT = ["dataset", "model"]
LATEX = {
    "χ": "\\chi",
    "²": "{}^2",
    "±": "\\pm",
    "×": "\\times",
    "−": "-",
    "†": "{}^\\dagger",
    "<": "<",
    ">": ">",
}


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

    def marked(self, bold: str, underlined: str) -> list[list[str]]:
        """The rows with their marks, each given as `before{}after`."""
        return [
            [
                bold.format(text)
                if (i, j) in self.bold
                else underlined.format(text)
                if (i, j) in self.underlined
                else text
                for j, text in enumerate(row)
            ]
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
        lines = [*notes, f"\\begin{{tabular}}{{{columns}}}", "\\toprule"]
        lines += [_latex_row(self.header), "\\midrule"]
        escaped = [tuple(latex_text(text) for text in row) for row in self.rows]
        for row in replace(self, rows=tuple(escaped)).marked("\\textbf{{{}}}", "\\underline{{{}}}"):
            lines.append(" & ".join(row) + " \\\\")
        return "\n".join([*lines, "\\bottomrule", "\\end{tabular}", ""])

    def alignment(self) -> tuple[str, ...]:
        """`left` for the leading columns of names, `right` for numbers."""
        names = {
            "dataset", "model", "method", "optimizers", "device", "metric", "scope", "difference",
            "question",
        }  # fmt: skip
        return tuple("left" if text.lower() in names else "right" for text in self.header)


def _latex_row(cells: Sequence[str]) -> str:
    return " & ".join(latex_text(text) for text in cells) + " \\\\"


def latex_text(text: str) -> str:
    """A text with LaTeX's special characters and ours escaped."""
    for char in "&%$#_{}":
        text = text.replace(char, f"\\{char}")
    for char, command in LATEX.items():
        text = text.replace(char, f"${command}$")
    return text


def table_rows(frame: pd.DataFrame) -> Iterator[Any]:
    """The rows of a frame, with its columns as attributes."""
    yield from frame.itertuples(index=False)


def summarise(cells: pd.DataFrame, metric: str) -> pd.DataFrame:
    """Mean, sample std (ddof=1; NaN for one seed) and n of a test metric, in long form.

    Columns dataset, model, optimizer, mean, std, n; sorted.
    """
    rows = cells[(cells["split"] == "test") & (cells["metric"] == metric)]
    values = rows.groupby([*UNIT, "optimizer"], sort=True)["value"]
    return values.agg(mean="mean", std="std", n="size").reset_index()


def metric_table(
    cells: pd.DataFrame, metric: str, reference: str = "aswa", confidence: float = 0.95
) -> TextTable | None:
    """Test metric as mean ± std, one row per dataset × model; None if no run has the metric.

    Best mean of a row in bold, with all that print the same; the next underlined. `seeds` is the
    largest n of the row; a cell with fewer says its own. † marks a method whose paired differences
    from `reference` over common seeds have a t interval without 0: it describes this unit alone.
    """
    long = summarise(cells, metric)
    if long.empty:
        return None
    methods = in_order(long["optimizer"])
    apart = told_apart(seed_table(cells, metric), reference, confidence)
    digits = 4 if metric == "accuracy" else 3
    rows, bold, underlined = [], set(), set()
    for index, ((dataset, model), part) in enumerate(long.groupby(UNIT, sort=True)):
        found = {str(r.optimizer): (r.mean, r.std, int(r.n)) for r in table_rows(part)}
        seeds = max(n for _, _, n in found.values())
        texts = []
        for m in methods:
            mark = " †" if (dataset, model, m) in apart else ""
            texts.append(_mean_std(found.get(m), seeds, digits) + mark)
        printed = {m: round(mean, digits) for m, (mean, _, _) in found.items()}
        order = sorted(set(printed.values()), reverse=not lower_is_better(metric))
        for column, method in enumerate(methods, start=2):
            if printed.get(method) == order[0]:
                bold.add((index, column))
            elif len(order) > 1 and printed.get(method) == order[1]:
                underlined.add((index, column))
        rows.append((str(dataset), str(model), *texts, str(seeds)))
    return TextTable(
        stem=f"test_{file_stem(metric)}",
        title=f"Test {metric_label(metric)}, mean ± standard deviation over seeds",
        header=("dataset", "model", *(method_label(m) for m in methods), "seeds"),
        rows=tuple(rows),
        numbers=long,
        bold=frozenset(bold),
        underlined=frozenset(underlined),
        note=f"† {100 * confidence:g}% t interval of the difference from {method_label(reference)} "
        "over common seeds is without 0: about this dataset and model only, not corrected for the "
        "number of marks."
        if apart
        else "",
    )


def intervals_table(
    table: pd.DataFrame, metric: str, reference: str, confidence: float
) -> TextTable:
    """`unit_intervals` of a metric, for the report."""
    frame = unit_intervals(table, reference, confidence)
    rows = tuple(
        (r.dataset, r.model, f"{method_label(r.reference)} − {method_label(r.optimizer)}",
         str(r.seeds), signed_cell(r.mean_difference),
         _interval(r.ci_low, r.ci_high, "undefined"))
        for r in table_rows(frame)
    )  # fmt: skip
    return TextTable(
        f"intervals_{file_stem(metric)}",
        f"Differences in test {metric_label(metric)} within each dataset × model, over seeds",
        ("dataset", "model", "difference", "seeds", "mean", f"{100 * confidence:g}% t interval"),
        rows,
        frame,
    )


def _mean_std(cell: tuple[float, float, int] | None, seeds: int, digits: int) -> str:
    if cell is None:
        return "missing"
    mean, std, n = cell
    text = f"{mean:.{digits}f}" + ("" if math.isnan(std) else f" ± {std:.{digits}f}")
    return text if n == seeds else f"{text} (n = {n})"


def significance_table(frame: pd.DataFrame, stem: str, title: str) -> TextTable:
    """Rows of significance.csv with rounded numbers; the csv has them in full."""
    rows = tuple(
        (metric_label(r.metric), r.scope, f"{method_label(r.optimizer_a)} − "
         f"{method_label(r.optimizer_b)}", str(r.n), f"{r.wins} / {r.ties} / {r.losses}",
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
    """A p as a table has it."""
    if math.isnan(value):
        return "undefined"
    return "< 0.0001" if value < 1e-4 else f"{value:.3g}"
