"""The evidence tables of docs/: made from the records, with commands that make these very runs."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from aswa.config import load
from aswa.config.schema import Misfit

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "scripts"))
import evidence  # noqa: E402
import snapshot  # noqa: E402


def test_the_tables_are_those_of_the_records() -> None:
    command = [sys.executable, str(ROOT / "scripts" / "evidence.py"), "--check"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, f"{done.stderr}; run python scripts/evidence.py"


@pytest.mark.slow
@pytest.mark.parametrize("name", [n for n, shown in evidence.SHOWN.items() if shown.same_ids])
def test_a_command_makes_the_runs_of_the_records(name: str) -> None:
    """Of the first row whose dataset is in the package, or in ASWA_DATA_DIR."""
    runs = pd.read_parquet(ROOT / "results" / name / "runs.parquet")
    runs["plain"] = runs["dataset"].str.partition(" (")[0]
    units = sorted(set(zip(runs["plain"], runs["model"], strict=True)))
    dataset, model = next((unit for unit in units if unit[0] == "umls"), units[0])
    expected = set()
    for recipe in evidence.SHOWN[name].recipes:
        if evidence.words(recipe, dataset, model):
            for each in evidence.commands(recipe, dataset, model):
                with contextlib.suppress(Misfit):  # which a sweep leaves out
                    expected.add(load(each).run_id)
    mine = runs[(runs["plain"] == dataset) & (runs["model"] == model)]
    assert set(mine["run_id"]) == expected != set()


def test_a_snapshot_keeps_committed_runs_that_are_not_there_now(tmp_path: Path) -> None:
    old = pd.DataFrame({"run_id": ["a", "a", "b"], "value": [1.0, 2.0, 3.0]})
    old.to_parquet(tmp_path / "runs.parquet")
    new = pd.DataFrame({"run_id": ["b", "c"], "value": [4.0, 5.0]})
    found = snapshot.with_committed(tmp_path / "runs.parquet", new)
    assert found.to_dict("list") == {"run_id": ["a", "a", "b", "c"], "value": [1.0, 2.0, 4.0, 5.0]}
