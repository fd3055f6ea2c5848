"""From runs on disk to files: nothing pooled, dropped or changed in silence."""

import hashlib
import json
import math
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from aswa.analysis.declaration import load_declaration, parse_declaration
from aswa.analysis.records.long_table import COST_COLUMNS, RESULT_COLUMNS
from aswa.analysis.rendering.report import Report, Study, render_html
from aswa.analysis.statistics.signed_rank import COLUMNS
from aswa.analysis.study import analyse
from aswa.analyze import main
from written_runs import EPOCHS, METHODS, METRICS, edit, write_grid, write_run


def report_of(root: Path, *where: str) -> Report:
    return analyse(root, load_declaration(), where, figures=False)


def study_of(root: Path, *where: str) -> Study:
    (study,) = report_of(root, *where).studies
    return study


@pytest.fixture
def grid(tmp_path):
    write_grid(tmp_path)
    return tmp_path


def hashes(folder: Path) -> dict[str, str]:
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    return {str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}


@pytest.fixture(scope="module")
def analysed(tmp_path_factory):
    """One grid and what `aswa-analyze` makes of it, in another process."""
    root = tmp_path_factory.mktemp("grid")
    write_grid(root, models=("keci",))
    script = (
        "import sys; from aswa.analyze import main; code = main(); "
        "bad = [m for m in sys.modules if m == 'torch' or m.startswith('aswa.training')]; "
        "sys.exit(str(bad) if bad else code)"
    )
    done = subprocess.run([sys.executable, "-c", script, str(root)], capture_output=True, text=True)
    said = [line for line in done.stderr.splitlines() if "font cache" not in line]  # slow machines
    assert (done.returncode, said) == (0, []), "no torch, nothing of training, no warning"
    assert str(root / "analysis/report.html") in done.stdout
    return root


def test_writes_the_promised_files_and_the_same_bytes_again(analysed):
    first = hashes(analysed / "analysis")
    promised = {"results.csv", "results.parquet", "costs.csv", "significance.csv", "report.html"}
    assert promised <= first.keys()
    for stem in ("tables/test_mrr", "tables/test_hits10", "tables/decisions"):
        assert {f"{stem}.md", f"{stem}.tex", f"{stem}.csv"} <= first.keys()
    for stem in ("learning_curves_mrr", "learning_curves_late_mrr", "decisions_mrr",
                 "paired_differences_mrr", "critical_difference_mrr"):  # fmt: skip
        assert {f"figures/{stem}.svg", f"figures/{stem}.png"} <= first.keys()
    stale = analysed / "analysis/tables/test_gone.md"
    stale.write_text("of an earlier analysis")
    assert main([str(analysed)]) == 0  # another hash seed
    assert hashes(analysed / "analysis") == first


def test_csv_and_parquet_hold_every_number_exactly(analysed):
    csv = pd.read_csv(analysed / "analysis/results.csv")
    assert csv.columns.tolist() == RESULT_COLUMNS
    for name, columns in {"significance": COLUMNS, "costs": COST_COLUMNS}.items():
        assert pd.read_csv(analysed / f"analysis/{name}.csv").columns.tolist() == columns
    parquet = pd.read_parquet(analysed / "analysis/results.parquet")
    pd.testing.assert_frame_equal(csv, parquet, check_exact=True, check_dtype=False)
    assert len(csv) == 2 * 2 * len(METHODS) * 2 * len(METRICS)
    written = json.loads(next(analysed.glob("runs/*/*/*/result.json")).read_bytes())
    mine = csv[csv["run_id"] == written["run_id"]]
    assert sorted(mine["value"]) == sorted(row["value"] for row in written["rows"])
    assert csv.equals(csv.sort_values(RESULT_COLUMNS))


def test_report_is_self_contained(analysed):
    page = (analysed / "analysis/report.html").read_text()
    links = set(re.findall(r'(?:src|href)="([^"]*)"', page))
    assert all(link.startswith(("#", "data:")) for link in links)
    assert "@import" not in page and "url(http" not in page
    ids = re.findall(r'\bid="([^"]*)"', page)
    assert len(ids) == len(set(ids))
    assert {link[1:] for link in links if link.startswith("#")} <= set(ids)
    for sentence in report_of(analysed).answer():
        assert sentence.replace("'", "&#39;") in page


