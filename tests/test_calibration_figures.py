"""Reliability diagrams and risk-coverage curves of the report."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from aswa.analysis.declaration import load_declaration
from aswa.analysis.records.runs import read_runs
from aswa.analysis.records.settings import choose_settings
from aswa.analysis.rendering.calibration import gathered, pooled_reliability
from aswa.analysis.rendering.report import render_html
from aswa.analysis.study import analyse
from written_runs import write_run

pytestmark = pytest.mark.numeric


def diagram(right: int) -> dict[str, Any]:
    """1,000 predictions of confidence 0.9, `right` of them right; two of 0.3, none right."""
    return {
        "reliability": {"number": [2, 1000], "confidence": [0.6, 900], "correct": [0, right]},
        "risk_coverage": {"coverage": [0.5, 1.0], "risk": [0.1, 1 - right / 1002]},
    }


def test_seeds_are_pooled_by_their_sums_and_small_bins_left_out(tmp_path: Path) -> None:
    for seed, right in ((0, 800), (1, 600)):
        write_run(tmp_path, seed=seed, diagrams={m: diagram(right) for m in ("sgd", "aswa")})
    runs, _ = read_runs(tmp_path)
    found = gathered(runs, choose_settings(runs), ["aswa", "swa"])
    assert {unit: [*methods] for unit, methods in found.items()} == {("umls", "keci"): ["aswa"]}
    confidence, share = pooled_reliability(found["umls", "keci"]["aswa"])
    assert confidence.tolist() == [0.9]
    assert share.tolist() == [0.7]


def test_the_report_shows_them_where_records_have_them(tmp_path: Path) -> None:
    """And the same bytes each time."""
    for model in ("keci", "distmult"):
        for name, diagrams in (("with", {"sgd": diagram(700), "aswa": diagram(800)}), ("none", {})):
            for seed in range(2):
                write_run(tmp_path / name, model=model, seed=seed, diagrams=diagrams)
    declared = load_declaration()
    report, again = (analyse(tmp_path / "with", declared) for _ in range(2))
    drawn = {d.stem: d.svg for d in report.studies[0].drawings}
    assert {"reliability", "risk_coverage"} <= drawn.keys()
    assert drawn == {d.stem: d.svg for d in again.studies[0].drawings}
    assert "Reliability on test" in render_html(report)
    plain = analyse(tmp_path / "none", declared)
    assert not [d for d in plain.studies[0].drawings if d.stem in ("reliability", "risk_coverage")]
