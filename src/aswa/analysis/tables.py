"""Tables of a study: mean ± std of the test metrics, decisions, costs.

A `TextTable` is what a reader sees, the same in markdown, LaTeX, HTML and on the terminal; beside
it stands the frame with the unrounded numbers.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd
from tabulate import tabulate

from aswa.analysis.long_table import COST_PARTS
from aswa.analysis.naming import file_stem, in_order, lower_is_better, method_label, metric_label

UNIT = ["dataset", "model"]


@dataclass(frozen=True)
class TextTable:
    """A finished table: texts, and which (row, column) is set in bold."""

    stem: str
    title: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    numbers: pd.DataFrame
    bold: frozenset[tuple[int, int]] = frozenset()

    def marked(self, before: str, after: str) -> list[list[str]]:
        """The rows with bold cells between two marks."""
        return [
            [
                f"{before}{text}{after}" if (i, j) in self.bold else text
                for j, text in enumerate(row)
            ]
            for i, row in enumerate(self.rows)
        ]

    def markdown(self) -> str:
        """Pipe table under its title."""
        body = tabulate(
            self.marked("**", "**"), headers=self.header, tablefmt="pipe", disable_numparse=True,
            colalign=self.alignment(),
        )  # fmt: skip
        return f"{self.title}\n\n{body}\n"

    def latex(self) -> str:
        """A booktabs tabular (needs `\\usepackage{booktabs}`); the title is a comment."""
        columns = "".join(a[0] for a in self.alignment())
        lines = [f"% {self.title}", f"\\begin{{tabular}}{{{columns}}}", "\\toprule"]
        lines += [_latex_row(self.header), "\\midrule"]
        for i, row in enumerate(self.rows):
            cells = [_latex(text) for text in row]
            bold = [f"\\textbf{{{c}}}" if (i, j) in self.bold else c for j, c in enumerate(cells)]
            lines.append(" & ".join(bold) + " \\\\")
        return "\n".join([*lines, "\\bottomrule", "\\end{tabular}", ""])

    def alignment(self) -> tuple[str, ...]:
        """`left` for the leading columns of names, `right` for numbers."""
        names = {
            "dataset", "model", "method", "optimizers", "device", "metric", "scope", "difference",
        }  # fmt: skip
        return tuple("left" if text.lower() in names else "right" for text in self.header)


def _latex_row(cells: Sequence[str]) -> str:
    return " & ".join(_latex(text) for text in cells) + " \\\\"


def _latex(text: str) -> str:
    for char in "&%$#_":
        text = text.replace(char, f"\\{char}")
    return text.replace("±", "$\\pm$").replace("×", "$\\times$").replace("−", "$-$")


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


def metric_table(cells: pd.DataFrame, metric: str) -> TextTable | None:
    """Test metric as mean ± std, one row per dataset × model; None if no run has the metric.

    Best mean of a row in bold, with all that print the same. `seeds` is the largest n of the
    row; a cell with fewer says its own.
    """
    long = summarise(cells, metric)
    if long.empty:
        return None
    methods = in_order(long["optimizer"])
    digits = 4 if metric == "accuracy" else 3
    rows, bold = [], set()
    for index, ((dataset, model), part) in enumerate(long.groupby(UNIT, sort=True)):
        found = {str(r.optimizer): (r.mean, r.std, int(r.n)) for r in table_rows(part)}
        seeds = max(n for _, _, n in found.values())
        texts = [_mean_std(found.get(m), seeds, digits) for m in methods]
        best = _best([round(found[m][0], digits) for m in methods if m in found], metric)
        for column, method in enumerate(methods, start=2):
            if method in found and round(found[method][0], digits) == best:
                bold.add((index, column))
        rows.append((str(dataset), str(model), *texts, str(seeds)))
    return TextTable(
        stem=f"test_{file_stem(metric)}",
        title=f"Test {metric_label(metric)}, mean ± standard deviation over seeds",
        header=("dataset", "model", *(method_label(m) for m in methods), "seeds"),
        rows=tuple(rows),
        numbers=long,
        bold=frozenset(bold),
    )


def _best(means: list[float], metric: str) -> float:
    return min(means) if lower_is_better(metric) else max(means)


def _mean_std(cell: tuple[float, float, int] | None, seeds: int, digits: int) -> str:
    if cell is None:
        return "missing"
    mean, std, n = cell
    text = f"{mean:.{digits}f}" + ("" if math.isnan(std) else f" ± {std:.{digits}f}")
    return text if n == seeds else f"{text} (n = {n})"


def decisions_table(decisions: pd.DataFrame) -> TextTable | None:
    """Mean number of hard, soft and rejected updates a run; None if no run has decided."""
    if decisions.empty:
        return None
    groups = decisions.groupby([*UNIT, "optimizer"], sort=True)
    means = groups.agg(
        hard=("hard", "mean"), soft=("soft", "mean"), reject=("reject", "mean"), n=("seed", "size")
    ).reset_index()
    rows = tuple(
        (r.dataset, r.model, method_label(r.optimizer), f"{r.hard:.1f}", f"{r.soft:.1f}",
         f"{r.reject:.1f}", f"{r.soft / (r.hard + r.soft + r.reject):.0%}", str(r.n))
        for r in table_rows(means)
    )  # fmt: skip
    return TextTable(
        stem="decisions",
        title="Decisions of ASWA, mean number a run over seeds",
        header=("dataset", "model", "method", "hard", "soft", "reject", "soft share", "seeds"),
        rows=rows,
        numbers=means,
    )


def costs_table(costs: pd.DataFrame) -> TextTable:
    """Seconds a run by part, and milliseconds an epoch, as means over runs."""
    groups = costs.groupby([*UNIT, "optimizers", "device", "epochs"], sort=True, dropna=False)
    parts = [f"seconds_{part}" for part in COST_PARTS]
    means = groups.agg(
        **{part: (part, "mean") for part in parts},
        seconds_per_epoch=("seconds_per_epoch", "mean"),
        runs=("run_id", "size"),
    ).reset_index()
    rows = tuple(
        (r.dataset, r.model, r.optimizers, r.device, "" if pd.isna(r.epochs) else str(r.epochs),
         *(_plain(getattr(r, part), 2) for part in parts),
         _plain(1000 * r.seconds_per_epoch, 1), str(r.runs))
        for r in table_rows(means)
    )  # fmt: skip
    header = (
        "dataset", "model", "optimizers", "device", "epochs", "train s", "evaluate s",
        "average s", "batch-norm s", "total s", "ms an epoch", "runs",
    )  # fmt: skip
    return TextTable("costs", "Cost of a run, mean over runs", header, rows, means)


def _plain(value: float, digits: int) -> str:
    return "" if math.isnan(value) else f"{value:.{digits}f}"


def significance_table(frame: pd.DataFrame, stem: str, title: str) -> TextTable:
    """Rows of significance.csv with rounded numbers; the csv has them in full."""
    rows = tuple(
        (metric_label(r.metric), r.scope, f"{method_label(r.optimizer_a)} − "
         f"{method_label(r.optimizer_b)}", str(r.n), f"{r.wins} / {r.ties} / {r.losses}",
         _signed(r.median_difference), _interval(r.ci_low, r.ci_high), _p(r.p), _p(r.p_holm),
         _signed(r.rank_biserial, 2), _p(r.smallest_p))
        for r in table_rows(frame)
    )  # fmt: skip
    header = (
        "metric", "scope", "difference", "n", "wins / ties / losses", "median", "interval", "p",
        "p (Holm)", "effect", "smallest p",
    )  # fmt: skip
    return TextTable(stem, title, header, rows, frame)


def _signed(value: float, digits: int = 4) -> str:
    return "undefined" if math.isnan(value) else f"{value:+.{digits}f}".replace("-", "−")


def _interval(low: float, high: float) -> str:
    return "too few units" if math.isnan(low) else f"{_signed(low)} to {_signed(high)}"


def _p(value: float) -> str:
    if math.isnan(value):
        return "undefined"
    return "< 0.0001" if value < 1e-4 else f"{value:.3g}"
