"""Table of the learning-rate search: `python scripts/search_lr_table.py RESULTS_DIR TABLE.csv`.

Reads the runs of `experiment=search_lr`, writes one line a (dataset, model, lr) with the mean
validation MRR of the running model at the last epoch, and prints what conf/dataset should say.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pandas as pd

from aswa.results.store import read_result, result_paths


def search_table(results_dir: Path) -> pd.DataFrame:
    """Columns dataset, model, lr, n_seeds, valid_mrr_mean, valid_mrr_std, chosen; sorted."""
    records = [read_result(path) for path in result_paths(results_dir)]
    rows = [
        {
            "dataset": record["dataset"],
            "model": record["model"],
            "lr": record["config"]["lr"],
            "mrr": row["value"],
        }
        for record in records
        for row in record["rows"]
        if (row["optimizer"], row["split"], row["metric"]) == ("sgd", "valid", "mrr")
    ]
    if not rows:
        sys.exit(f"{results_dir}: no run of experiment=search_lr there; run `make search-lr`")
    grouped = pd.DataFrame(rows).groupby(["dataset", "model", "lr"])["mrr"]
    table = grouped.agg(n_seeds="size", valid_mrr_mean="mean", valid_mrr_std="std").reset_index()
    best = table.groupby(["dataset", "model"])["valid_mrr_mean"].transform("max")
    table["chosen"] = table["valid_mrr_mean"] == best
    return table


def main(results_dir: str, path: str) -> None:
    """Write the table and say what it means for conf/dataset."""
    table = search_table(Path(results_dir))
    table.round({"valid_mrr_mean": 4, "valid_mrr_std": 4}).to_csv(path, index=False)
    for dataset, chosen in table[table["chosen"]].groupby("dataset"):
        pairs = ", ".join(f"{row.model}: {row.lr}" for row in chosen.itertuples())
        print(f"conf/dataset/{dataset}.yaml   tuned_lr: {{{pairs}}}")
    print(path)


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(*sys.argv[1:])
