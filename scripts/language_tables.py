"""Paired differences over seeds in each text and schedule: tables of docs/language.md.

    python scripts/language_tables.py RESULTS_DIR language_small|language_lora

Reads the runs of a registered experiment and its declared comparisons (conf/analysis/NAME.yaml),
and writes RESULTS_DIR/differences.csv and .md; where scripts/language_ensembles.py left
ensembles.csv, also ensembles.md. `scripts/snapshot.py NAME RESULTS_DIR` puts them on the page. An
interval is a 95 % t interval over seeds: it describes one text, and is no test over texts.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pandas as pd

from aswa.analysis.declaration import Declaration, load_declaration
from aswa.analysis.statistics.unit_intervals import t_interval
from aswa.results.store import read_result, result_paths

COLUMNS = ["dataset", "schedule", "metric", "a", "b", "seeds", "mean_a", "mean_b", "difference",
           "ci_low", "ci_high"]  # fmt: skip

SHOWN = ["loss", "ece", "accuracy", "choice_accuracy", "choice_ece", "austen_loss", "kjv_loss",
         "austen_entropy", "kjv_entropy", "austen_information", "kjv_information"]  # fmt: skip


def test_rows(results: Path, methods: set[str]) -> tuple[pd.DataFrame, dict[str, str]]:
    """Test values of runs that have all methods of the comparisons, and labels of names in them."""
    rows: list[tuple[Any, ...]] = []
    labels: dict[str, str] = {}
    for record in map(read_result, result_paths(results)):
        if record["status"] == "done" and methods <= record["methods"].keys():
            declared = [*record["methods"].items(), *record["metrics"].items()]
            labels |= {name: str(said["label"]) for name, said in declared}
            about = record["dataset"], record["config"]["schedule"]["name"], record["seed"]
            rows += [
                (*about, row["optimizer"], row["metric"], row["value"])
                for row in record["rows"]
                if row["split"] == "test"
            ]
    columns = ["dataset", "schedule", "seed", "method", "metric", "value"]
    return pd.DataFrame(rows, columns=columns), labels


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


def table(found: pd.DataFrame, labels: dict[str, str]) -> str:
    """Markdown; bold where the interval excludes zero."""
    lines = [
        "| text | schedule | metric | difference | seeds | means | mean [95 % interval] |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for row in found.itertuples():
        value = f"{row.difference:+.4f} [{row.ci_low:+.4f}, {row.ci_high:+.4f}]"
        shown = f"**{value}**" if row.ci_low > 0 or row.ci_high < 0 else value
        lines.append(
            f"| {row.dataset} | {labels.get(row.schedule, row.schedule)} | {labels[row.metric]} | "
            f"{labels[row.a]} − {labels[row.b]} | {row.seeds} | {row.mean_a:.4f}, "
            f"{row.mean_b:.4f} | {shown} |"
        )
    return "\n".join(lines)


def ensembles(path: Path) -> str:
    """Markdown: what several runs, or one with dropout, predict together, for each text."""
    found = pd.read_csv(path)
    wide = found.pivot(index=["dataset", "name", "members"], columns="metric", values="value")
    shown = wide[[metric for metric in SHOWN if metric in wide]].reset_index()
    return str(shown.to_markdown(index=False, floatfmt=".3f"))


def main(results: Path, name: str) -> None:
    declared = load_declaration(name)
    methods = {method for pair in declared.comparisons for method in (pair.a, pair.b)}
    rows, labels = test_rows(results, methods)
    labels |= {str(r.where.get("schedule.name")): r.name for r in declared.regimes}
    if rows.empty:
        sys.exit(f"{results}: no finished run of experiment={name} there")
    found = differences(rows, declared)
    found.round(6).to_csv(results / "differences.csv", index=False)
    (results / "differences.md").write_text(table(found, labels) + "\n")
    if (results / "ensembles.csv").is_file():
        (results / "ensembles.md").write_text(ensembles(results / "ensembles.csv") + "\n")
    print(results / "differences.md")


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(Path(sys.argv[1]), sys.argv[2])
