"""From runs on disk to files: nothing pooled, dropped or changed in silence."""

import hashlib
import json
import math
import random
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from aswa.analysis.long_table import COST_COLUMNS, RESULT_COLUMNS
from aswa.analysis.plan import load_plan, parse_plan
from aswa.analysis.report import render_html
from aswa.analysis.settings import is_neutral
from aswa.analysis.significance import COLUMNS

from aswa.analysis.study import Study, analyse
from aswa.analyze import main
from aswa.results.store import write_record

METHODS = ("sgd", "swa", "ema", "early_stopping", "aswa")
GAIN = {"sgd": 0.0, "swa": 0.01, "ema": -0.02, "early_stopping": 0.012, "aswa": 0.02}
METRICS = ("mrr", "hits@1", "hits@3", "hits@10")
EPOCHS = 24


def write_run(
    root: Path, dataset="umls", model="keci", seed=0, methods=METHODS, name=None, epochs=EPOCHS,
    shift=0.0, history=True, **record,
) -> Path:  # fmt: skip
    """One run on disk as training writes it, with made-up numbers that follow from its names."""
    base = random.Random(f"{dataset} {model} {seed}")
    level = 0.6 + 0.2 * base.random()
    name = name or ("all" if len(methods) > 1 else methods[0])
    options = {m: {"start": None, "every": 1} if m == "swa" else {} for m in methods}
    config = {
        "dataset": {"name": dataset, "tuned_lr": {model: 0.01}},
        "model": {"name": model, "dim": 128},
        "optimizer": {"name": name, **options},
        "seed": seed,
        "epochs": epochs,
        "lr": 0.01,
        "results_dir": str(root),
        "tracker": {"name": "none"},
    }
    rows = [
        {"optimizer": m, "split": split, "metric": metric, "epoch": epochs,
         "value": level + GAIN[m] + shift + 0.05 * k + noise(dataset, model, seed, m, metric)}
        for m in methods for split in ("valid", "test") for k, metric in enumerate(METRICS)
    ]  # fmt: skip
    run_id = hashlib.sha256(json.dumps([config, shift], sort_keys=True).encode()).hexdigest()[:12]
    folder = root / "runs" / dataset / model / record.get("run_id", run_id)
    result = {
        "schema": 1, "run_id": run_id, "status": "done", "dataset": dataset, "model": model,
        "seed": seed, "config": config, "versions": {"torch": "2.11.0", "aswa": "0.1.0"},
        "git": {"sha": "0123abc", "dirty": False}, "device": "cpu", "rows": rows,
        "decisions": {"hard": 5, "soft": epochs - 8, "reject": 3},
        "seconds": {"train": 2.0, "evaluate": 0.5, "average": 0.25, "total": 3.0},
    }  # fmt: skip
    write_record(folder / "result.json", {**result, **record})
    if history:
        write_record(folder / "history.json", make_history(run_id, level, methods, base, epochs))
    return folder / "result.json"


def noise(*names) -> float:
    return 0.01 * (random.Random(" ".join(map(str, names))).random() - 0.5)


def make_history(run_id, level, methods, draw, epochs) -> dict:
    def curve(method):
        late = 3 * epochs // 4 if method == "swa" else 0
        scores = [
            (level + GAIN[method]) * (1 - math.exp(-6 * (t + 1) / epochs)) + draw.gauss(0, 0.004)
            for t in range(epochs)
        ]
        return [None if t < late else score for t, score in enumerate(scores)]

    return {
        "schema": 1, "run_id": run_id, "selection_metric": "mrr",
        "epoch": list(range(1, epochs + 1)), "train_loss": [1.0] * epochs,
        "valid": {m: curve(m) for m in methods}, "decision": ["soft"] * epochs,
    }  # fmt: skip


def write_grid(root: Path, seeds=2, models=("keci", "distmult"), **options) -> None:
    for dataset in ("umls", "kinship"):
        for model in models:
            for seed in range(seeds):
                write_run(root, dataset, model, seed, **options)


