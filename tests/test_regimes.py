"""Regimes of a declared analysis: never pooled, chosen on validation, each with its tests."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from aswa.analysis.declaration import Comparison, Declaration, Regime, load_declaration
from aswa.analysis.records.runs import read_runs
from aswa.analysis.records.varying import varying_settings
from aswa.analysis.rendering.report import Report, render_html, write_report
from aswa.analysis.study import analyse
from written_runs import write_run

RATES = (0.01, 0.1, 1.0)
# By rate, on validation; on test less by its tenth. SGD is best at 0.01, ASWA at 0.1.
SCORES = {"sgd": (0.6, 0.5, 0.3), "early_stopping": (0.62, 0.6, 0.4), "aswa": (0.55, 0.7, 0.65)}
MODELS = ("complex", "distmult")
REGIMES = (
    Regime("paper", "At lr 0.1", where={"lr": 0.1}),
    Regime("tuned", "Tuned", best="lr", of="sgd"),
    Regime("own", "Own", best="lr"),
    Regime("area", "Area", area="lr"),
    Regime("cross", "Cross", methods={"aswa": "paper", "sgd": "tuned"},
           comparisons=(Comparison("aswa", "sgd"),)),
)  # fmt: skip


def declared(**fields: Any) -> Declaration:
    comparisons = (Comparison("aswa", "early_stopping"), Comparison("aswa", "sgd"))
    given = {"comparisons": comparisons, "regimes": REGIMES, "curve": "lr", **fields}
    return replace(load_declaration(), metrics=("mrr",), primary_metrics=("mrr",), **given)


def score(method: str, rate: float, model: str, split: str) -> float:
    value = SCORES[method][RATES.index(rate)] + 0.01 * MODELS.index(model)
    return value if split == "valid" else 0.9 * value


@pytest.fixture
def grid(tmp_path: Path) -> Path:
    for rate in RATES:
        for model in MODELS:
            for seed in (0, 1):
                path = write_run(
                    tmp_path, model=model, seed=seed, methods=tuple(SCORES), history=False,
                    run_id=f"{model}{rate}{seed}",
                )  # fmt: skip
                record = json.loads(path.read_text())
                for row in record["rows"]:
                    if row["metric"] == "mrr":
                        row["value"] = score(row["optimizer"], rate, model, row["split"])
                record["config"]["lr"] = record["setting"]["shared"]["lr"] = rate
                record["setting_ids"]["shared"] = record["setting_id"] = f"lr{rate}{model}"
                record.pop("sha256", None)
                path.write_text(json.dumps(record))
    return tmp_path


def means(report: Report, regime: str) -> dict[tuple[str, str], float]:
    """(model, method) → mean test MRR of a regime's table."""
    (study,) = [study for study in report.studies if study.regime == regime]
    numbers = study.metric_tables["mrr"].numbers
    keys = zip(numbers["model"], numbers["optimizer"], strict=True)
    return dict(zip(keys, numbers["mean"], strict=True))


def test_each_regime_takes_its_own_runs(grid: Path) -> None:
    report = analyse(grid, declared(), figures=False)
    rates = {
        "paper": dict.fromkeys(SCORES, 0.1),
        "tuned": dict.fromkeys(SCORES, 0.01),
        "own": {"sgd": 0.01, "early_stopping": 0.01, "aswa": 0.1},
        "cross": {"sgd": 0.01, "aswa": 0.1},
    }
    for regime, by_method in rates.items():
        expected = {
            (model, method): score(method, rate, model, "test")
            for model in MODELS
            for method, rate in by_method.items()
        }
        assert means(report, regime) == pytest.approx(expected)
    # Two equal steps of log lr: the ends count half.
    area = means(report, "area")["distmult", "aswa"]
    low, middle, high = (score("aswa", rate, "distmult", "test") for rate in RATES)
    assert area == pytest.approx((low / 2 + middle + high / 2) / 2)
    assert not report.all_notices()


def test_a_rate_is_chosen_on_validation_alone(grid: Path) -> None:
    """Test scores turned round change no choice."""
    for path in grid.glob("runs/*/*/*/result.json"):
        record = json.loads(path.read_text())
        for row in record["rows"]:
            if row["split"] == "test":
                row["value"] = 1 - row["value"]
        path.write_text(json.dumps(record))
    report = analyse(grid, declared(), figures=False)
    expected = 1 - score("aswa", 0.1, "complex", "test")
    assert means(report, "own")["complex", "aswa"] == pytest.approx(expected)


