"""`aswa-train published=...`: the setting of a published cell, and theirs beside ours."""

from __future__ import annotations

import csv
import subprocess
import sys
from pathlib import Path

from aswa.config import load
from aswa.files import conf_dir
from small_sweep import train

ROOT = Path(__file__).parents[1]


def test_the_cells_are_made_from_the_published_figures() -> None:
    command = [sys.executable, str(ROOT / "scripts" / "published_cells.py"), "--check"]
    assert subprocess.run(command, check=False).returncode == 0


def test_a_cell_is_the_stated_setting() -> None:
    config = load(["published=dicee/umls/keci_allvsall", "seed=7"])
    assert (config.dataset.name, config.model.name, config.seed) == ("umls", "keci", 7)
    assert (config.epochs, config.batch_size, config.lr) == (300, 1024, 0.1)
    stated = {"dim": 256, "objective": "allvsall", "p": 0, "q": 1}
    assert stated.items() <= config.resolved["model"].items()
    assert "published" not in config.resolved
    assert {"sgd", "polyak", "aswa_forgetful", "aswa", "early_stopping"} <= config.methods.keys()
    assert len(list((conf_dir() / "published").rglob("*.yaml"))) == 10


def test_theirs_stand_beside_ours(tmp_path: Path) -> None:
    """In a run of one epoch, which is not to be compared."""
    words = ["published=dicee/umls/complex", "epochs=1", "model.dim=8", f"results_dir={tmp_path}"]
    text = train(*words).stdout
    with (ROOT / "results" / "published" / "authors_kge_figures.csv").open() as file:
        (theirs,) = (
            float(row["value"])
            for row in csv.DictReader(file)
            if row["setting"].startswith("300 epochs") and row["optimizer"] == "swa"
            if (row["dataset"], row["model"], row["scoring"]) == ("umls", "complex", "kvsall")
            if (row["split"], row["metric"]) == ("test", "mrr")
        )
    shown = [line.split()[-2] for line in text.splitlines() if line.startswith("  ")][1:]
    assert f"{theirs:.3f}" in shown, text
    assert (len(shown), shown.count("—")) == (10, 7), text