def test_numbers_of_the_tests_are_those_of_a_plain_pivot(grid):
    from scipy.stats import wilcoxon

    report = report_of(grid)
    (study,) = report.studies
    test = report.results.query("split == 'test' and metric == 'mrr'")
    pivot = test.pivot_table(index=["dataset", "model"], columns="optimizer", values="value")
    for record in study.records:
        if (record.metric, record.scope) == ("mrr", "all"):
            expected = wilcoxon(pivot[record.optimizer_a], pivot[record.optimizer_b])
            assert record.p == pytest.approx(expected.pvalue, abs=1e-12)
            assert record.statistic == expected.statistic
            assert record.n == 4 and record.smallest_p == 2 / 2**4
    assert study.records[0].optimizer_b == "early_stopping"


@pytest.mark.parametrize("schema", [1, 2])
def test_all_and_single_runs_fill_the_same_cells(tmp_path, schema):
    options = {"history": False, "schema": schema, "options": {"swa": {"every": 1}}}
    write_grid(tmp_path / "a", **options)
    write_grid(tmp_path / "b", **options)
    for method in METHODS:
        write_grid(tmp_path / "b", methods=(method,), **options)
    one, both = report_of(tmp_path / "a"), report_of(tmp_path / "b")
    assert not both.all_notices() and len(both.results) == 2 * len(one.results)
    (a,), (b,) = one.studies, both.studies
    pd.testing.assert_frame_equal(a.significance, b.significance)
    assert a.metric_tables["mrr"].rows == b.metric_tables["mrr"].rows
    assert a.metric_tables["mrr"].header == b.metric_tables["mrr"].header


@pytest.mark.parametrize("schema", [1, 2])
def test_different_settings_are_never_pooled(grid, schema, capsys):
    other = {"model": "qmult", "schema": schema}
    for seed in range(3):
        write_run(grid, seed=seed, epochs=3, shift=-0.4, **other)  # a short budget: the most seeds
    for seed in range(2):
        write_run(grid, seed=seed, **other)
    write_run(grid, seed=0, epochs=300, shift=0.1, **other)
    report = report_of(grid)
    (study,) = report.studies
    row = next(r for r in study.metric_tables["mrr"].rows if r[:2] == ("umls", "qmult"))
    assert row[-1] == "3" and float(row[2].split()[0]) < 0.45
    left_out = [notice for notice in study.notices if notice.startswith("umls × qmult")]
    assert sorted(notice.rpartition("--where ")[2] for notice in left_out) == [
        f"epochs={EPOCHS}.", "epochs=300.",
    ]  # fmt: skip

    chosen = report_of(grid, f"epochs={EPOCHS}", "optimizer=all")
    assert f"--where epochs={EPOCHS}" in chosen.notices
    row = next(r for r in chosen.studies[0].metric_tables["mrr"].rows if r[:2] == ("umls", "qmult"))
    assert row[-1] == "2" and float(row[2].split()[0]) > 0.55
    assert len(chosen.results) == len(report.results)  # results.csv keeps every run
    capsys.readouterr()
    for where, hint in {
        "epoch=3": "'epochs'",
        "epochs=7": "24, 3, 300",
        "epochs": "key=value",
    }.items():
        assert main([str(grid), "--where", where]) == 2
        assert hint in capsys.readouterr().err


@pytest.mark.parametrize("schema", [1, 2])
def test_a_methods_own_options_are_part_of_its_setting(tmp_path, schema):
    for seed in range(3):
        write_run(tmp_path, seed=seed, history=False, schema=schema)
    started = {"swa": {"start": 2}}
    write_run(tmp_path, seed=3, methods=("swa",), history=False, schema=schema, options=started)
    study = study_of(tmp_path)
    assert study.metric_tables["mrr"].rows[0][-1] == "3"
    (notice,) = study.notices
    assert notice.startswith("umls × keci, swa: 1 run") and "optimizer.swa.start=2" in notice


def test_corrupt_records_are_named_and_left_out(grid):
    broken = sorted(grid.glob("runs/umls/keci/*/result.json"))
    broken[0].write_bytes(broken[0].read_bytes()[:200])
    changed = json.loads(broken[1].read_bytes())
    changed["rows"][0]["value"] = 0.99
    broken[1].write_text(json.dumps(changed))
    lacks = write_run(grid, "umls", "complex")
    edit(lacks, setting_ids={"methods": {}})
    history = next(grid.glob("runs/kinship/keci/*/history.json"))
    history.write_bytes(b"\0garbage\xff")
    report = report_of(grid)
    assert {problem.path for problem in report.problems} == {*broken, lacks, history}
    page = render_html(report)
    assert all(path.parent.name in page for path in (*broken, lacks, history))
    units = set(zip(report.results["dataset"], report.results["model"], strict=True))
    assert not units & {("umls", "keci"), ("umls", "complex")}


