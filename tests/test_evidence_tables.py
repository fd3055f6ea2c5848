"""The evidence tables of docs/: made from the records, with commands that make these very runs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from aswa.config import load

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "scripts"))
import evidence  # noqa: E402


def test_the_tables_are_those_of_the_records() -> None:
    command = [sys.executable, str(ROOT / "scripts" / "evidence.py"), "--check"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, f"{done.stderr}; run python scripts/evidence.py"


@pytest.mark.slow
@pytest.mark.parametrize("name", [n for n, shown in evidence.SHOWN.items() if shown.same_ids])
def test_a_command_makes_the_runs_of_the_records(name: str) -> None:
    """Of the first row that needs no download."""
    runs = pd.read_parquet(ROOT / "results" / name / "runs.parquet")
    mine = runs[(runs["dataset"] == "umls") & (runs["model"] == "complex")]
    expected = set()
    for recipe in evidence.SHOWN[name].recipes:
        if evidence.words(recipe, "umls", "complex"):
            expected |= {load(each).run_id for each in evidence.commands(recipe, "umls", "complex")}
    assert set(mine["run_id"]) == expected