def study_of(root: Path, *where: str, figures=False) -> Study:
    return analyse(root, load_plan(), where, figures)


@pytest.fixture
def grid(tmp_path):
    write_grid(tmp_path)
    return tmp_path


def hashes(folder: Path) -> dict[str, str]:
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    return {str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}


def test_writes_the_promised_files_and_the_same_bytes_again(grid, capsys):
    assert main([str(grid)]) == 0
    first = hashes(grid / "analysis")
    promised = {"results.csv", "results.parquet", "costs.csv", "significance.csv", "report.html"}
    assert promised <= first.keys()
    for stem in ("tables/test_mrr", "tables/test_hits10", "tables/decisions"):
        assert {f"{stem}.md", f"{stem}.tex", f"{stem}.csv"} <= first.keys()
    for stem in (
        "figures/learning_curves_mrr",
        "figures/learning_curves_late_mrr",
        "figures/paired_differences_mrr",
    ):
        assert {f"{stem}.svg", f"{stem}.png"} <= first.keys()

    stale = grid / "analysis/tables/test_gone.md"
    stale.write_text("of an earlier analysis")
    script = "import sys; from aswa.analyze import main; sys.exit(main())"
    command = [sys.executable, "-c", script, str(grid)]
    subprocess.run(command, check=True, capture_output=True)  # another hash seed, another process
    assert hashes(grid / "analysis") == first

    columns = pd.read_csv(grid / "analysis/results.csv").columns.tolist()
    assert columns == RESULT_COLUMNS
    assert pd.read_csv(grid / "analysis/significance.csv").columns.tolist() == COLUMNS
    assert pd.read_csv(grid / "analysis/costs.csv").columns.tolist() == COST_COLUMNS
    sentence = study_of(grid).answer()[0]
    said = " ".join(capsys.readouterr().out.split())
    assert sentence in said and str(grid / "analysis/report.html") in said


def test_csv_and_parquet_hold_every_number_exactly(grid):
    main([str(grid)])
    csv = pd.read_csv(grid / "analysis/results.csv")
    parquet = pd.read_parquet(grid / "analysis/results.parquet")
    pd.testing.assert_frame_equal(csv, parquet, check_exact=True, check_dtype=False)
    assert len(csv) == 2 * 2 * 2 * len(METHODS) * 2 * len(METRICS)
    written = json.loads(write_run(grid).read_bytes())
    mine = csv[csv["run_id"] == written["run_id"]]
    assert sorted(mine["value"]) == sorted(row["value"] for row in written["rows"])
    assert csv.equals(csv.sort_values(RESULT_COLUMNS))


def test_numbers_of_the_tests_are_those_of_a_plain_pivot(grid):
    from scipy.stats import wilcoxon

    study = study_of(grid)
    test = study.results.query("split == 'test' and metric == 'mrr'")
    pivot = test.pivot_table(index=["dataset", "model"], columns="optimizer", values="value")
    for record in study.records:
        if (record.metric, record.scope) == ("mrr", "all"):
            expected = wilcoxon(pivot[record.optimizer_a], pivot[record.optimizer_b])
            assert record.p == pytest.approx(expected.pvalue, abs=1e-12)
            assert record.statistic == expected.statistic
            assert record.n == 4 and record.smallest_p == 2 / 2**4
    assert study.records[0].optimizer_b == "early_stopping"


def test_all_and_single_runs_fill_the_same_cells(tmp_path):
    write_grid(tmp_path / "a", history=False)
    write_grid(tmp_path / "b", history=False)
    for method in METHODS:
        write_grid(tmp_path / "b", methods=(method,), history=False)
    a, b = study_of(tmp_path / "a"), study_of(tmp_path / "b")
    assert not b.notices and len(b.results) == 2 * len(a.results)
    pd.testing.assert_frame_equal(a.significance, b.significance)
    assert a.metric_tables["mrr"].rows == b.metric_tables["mrr"].rows


