"""Put the seeds of each unit together: `python scripts/multiswag_table.py RESULTS_DIR TABLE.md`.

For runs with `save_weights=true`. The last epochs, SWA's and ASWA's means of the seeds are
ensembles; the samples of their Gaussians together are MultiSWAG. Writes test metrics by dataset ×
model, beside the mean over seeds of what one run's Gaussian gives, and TABLE.csv with the unrounded
numbers.
"""

from __future__ import annotations

import sys
from collections import defaultdict
from pathlib import Path
from statistics import fmean
from typing import Any

import pandas as pd

from aswa.results.store import read_result, result_paths
from aswa.tasks.task import Task
from aswa.training.loaded import load_together

METRICS = ("loss", "ece", "accuracy", "ood_entropy", "ood_information")
TOGETHER = {
    "sgd": "ensemble of last epochs",
    "swa": "ensemble of SWA",
    "aswa": "ensemble of ASWA",
    "swag": "MultiSWAG",
    "swag_aswa": "MultiSWAG gated by ASWA",
}
ALONE = {"swag": "SWAG, one run", "swag_aswa": "SWAG gated by ASWA, one run"}


def units(results: Path) -> dict[tuple[str, str], list[tuple[Path, dict[str, Any]]]]:
    """Folder and record of the finished runs by dataset and model, in the order of their seeds."""
    found = defaultdict(list)
    for path in result_paths(results):
        record = read_result(path)
        found[record["dataset"], record["model"]].append((path.parent, record))
    return {unit: sorted(runs, key=lambda run: run[1]["seed"]) for unit, runs in found.items()}


def value(record: dict[str, Any], method: str, metric: str) -> float | None:
    """A number of a record on test; None where it was not measured."""
    wanted = (method, "test", metric)
    rows = (r for r in record["rows"] if (r["optimizer"], r["split"], r["metric"]) == wanted)
    return next((float(row["value"]) for row in rows), None)


def table(results: Path) -> pd.DataFrame:
    """A row for each unit and way of putting its seeds together."""
    rows: list[dict[str, Any]] = []
    for (dataset, model), runs in units(results).items():
        about = {"dataset": dataset, "model": model}
        records = [record for _, record in runs]
        for method, words in ALONE.items():
            numbers = {m: [value(each, method, m) for each in records] for m in METRICS}
            whole = {m: [v for v in n if v is not None] for m, n in numbers.items()}
            means = {m: fmean(n) for m, n in whole.items() if len(n) == len(records)}
            rows.append({**about, "what": words, "seeds": len(runs), "members": None, **means})
        task: Task | None = None  # the data are read once
        for method, words in TOGETHER.items():
            found = load_together([folder for folder, _ in runs], method, task)
            task = found.task
            measured = task.metrics(found.members, "test")
            size = {"seeds": len(runs), "members": len(found.members)}
            rows.append({**about, "what": words, **size, **{m: measured.get(m) for m in METRICS}})
        print(f"{dataset} {model}: {len(runs)} seeds", flush=True)
    return pd.DataFrame(rows)


def main(results: Path, target: Path) -> None:
    """Write the table twice."""
    found = table(results)
    found.to_csv(target.with_suffix(".csv"), index=False)
    shown = found.assign(members=found["members"].astype("Int64")).astype(object)
    shown = shown.where(shown.notna(), None)
    target.write_text(shown.to_markdown(index=False, floatfmt=".3f", missingval="") + "\n")


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit("usage: python scripts/multiswag_table.py RESULTS_DIR TABLE.md")
    main(Path(sys.argv[1]), Path(sys.argv[2]))