def test_missing_cells_and_unequal_seeds_are_named(tmp_path):
    write_grid(tmp_path, history=False)
    write_run(tmp_path, "umls", "complex", 0, methods=("sgd", "aswa"), history=False)
    write_run(tmp_path, "umls", "keci", 2, methods=("sgd", "aswa"), history=False)
    study = study_of(tmp_path)
    first = study.records[0]
    assert first.n == 4 and first.unpaired == ("umls × complex (no early_stopping)",)
    assert first.partial == ("umls × keci (2 of 3 seeds)",)
    table = study.metric_tables["mrr"].markdown()
    assert "missing" in table and "(n = 2)" in table


@pytest.mark.parametrize("schema", [1, 2])
def test_collapsed_runs_are_in_no_mean_unless_declared_so(tmp_path, schema):
    write_grid(tmp_path, history=False, schema=schema)
    write_run(tmp_path, seed=9, shift=-0.6, status="collapsed", history=False, schema=schema)
    report = report_of(tmp_path)
    (study,) = report.studies
    assert study.metric_tables["mrr"].rows[-1][-1] == "2"
    assert any("seed 9: collapsed" in notice for notice in study.notices)
    assert 9 in set(report.results["seed"])
    declaration = replace(load_declaration(), collapsed="keep")
    (kept,) = analyse(tmp_path, declaration, figures=False).studies
    assert kept.metric_tables["mrr"].rows[-1][-1] == "3"


def test_one_setting_with_two_values_is_a_determinism_failure(tmp_path):
    write_run(tmp_path, seed=0, history=False)
    write_run(tmp_path, seed=0, history=False, shift=1e-9, run_id="zzz", device="cuda")
    study = study_of(tmp_path)
    assert sum(notice.startswith("NOT DETERMINISTIC") for notice in study.notices) == len(METHODS)
    assert study.metric_tables["mrr"].numbers["n"].eq(1).all()


def test_numbers_that_are_none_are_in_no_mean(tmp_path):
    for number, value in enumerate([0.5, None, math.nan]):
        rows = [
            {"optimizer": "aswa", "split": "test", "metric": "accuracy", "value": value},
            {"optimizer": "sgd", "split": "test", "metric": "accuracy", "value": 0.4},
        ]
        record = {"schema": 1, "run_id": f"r{number}", "status": "done", "dataset": "cifar10",
                  "model": "vgg16", "seed": number, "config": {}, "rows": rows}  # fmt: skip
        path = tmp_path / f"runs/cifar10/vgg16/r{number}/result.json"
        path.parent.mkdir(parents=True)
        path.write_text(json.dumps(record))
    study = study_of(tmp_path)
    assert sum("in no mean" in notice for notice in study.notices) == 2
    assert study.records[1].n == 1 and study.records[1].p == 1.0


def test_nothing_to_analyse_says_what_to_run(tmp_path, capsys):
    assert main([str(tmp_path)]) == 2
    assert "aswa-train" in capsys.readouterr().err
    write_run(tmp_path).write_text("garbage")
    assert main([str(tmp_path)]) == 2
    assert "result.json" in capsys.readouterr().err
    assert not (tmp_path / "analysis").exists()


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [("alhpa", 0.05, "'alpha'"), ("alpha", 1.5, "alpha"), ("rope", -1, "rope"),
     ("comparisons", [{"a": "aswa"}], "comparison 1"), ("metrics", [], "metrics"),
     ("scopes", ["model"], "scopes"), ("primary_metrics", ["f1"], "primary_metrics")],
)  # fmt: skip
def test_what_is_wrong_with_a_declaration_is_named(key, value, said):
    right = {**vars(load_declaration()), "comparisons": [{"a": "aswa", "b": "sgd"}]}
    content = {name: list(v) if isinstance(v, tuple) else v for name, v in right.items()}
    assert parse_declaration(content, "mine.yaml").comparisons[0].b == "sgd"
    with pytest.raises(ValueError, match=f"mine.yaml.*{said}"):
        parse_declaration({**content, key: value}, "mine.yaml")


def test_a_declaration_that_is_not_there(tmp_path, capsys):
    write_run(tmp_path)
    assert main([str(tmp_path), "--plan", "defualt"]) == 2
    assert "default, ablation" in capsys.readouterr().err
