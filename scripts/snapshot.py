"""Commit what `make reproduce` made: `python scripts/snapshot.py [RESULTS_DIR]`.

Copies the tables, figures and test records of RESULTS_DIR/analysis (default `results`) to
results/reproduce/, and writes the README's result and speed blocks from them and from
benchmarks/results/, so that no number in the README is typed by hand.
"""

from __future__ import annotations

import re
import shutil
import sys
from pathlib import Path

import pandas as pd

from aswa.analysis.plan import load_plan
from aswa.analysis.study import analyse
from aswa.results.store import read_result, result_paths

ROOT = Path(__file__).resolve().parents[1]
SNAPSHOT = ROOT / "results" / "reproduce"
FILES = (
    "results.parquet",
    "significance.csv",
    "tables/test_mrr.md",
    "tables/significance.md",
    "figures/learning_curves_mrr.png",
    "figures/paired_differences_mrr.png",
)
SPEED = ROOT / "benchmarks" / "results" / "link_prediction_speed.md"


def copy_analysis(results: Path) -> None:
    """Copy FILES, flat, from RESULTS_DIR/analysis."""
    SNAPSHOT.mkdir(parents=True, exist_ok=True)
    for name in FILES:
        source = results / "analysis" / name
        if not source.is_file():
            sys.exit(f"{source} is not there; run `make reproduce` first")
        shutil.copyfile(source, SNAPSHOT / source.name)


def result_block(results: Path) -> str:
    """Table, answer, figure, and what they were made with."""
    table = (SNAPSHOT / "test_mrr.md").read_text().strip()
    answer = " ".join(analyse(results, load_plan()).answer())
    records = [read_result(path) for path in result_paths(results)]
    seconds = sum(record["seconds"]["total"] for record in records)
    versions = records[0]["versions"]
    made = (
        f"{len(records)} runs, {seconds / 60:.0f} minutes of one core in all, torch "
        f"{versions['torch']}, commit {str(records[0]['git']['sha'])[:10]}."
    )
    figure = "![learning curves](results/reproduce/learning_curves_mrr.png)"
    differences = "![paired differences](results/reproduce/paired_differences_mrr.png)"
    return f"{table}\n\n{answer}\n\n{figure}\n\n{differences}\n\n{made}"


def fill(readme: str, block: str, text: str) -> str:
    """The README with the text between the marks of `block` replaced."""
    marks = rf"(<!-- {block}:begin -->\n).*?(<!-- {block}:end -->)"
    return re.sub(marks, lambda m: f"{m[1]}{text}\n{m[2]}", readme, flags=re.DOTALL)


def main(results: Path) -> None:
    """Copy, then fill."""
    copy_analysis(results)
    path = ROOT / "README.md"
    readme = fill(path.read_text(), "results", result_block(results))
    if SPEED.is_file():
        readme = fill(readme, "speed", SPEED.read_text().strip())
    path.write_text(readme)
    print(f"{SNAPSHOT}: {len(pd.read_parquet(SNAPSHOT / 'results.parquet'))} rows; {path} filled")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "results"))