def test_different_settings_are_never_pooled(grid, capsys):
    for seed in range(2, 5):
        write_run(grid, seed=seed, epochs=3, shift=-0.4)  # 3 seeds of a short budget: the most
    write_run(grid, seed=0, epochs=300, shift=0.1)
    study = study_of(grid)
    row = next(r for r in study.metric_tables["mrr"].rows if r[:2] == ("umls", "keci"))
    assert row[-1] == "3" and float(row[2].split()[0]) < 0.45
    left_out = [notice for notice in study.notices if notice.startswith("umls × keci")]
    assert len(left_out) == 2
    assert all("epochs=" in notice and "--where epochs=" in notice for notice in left_out)

    chosen = study_of(grid, f"epochs={EPOCHS}", "optimizer=all")
    assert f"--where epochs={EPOCHS}" in chosen.notices
    row = next(r for r in chosen.metric_tables["mrr"].rows if r[:2] == ("umls", "keci"))
    assert row[-1] == "2" and float(row[2].split()[0]) > 0.55
    assert len(chosen.results) == len(study.results)  # results.csv keeps every run
    capsys.readouterr()
    assert main([str(grid), "--where", "epoch=3"]) == 2
    assert "nearest key: 'epochs'" in capsys.readouterr().err
    assert main([str(grid), "--where", "epochs=7"]) == 2
    assert "24, 3, 300" in capsys.readouterr().err


def test_a_methods_own_options_are_part_of_its_setting(tmp_path):
    for seed in range(3):
        write_run(tmp_path, seed=seed, history=False)
    path = write_run(tmp_path, seed=3, methods=("swa",), history=False)
    record = json.loads(path.read_bytes())
    record["config"]["optimizer"]["swa"]["start"] = 2
    write_record(path, {key: value for key, value in record.items() if key != "sha256"})
    study = study_of(tmp_path)
    assert study.metric_tables["mrr"].rows[0][-1] == "3"
    (notice,) = study.notices
    assert "umls × keci, swa: 1 run left out" in notice and "optimizer.swa.start=2" in notice


def test_corrupt_records_are_named_and_left_out(grid, capsys):
    broken = sorted(grid.glob("runs/umls/keci/*/result.json"))
    broken[0].write_bytes(broken[0].read_bytes()[:200])
    changed = json.loads(broken[1].read_bytes())
    changed["rows"][0]["value"] = 0.99
    broken[1].write_text(json.dumps(changed))
    history = next(grid.glob("runs/kinship/keci/*/history.json"))
    history.write_bytes(b"\0garbage\xff")
    assert main([str(grid)]) == 0
    error = capsys.readouterr().err
    report = (grid / "analysis/report.html").read_text()
    for path in (*broken, history):
        assert str(path) in error and path.parent.name in report
    assert "run the same training command again" in error
    assert "umls,keci" not in (grid / "analysis/results.csv").read_text()


def test_missing_cells_and_unequal_seeds_are_named(tmp_path):
    write_grid(tmp_path, history=False)
    write_run(tmp_path, "umls", "complex", 0, methods=("sgd", "aswa"), history=False)
    write_run(tmp_path, "umls", "keci", 2, methods=("sgd", "aswa"), history=False)
    study = study_of(tmp_path)
    first = study.records[0]
    assert first.n == 4 and first.unpaired == ("umls × complex (no early_stopping)",)
    assert first.partial == ("umls × keci (2 of 3 seeds)",)
    assert "umls × complex (no early_stopping)" in first.sentence()
    table = study.metric_tables["mrr"].markdown()
    assert "missing" in table and "(n = 2)" in table


def test_collapsed_runs_are_in_no_mean_unless_the_plan_says_so(tmp_path):
    write_grid(tmp_path, history=False)
    write_run(tmp_path, seed=9, shift=-0.6, status="collapsed", history=False)
    study = study_of(tmp_path)
    assert study.metric_tables["mrr"].rows[-1][-1] == "2"
    assert any("seed 9: collapsed" in notice for notice in study.notices)
    assert 9 in set(study.results["seed"])
    content = {**load_plan().__dict__, "collapsed": "keep"}
    content["comparisons"] = [{"a": c.a, "b": c.b} for c in load_plan().comparisons]
    lists = {k: list(v) if isinstance(v, tuple) else v for k, v in content.items()}
    kept = analyse(tmp_path, parse_plan(lists, "here"))
    assert kept.metric_tables["mrr"].rows[-1][-1] == "3"


