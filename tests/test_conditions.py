"""Methods of runs under different conditions are compared, and never pooled."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from aswa.analysis.declaration import Declaration, load_declaration, parse_declaration
from aswa.analysis.records.conditions import by_condition
from aswa.analysis.records.runs import read_runs
from aswa.analysis.study import NoResults, analyse
from written_runs import write_run

ROWS = {"sgd": "last epoch", "aswa": "ASWA"}
CONTENT: dict[str, Any] = {
    "metrics": ["mrr"], "primary_metrics": ["mrr"], "scopes": ["all"], "alpha": 0.05,
    "confidence": 0.95, "collapsed": "leave_out",
    "comparisons": [{"a": "long_aswa", "b": "short_aswa"}],
    "conditions": [
        {"name": "short", "label": "Short", "where": {"epochs": "12,24"}, "rows": ROWS},
        {"name": "long", "label": "Long", "where": {"epochs": 120}, "rows": {"aswa": "ASWA"}},
    ],
}  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six units at three lengths, of which the longest gains .03; the third is of no condition."""
    root = tmp_path_factory.mktemp("conditions")
    for dataset in ("umls", "kinship"):
        for model in ("distmult", "complex", "keci"):
            for epochs, shift in ((24, 0.0), (120, 0.03), (60, 0.5)):
                write_run(root, dataset, model, epochs=epochs, shift=shift)
    return root


def declared() -> Declaration:
    return parse_declaration(CONTENT, "here")


def test_a_method_under_two_conditions_is_two_methods(folder: Path) -> None:
    study = analyse(folder, declared(), figures=False).studies[0]
    (record,) = study.records
    assert (record.n, record.wins, record.losses) == (6, 6, 0)
    assert record.median_difference == pytest.approx(0.03, abs=0.01)
    assert record.sentence().startswith("Long, ASWA")
    header = study.metric_tables["mrr"].header
    assert [name for name in header if "," in name] == [
        "Short, last epoch", "Short, ASWA", "Long, ASWA",
    ]  # fmt: skip
    assert study.runs_used == 12


def test_settings_within_a_condition_stay_apart(folder: Path, tmp_path: Path) -> None:
    """Two lengths of one condition: one is taken, and the other named."""
    for epochs in (12, 24, 120):
        write_run(tmp_path, epochs=epochs)
    runs = by_condition(read_runs(tmp_path)[0], declared().conditions)
    assert {run.setting[None][0] for run in runs} == {""}
    assert len({(m, run.setting[m][0]) for run in runs for m in run.methods}) == 5
    study = analyse(tmp_path, declared(), figures=False).studies[0]
    assert any("epochs=12" in notice for notice in study.notices)


def test_what_is_of_no_condition_is_an_error(folder: Path) -> None:
    wrong = CONTENT | {"comparisons": [{"a": "long_asw", "b": "short_aswa"}]}
    with pytest.raises(ValueError, match="did you mean 'long_aswa'"):
        parse_declaration(wrong, "here")
    none = replace(declared().conditions[1], where={"epochs": 7})
    with pytest.raises(NoResults, match="no run meets"):
        analyse(folder, replace(declared(), conditions=(none,)), figures=False)


@pytest.mark.parametrize("name", ["populations", "populations_images", "populations_imbalance"])
def test_the_registered_comparisons_are_of_conditions(name: str) -> None:
    found = load_declaration(name)
    assert found.conditions and found.registration