def test_a_run_that_lacks_a_rate_is_in_no_area(grid: Path) -> None:
    next(grid.glob("runs/umls/complex/complex1.01/result.json")).unlink()
    report = analyse(grid, declared(), figures=False)
    (study,) = [study for study in report.studies if study.regime == "area"]
    assert study.seeds == "1 to 2 seeds"
    assert sum("in no area" in notice for notice in report.all_notices()) == 1


def test_files_and_page_keep_regimes_apart(grid: Path, tmp_path: Path) -> None:
    report = analyse(grid, declared(registration="Written <before>."))
    folder = tmp_path / "out"
    write_report(report, folder)
    found = pd.read_csv(folder / "significance.csv")
    assert found.columns[-1] == "regime"
    of_all = found[(found["scope"] == "all") & (found["optimizer_b"] == "sgd")]
    assert list(of_all["regime"]) == [regime.name for regime in REGIMES]
    assert (folder / "tables" / "test_mrr_own.md").is_file()
    assert (folder / "figures" / "mrr_by_lr.png").is_file()
    by_lr = pd.read_csv(folder / "tables" / "test_mrr_by_lr.csv")
    assert len(by_lr) == len(MODELS) * len(SCORES) * len(RATES)
    page = render_html(report)
    assert page.index("Written &lt;before&gt;.") < page.index('class="answer"')
    results = pd.read_csv(folder / "results.csv")
    assert results["run_id"].nunique() == len(MODELS) * len(RATES) * 2
    # The settings that vary stand behind the public columns, and in runs.csv, a row a run.
    assert list(results.columns[-2:]) == ["run_id", "lr"]
    runs = pd.read_csv(folder / "runs.csv").set_index("run_id")
    assert len(runs) == results["run_id"].nunique()
    assert (results["lr"].to_numpy() == runs.loc[results["run_id"], "lr"].to_numpy()).all()


def test_without_regimes_the_files_have_no_such_column(grid: Path, tmp_path: Path) -> None:
    report = analyse(grid, declared(regimes=(), curve=""), figures=False)
    write_report(report, tmp_path / "out")
    assert "regime" not in pd.read_csv(tmp_path / "out" / "significance.csv").columns


def test_a_setting_varies_only_where_runs_of_one_dataset_or_model_differ(tmp_path: Path) -> None:
    for dataset in ("umls", "kinship"):
        write_run(tmp_path, dataset, history=False)
        write_run(tmp_path, dataset, seed=1, history=False)
    runs, _ = read_runs(tmp_path)
    assert varying_settings(runs) == {}
    options = {"swa": {"start": 2}}
    write_run(tmp_path, "umls", seed=2, history=False, options=options, run_id="other")
    write_run(
        tmp_path, "umls", seed=3, history=False, options={"swa": {"start": 3}}, run_id="third"
    )
    runs, _ = read_runs(tmp_path)
    found = varying_settings(runs)
    assert list(found) == ["optimizer.swa.start"]
    by_run = dict(zip([run.run_id for run in runs], found["optimizer.swa.start"], strict=True))
    assert (by_run["other"], by_run["third"]) == (2, 3)
    assert sum(value is None for value in by_run.values()) == 4


@pytest.mark.parametrize(
    ("regime", "says"),
    [
        ("{name: a, title: A}", "give one of"),
        ("{name: a, title: A, best: lr, area: lr}", "give one of"),
        ("{name: a, title: A, methods: {aswa: nowhere}}", "nowhere"),
        ("{name: a, titel: A, best: lr}", "did you mean 'title'"),
        ("lr", "write {name"),
    ],
)
def test_a_wrong_regime_is_named(regime: str, says: str, tmp_path: Path) -> None:
    from aswa.files import conf_dir

    usual = (conf_dir() / "analysis" / "default.yaml").read_text()
    path = tmp_path / "mine.yaml"
    path.write_text(f"{usual}\nregimes:\n  - {regime}\n")
    with pytest.raises(ValueError, match="regime 1") as caught:
        load_declaration(str(path))
    assert says in str(caught.value)


def test_a_missing_registration_is_named(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("registration: gone.md\n")
    with pytest.raises(ValueError, match=r"registration: gone\.md"):
        load_declaration(str(path))


def test_the_committed_registration_has_the_declared_regimes() -> None:
    found = load_declaration("reproduce")
    assert math.isclose(found.regimes[0].where["lr"], 0.1)
    for regime in found.regimes:
        assert f"  {regime.name} " in found.registration
