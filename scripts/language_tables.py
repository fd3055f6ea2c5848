"""Paired differences over seeds in each text and schedule: the tables of docs/language.md.

    python scripts/language_tables.py results/language_small language_small docs/language.md

Reads the runs of a registered experiment and its declared comparisons (conf/analysis/NAME.yaml),
writes RESULTS_DIR/differences.csv, and the table between the marks NAME of the page. An interval is
a 95 % t interval over seeds: it describes one text, and is no test over texts.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pandas as pd

from aswa.analysis.declaration import Declaration, load_declaration
from aswa.analysis.statistics.unit_intervals import t_interval
from aswa.results.store import read_result, result_paths

COLUMNS = ["dataset", "schedule", "metric", "a", "b", "seeds", "mean_a", "mean_b", "difference",
           "ci_low", "ci_high"]  # fmt: skip


def test_rows(results: Path, methods: set[str]) -> pd.DataFrame:
    """Test values of runs that have all the methods of the comparisons."""
    rows = []
    for record in map(read_result, result_paths(results)):
        if record["status"] == "done" and methods <= record["methods"].keys():
            about = record["dataset"], record["config"]["schedule"]["name"], record["seed"]
            rows += [
                (*about, row["optimizer"], row["metric"], row["value"])
                for row in record["rows"]
                if row["split"] == "test"
            ]
    return pd.DataFrame(rows, columns=["dataset", "schedule", "seed", "method", "metric", "value"])


def differences(rows: pd.DataFrame, declared: Declaration) -> pd.DataFrame:
    """A line a text, schedule, metric and comparison."""
    found = []
    for (dataset, schedule), unit in rows.groupby(["dataset", "schedule"], sort=True):
        for metric in declared.primary_metrics:
            wide = unit[unit["metric"] == metric].pivot(
                index="seed", columns="method", values="value"
            )
            for pair in declared.comparisons:
                both = wide[[pair.a, pair.b]].dropna()
                difference = (both[pair.a] - both[pair.b]).to_numpy()
                means = both[pair.a].mean(), both[pair.b].mean(), difference.mean()
                interval = t_interval(difference, declared.confidence)
                found.append(
                    (dataset, schedule, metric, pair.a, pair.b, len(both), *means, *interval)
                )
    return pd.DataFrame(found, columns=COLUMNS)


def table(found: pd.DataFrame) -> str:
    """Markdown; bold where the interval excludes zero."""
    lines = [
        "| text | schedule | metric | difference | seeds | means | mean [95 % interval] |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for row in found.itertuples():
        value = f"{row.difference:+.4f} [{row.ci_low:+.4f}, {row.ci_high:+.4f}]"
        shown = row.ci_low > 0 or row.ci_high < 0
        lines.append(
            f"| {row.dataset} | {row.schedule} | {row.metric} | {row.a} − {row.b} | {row.seeds} | "
            f"{row.mean_a:.4f}, {row.mean_b:.4f} | {f'**{value}**' if shown else value} |"
        )
    return "\n".join(lines)


def main(results: str, name: str, page: str) -> None:
    declared = load_declaration(name)
    methods = {method for pair in declared.comparisons for method in (pair.a, pair.b)}
    rows = test_rows(Path(results), methods)
    if rows.empty:
        sys.exit(f"{results}: no finished run of experiment={name} there")
    found = differences(rows, declared)
    found.round(6).to_csv(Path(results) / "differences.csv", index=False)
    marks = rf"(<!-- {name}:begin -->\n).*?(<!-- {name}:end -->)"
    text = Path(page).read_text()
    filled = re.sub(marks, lambda m: f"{m[1]}{table(found)}\n{m[2]}", text, flags=re.DOTALL)
    Path(page).write_text(filled)
    print(table(found))


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    main(*sys.argv[1:])
