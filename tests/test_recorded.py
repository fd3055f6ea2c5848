"""What is committed as measured is what the configuration uses."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from aswa.config import load

ROOT = Path(__file__).resolve().parents[1]


def test_learning_rates_are_the_best_of_the_recorded_search() -> None:
    table = pd.read_csv(ROOT / "results" / "search_lr.csv")
    best = table.groupby(["dataset", "model"])["valid_mrr_mean"].transform("max")
    chosen = table[table["chosen"]]
    assert len(chosen) == 8
    assert (chosen["valid_mrr_mean"] == best[chosen.index]).all()
    for row in chosen.itertuples():
        assert load([f"dataset={row.dataset}", f"model={row.model}"]).lr == row.lr
        assert row.n_seeds == 3