def test_one_setting_with_two_values_is_a_determinism_failure(tmp_path, capsys):
    write_run(tmp_path, seed=0, history=False)
    write_run(tmp_path, seed=0, history=False, shift=1e-9, run_id="zzz", device="cuda")
    assert main([str(tmp_path)]) == 0
    assert "NOT DETERMINISTIC: umls × keci, aswa, seed 0" in capsys.readouterr().err
    study = study_of(tmp_path)
    assert study.metric_tables["mrr"].numbers["n"].eq(1).all()


def test_hand_made_records_with_the_bare_minimum(tmp_path):
    for number, value in enumerate([0.5, None, math.nan]):
        rows = [
            {"optimizer": "aswa", "split": "test", "metric": "accuracy", "value": value},
            {"optimizer": "sgd", "split": "test", "metric": "accuracy", "value": 0.4},
        ]
        record = {"schema": 1, "run_id": f"r{number}", "status": "done", "dataset": "cifar10",
                  "model": "vgg16", "seed": number, "config": {}, "rows": rows}  # fmt: skip
        write_record(tmp_path / f"runs/cifar10/vgg16/r{number}/result.json", record)
    assert main([str(tmp_path)]) == 0
    study = study_of(tmp_path)
    assert sum("in no mean" in notice for notice in study.notices) == 2
    assert study.records[1].n == 1 and study.records[1].p == 1.0


def test_nothing_to_analyse_says_what_to_run(tmp_path, capsys):
    assert main([str(tmp_path)]) == 2
    error = capsys.readouterr().err
    assert "make reproduce" in error and "aswa-train" in error
    write_run(tmp_path).write_text("garbage")
    assert main([str(tmp_path)]) == 2
    assert "not valid JSON" in capsys.readouterr().err
    assert not (tmp_path / "analysis").exists()


def test_a_misspelt_plan_is_answered(tmp_path, capsys):
    with pytest.raises(ValueError, match="'alhpa'; did you mean 'alpha'"):
        parse_plan({"alhpa": 0.05}, "mine.yaml")
    write_run(tmp_path)
    assert main([str(tmp_path), "--plan", "defualt"]) == 2
    assert "plans there: default" in capsys.readouterr().err


def test_report_is_self_contained(grid):
    import re

    study = study_of(grid, figures=True)
    page = render_html(study)
    links = set(re.findall(r'(?:src|href)="([^"]*)"', page))
    assert all(link.startswith(("#", "data:")) for link in links)
    assert "@import" not in page and "url(http" not in page
    ids = re.findall(r'\bid="([^"]*)"', page)
    assert len(ids) == len(set(ids))
    assert {link[1:] for link in links if link.startswith("#")} <= set(ids)
    for sentence in study.answer():
        assert sentence.replace("'", "&#39;") in page


def test_imports_no_torch_and_nothing_of_training():
    script = (
        "import sys, aswa.analyze; "
        "bad = [m for m in sys.modules if m.split('.')[0] == 'torch' or 'aswa.training' in m]; "
        "sys.exit(str(bad) if bad else 0)"
    )
    subprocess.run([sys.executable, "-c", script], check=True)


def test_what_cannot_change_a_result_is_no_part_of_a_setting():
    from aswa.config.identity import WHERE_AND_HOW

    assert all(is_neutral(key) for key in WHERE_AND_HOW)


def test_many_rows_are_quick(tmp_path):
    models = [f"model{i}" for i in range(10)]
    write_grid(tmp_path, seeds=25, models=models, history=False)  # 500 runs, 20,000 rows
    start = time.perf_counter()
    study = study_of(tmp_path)
    assert len(study.results) == 20_000 and study.records[0].n == 20
    assert time.perf_counter() - start < 20  # about 2 s on a quiet machine
    assert np.isfinite(study.results["value"]).all()
