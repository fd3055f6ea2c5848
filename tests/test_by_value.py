"""`aswa-analyze --by KEY`: one setting along the key, methods' own keys, names of files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from aswa.analysis.declaration import load_declaration
from aswa.analysis.rendering.by_value import label
from aswa.analysis.rendering.report import Report
from aswa.analysis.study import analyse
from aswa.analyze import main
from written_runs import edit, write_run

METHODS = ("sgd", "swa", "aswa")
MODELS = ("complex", "distmult")


def read(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(path.read_text())
    return found


def run(
    root: Path, model: str, score: float, epochs: int = 300, dim: int = 128, **aswa: int
) -> Path:
    """A run whose ASWA has a test MRR of `score`; of the others it is 0.4."""
    aswa = {"start": 0, "every": 1, **aswa}
    options = {"aswa": aswa, "swa": {"start": epochs * 3 // 4}}
    run_id = f"{model}-{epochs}-{dim}-{aswa['start']}-{aswa['every']}"
    path = write_run(root, model=model, methods=METHODS, epochs=epochs, options=options,
                     run_id=run_id, history=False)  # fmt: skip
    record = read(path)
    record["setting"]["shared"]["model.dim"] = dim
    for row in record["rows"]:
        row["value"] = score if row["optimizer"] == "aswa" else 0.4
    edit(path, rows=record["rows"], setting=record["setting"])
    return path


@pytest.fixture
def axes(tmp_path: Path) -> Path:
    """Three axes that meet in one setting; that of more epochs would win a tie."""
    for model in MODELS:
        run(tmp_path, model, 0.7)
        for start in (75, 150):
            run(tmp_path, model, 0.7 - start / 1000, start=start)
        for every in (2, 10):
            run(tmp_path, model, 0.7 + every / 1000, every=every)
        for epochs in (100, 600):
            run(tmp_path, model, epochs / 1000, epochs=epochs)
    return tmp_path


def by(folder: Path, *keys: str) -> Report:
    return analyse(folder, load_declaration(), figures=False, by=keys)


def means(report: Report, method: str, model: str = "complex") -> dict[Any, float]:
    (table,) = report.curve_tables
    rows = table.numbers[(table.numbers["optimizer"] == method) & (table.numbers["model"] == model)]
    return dict(zip(rows["setting"], rows["mean"], strict=True))


def test_every_axis_is_of_the_setting_where_they_meet(axes: Path) -> None:
    expected = {
        "optimizer.aswa.start": {0: 0.7, 75: 0.625, 150: 0.55},
        "optimizer.aswa.every": {1: 0.7, 2: 0.702, 10: 0.71},
        "epochs": {100: 0.1, 300: 0.7, 600: 0.6},
    }
    for key, of_key in expected.items():
        assert means(by(axes, key), "aswa") == pytest.approx(of_key)


def test_methods_without_the_key_are_there_and_flat(axes: Path) -> None:
    report = by(axes, "optimizer.aswa.start")
    assert means(report, "sgd", "distmult") == {0: 0.4, 75: 0.4, 150: 0.4}
    assert {row[2] for row in report.curve_tables[0].rows} == {"SGD", "SWA", "ASWA"}


def test_a_key_that_follows_the_other_is_named(axes: Path) -> None:
    """SWA's start is a part of the epochs. So are keys of runs that are in no curve."""
    (table,) = by(axes, "epochs").curve_tables
    assert "Along with it differ: optimizer.swa.start." in table.note
    assert "other optimizer.aswa.every, optimizer.aswa.start are left aside" in table.note
    (table,) = by(axes, "optimizer.aswa.every").curve_tables
    assert "Along" not in table.note and "other epochs, optimizer.aswa.start" in table.note


def test_equal_settings_are_chosen_alike_in_every_unit(tmp_path: Path) -> None:
    """Of two whole curves one is taken, the same for both models, whatever the hashes say."""
    for model, ids in zip(MODELS, ("ab", "ba"), strict=True):
        for dim, shared in zip((64, 256), ids, strict=True):
            for start in (0, 50):
                path = run(tmp_path, model, dim / 1000, start=start, dim=dim)
                edit(path, setting_ids={**read(path)["setting_ids"], "shared": shared})
    report = by(tmp_path, "optimizer.aswa.start")
    assert means(report, "aswa", "complex") == means(report, "aswa", "distmult")
    assert len(set(means(report, "aswa").values())) == 1
    assert "Runs of other model.dim are left aside" in report.curve_tables[0].note


def test_files_and_axes_have_readable_names(axes: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--by", "optimizer.aswa.start", "--by", "epochs"]
    assert main([str(axes), *words]) == 0
    figures, tables = (axes / "analysis" / kind for kind in ("figures", "tables"))
    assert (figures / "mrr_by_optimizer_aswa_start.png").is_file()
    assert (figures / "mrr_by_epochs.svg").is_file()
    numbers = pd.read_csv(tables / "test_mrr_by_optimizer_aswa_start.csv")
    assert len(numbers) == len(MODELS) * len(METHODS) * 3
    shown = capsys.readouterr().out
    assert "Test MRR by start (ASWA)" in shown and "start=75" in shown
    names = analyse(axes, load_declaration(), figures=False).studies[0].names
    assert label("dataset.valid_share", names) == "valid_share"


def test_an_unknown_key_is_named_with_its_nearest(axes: Path) -> None:
    with pytest.raises(ValueError, match=r"nearest key: 'optimizer\.aswa\.start'"):
        by(axes, "optimizer.aswa.strat")


def test_of_settings_that_cover_as_much_the_one_of_more_epochs_is_taken(tmp_path: Path) -> None:
    """As in the other tables, although the text "2" is before "300"."""
    for start in (0, 75):
        run(tmp_path, "complex", 0.2, epochs=60, start=start)
        run(tmp_path, "complex", 0.7, epochs=300, start=start)
        run(tmp_path, "complex", 0.3, epochs=2, start=start)
    assert means(by(tmp_path, "optimizer.aswa.start"), "aswa") == {0: 0.7, 75: 0.7}
