"""The page on sensitivity: what its numbers mean, on runs whose numbers are known."""

from __future__ import annotations

import importlib
import json
from pathlib import Path
from types import ModuleType

import pytest

from aswa.analysis.declaration import load_declaration
from aswa.analysis.records.names import merged
from aswa.analysis.records.runs import read_runs
from aswa.analysis.records.values import Values
from aswa.analysis.regimes import Regimes
from aswa.analysis.study import Folder
from written_runs import edit, write_run

ROOT = Path(__file__).resolve().parents[1]
# Validation and test MRR; the gap of ASWA is .02 wider than SGD's at one share, .05 at the other.
SCORES = {
    1.0: {"sgd": (0.3, 0.4), "early_stopping": (0.41, 0.5), "aswa": (0.52, 0.6)},
    0.1: {"sgd": (0.35, 0.4), "early_stopping": (0.5, 0.5), "aswa": (0.55, 0.55)},
}


@pytest.fixture
def sensitivity(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))
    return importlib.import_module("sensitivity")


@pytest.fixture
def values(tmp_path: Path) -> Values:
    for share, scores in SCORES.items():
        for model in ("complex", "distmult"):
            path = write_run(tmp_path, model=model, methods=tuple(scores), history=False,
                             run_id=f"{model}{share}")  # fmt: skip
            record = json.loads(path.read_text())
            for row in record["rows"]:
                row["value"] = scores[row["optimizer"]][row["split"] == "test"]
            record["config"]["dataset"]["valid_share"] = share
            record["setting_ids"]["shared"] = f"{model}{share}"
            edit(path, **record)
    runs, declared = read_runs(tmp_path)[0], load_declaration()
    names = merged(run.names for run in runs)[0]
    folder = Folder(tmp_path, declared, runs, runs, names, figures=False)
    return Regimes(declared, runs, names, folder.cells).values("dataset.valid_share")


def test_bias_is_the_gap_less_that_of_the_last_epoch(
    sensitivity: ModuleType, values: Values
) -> None:
    names = next(iter(values.cells.values())).names
    bias = sensitivity.selection_bias(values, names)
    rows = {row[0]: row[1:] for row in bias.rows}
    assert [text.split()[0] for text in rows["ASWA"]] == ["+0.050", "+0.020"]
    assert [text.split()[0] for text in rows["Early stopping"]] == ["+0.050", "+0.010"]
    assert [text.split()[0] for text in rows["SGD: the difference itself"]] == ["-0.050", "-0.100"]
    assert sensitivity.growth(bias, values, names).endswith("Early stopping +0.040, ASWA +0.030.")


def test_a_sentence_has_the_lead_over_the_best_epoch(
    sensitivity: ModuleType, values: Values
) -> None:
    names = next(iter(values.cells.values())).names
    said = sensitivity.sentences("valid", values, names)
    assert "at valid_share = 0.1, 1.0" in said
    assert "ASWA 0.550, 0.600; Early stopping 0.500, 0.500." in said
    assert "ASWA is ahead: +0.050 (2 of 2), +0.100 (2 of 2)." in said
    assert said.endswith("Highest: ASWA at 0.1, 1.0.")


def test_aswa_holds_two_copies_and_saves_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT))
    memory = importlib.import_module("benchmarks.averaging.memory")
    words = ["dataset=umls", "model=distmult", "model.dim=8", "lr=0.1"]
    found = {method: memory.held(method, words) for method in ("sgd", "ema", "aswa")}
    weights = found["aswa"]["model"]
    assert weights == 4 * 8 * (135 + 2 * 46)
    held = {method: row["held"] / weights for method, row in found.items()}
    assert held == {"sgd": 0, "ema": 1, "aswa": 2}
    assert {row["saved"] / weights for row in (found["ema"], found["aswa"])} == {1}
