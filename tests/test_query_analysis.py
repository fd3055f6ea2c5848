"""Logical queries in tables, tests and the report, from real runs."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from aswa.analysis.declaration import load_declaration
from aswa.analysis.rendering.report import Report, write_report
from aswa.analysis.study import analyse
from aswa.config import load
from aswa.training.session import execute

SMALL = ("dataset=umls", "epochs=3", "lr=0.05", "model.dim=16", "device=cpu")
ASKED = ("task=query_answering", "task.queries=20", "task.structures=[2u,1p,2in]")


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two models and seeds with queries; of one also a run without, and one with another t-norm."""
    folder = tmp_path_factory.mktemp("results")

    def run(*words: str) -> None:
        execute(load([*SMALL, f"results_dir={folder}", *words]), report=lambda _: None)

    for model in ("distmult", "complex"):
        for seed in (0, 1):
            run(f"model={model}", f"seed={seed}", *ASKED)
    run("model=distmult", "seed=2")
    run("model=distmult", "seed=0")
    run("model=distmult", "seed=0", *ASKED, "task.tnorm=minimum")
    return folder


@pytest.fixture(scope="module")
def report(results: Path) -> Report:
    return analyse(results, load_declaration("query_answering"))


def test_link_prediction_is_pooled_whatever_was_asked_besides(report: Report) -> None:
    """Three seeds of DistMult, of which two answered queries; seed 0 counts once."""
    (study,) = report.studies
    rows = study.metric_tables["mrr"].rows
    assert {row[1]: row[-1] for row in rows} == {"distmult": "3", "complex": "2"}
    assert not [notice for notice in report.all_notices() if "DETERMINISTIC" in notice]


def test_ways_to_answer_are_not_pooled(report: Report) -> None:
    """The t-norm that most cells have; the other is named with the way to choose it."""
    (study,) = report.studies
    rows = study.metric_tables["mrr_epfo"].rows
    assert {row[1]: row[-1] for row in rows} == {"distmult": "2", "complex": "2"}
    (notice,) = [notice for notice in report.all_notices() if "task.tnorm" in notice]
    assert notice.startswith("umls × distmult, queries: 1 run left out, other setting: task.tnorm=")
    assert "--where task.tnorm=minimum" in notice


def test_the_other_way_can_be_chosen(results: Path, report: Report) -> None:
    other = analyse(
        results, load_declaration("query_answering"), ["task.tnorm=minimum"], figures=False
    )
    assert other.studies[0].runs_used == 1
    found, usual = (
        each.results.query("split == 'test' and metric == 'mrr_2in' and optimizer == 'aswa'")
        for each in (other, report)
    )
    pd.testing.assert_frame_equal(found, usual)  # of all runs, whatever is chosen
    assert len(usual) == 5


def test_structures_stand_beside_each_other(report: Report) -> None:
    """In the order of the algebra, a row a unit and method, the best of a unit in bold."""
    (study,) = report.studies
    table = study.structures
    assert table is not None
    assert table.header == ("dataset", "model", "method", "1p", "2u", "2in", "epfo", "negation")
    assert len(table.rows) == 2 * 5
    rows = report.results.query("split == 'test' and metric == 'mrr_1p' and optimizer == 'swa'")
    of_complex = rows[rows["model"] == "complex"]["value"].mean()
    (shown,) = [row for row in table.rows if row[1:3] == ("complex", "SWA")]
    assert shown[3] == f"{of_complex:.3f}"
    for column in range(3, 8):
        best = max(float(row[column]) for row in table.rows if row[1] == "complex")
        marked = {i for i, j in table.bold if j == column and table.rows[i][1] == "complex"}
        assert marked == {
            i for i, row in enumerate(table.rows)
            if row[1] == "complex" and float(row[column]) == best
        }  # fmt: skip


def test_queries_are_tested_and_reported(report: Report, tmp_path: Path) -> None:
    """A family of tests a primary metric, named in words, in the files and on the page."""
    (study,) = report.studies
    families = study.significance.query("scope == 'all'").groupby("metric").size()
    assert families["mrr_epfo"] == families["mrr_negation"] == 4
    assert study.records[0].measure == "test MRR of EPFO queries"
    page = write_report(report, tmp_path).read_text()
    assert study.metric_tables["mrr_negation"].title in page
    assert study.structures is not None and study.structures.title in page
    assert (tmp_path / "tables" / "test_mrr_by_structure.tex").is_file()
    assert (tmp_path / "figures" / "paired_differences_mrr_epfo.png").is_file()


def test_without_queries_nothing_is_said_of_them(tmp_path: Path) -> None:
    words = [*SMALL, "model=distmult", f"results_dir={tmp_path}"]
    execute(load(words), report=lambda _: None)
    (study,) = analyse(tmp_path, load_declaration(), figures=False).studies
    assert study.structures is None and set(study.metric_tables) == {
        "mrr", "hits@1", "hits@3", "hits@10",
    }  # fmt: skip
