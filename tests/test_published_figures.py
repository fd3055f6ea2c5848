"""The re-analysis of the authors' figures of images, against a plain pivot of their file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from aswa.analysis.published.files import published_folder
from aswa.analysis.published.images import (
    beside_ours,
    findings,
    findings_table,
    read_published,
    sentences,
)
from aswa.analysis.records import legacy
from aswa.analysis.records.long_table import RESULT_COLUMNS, Cells
from aswa.analyze import main

FOLDER = Path(__file__).parents[1] / "results" / "published"


def test_the_first_finding_is_that_of_a_plain_pivot() -> None:
    """Nine units: live runs, last epoch, mean over validation shares; p by scipy."""
    frames = [
        pd.read_csv(FOLDER / f"aswa_cifar_authors_logs{end}.csv", dtype={"val_ratio": str})
        for end in ("_noncollapsed", "")
    ]
    keys = ["dataset", "model", "val_ratio", "method", "epoch"]
    live = pd.concat(frames).drop_duplicates(keys)
    last = live[live["epoch"] == "final"]
    wide = last.pivot_table(index=["dataset", "model"], columns="method", values="test_acc_mean")
    first = findings(FOLDER)[0]
    assert first.test.n == len(wide) == 9
    assert first.mean == pytest.approx((wide["ASWA"] - wide["SWA"]).mean())
    assert first.test.p == pytest.approx(stats.wilcoxon(wide["ASWA"], wide["SWA"]).pvalue)
    assert (first.test.wins, first.test.losses) == (8, 1)


def test_every_question_has_a_row_and_the_text_its_numbers() -> None:
    found = findings(FOLDER)
    text = findings_table(found).markdown() + " ".join(sentences(found))
    assert all(finding.question in text for finding in found)
    hard, without = (next(f for f in found if f.question.startswith(s)) for s in
                     ("code with a hard", "code without"))  # fmt: skip
    assert hard.test.n + without.test.n == 9
    assert f"{hard.mean:+.2f} points on average, {hard.test.wins} of {hard.test.n}" in text
    assert min(f.test.p for f in (hard, without)) > 0.05


def test_collapsed_runs_are_left_out_where_asked() -> None:
    """Two configurations have any; their means rise by tens of points without them."""
    keys = ["dataset", "model", "val_ratio", "optimizer", "epoch"]
    live, every = (read_published(FOLDER, live=live).set_index(keys) for live in (True, False))
    assert len(live) == len(every)
    moved = every.index[~np.isclose(live["accuracy"], every["accuracy"].reindex(live.index))]
    assert {index[:3] for index in moved} == {
        ("CIFAR10", "VGG16", "0.3"),
        ("CIFAR10", "VGG19", "0.3"),
    }


def test_ours_stand_beside_published_ones_of_the_same_unit_only() -> None:
    """A reduced dataset has another name, and no published figure."""

    def cells(dataset: str) -> Cells:
        rows = [
            (dataset, "vgg16", method, seed, "test", "accuracy", 0.9, "x")
            for method in ("swa", "aswa_released") for seed in (0, 1)
        ]  # fmt: skip
        return Cells(pd.DataFrame(rows, columns=RESULT_COLUMNS), legacy.names(["accuracy"]))

    assert beside_ours(cells("cifar10 (4000 training images)"), FOLDER) is None
    drawing = beside_ours(cells("cifar10"), FOLDER)
    assert drawing is not None and drawing.stem == "ours_against_published"


def test_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    target = tmp_path / "published"
    target.mkdir()
    for path in FOLDER.glob("*.csv"):
        (target / path.name).write_bytes(path.read_bytes())
    assert published_folder(tmp_path) == target
    assert main([str(tmp_path), "--published"]) == 0
    told = capsys.readouterr().out
    assert "8 of 9 units" in told and "8 of 8 units" in told
    made = {path.name for path in (target / "tested").iterdir()}
    assert made == {
        *(f"{table}.{end}" for end in ("md", "tex", "csv")
          for table in ("published", "published_graphs", "published_beside_ours")),
        "published_growth.svg", "published_growth.png",
    }  # fmt: skip
    for path in FOLDER.glob("*.csv"):
        (target / path.name).write_text("dataset,model\n")
    assert main([str(tmp_path), "--published"]) == 2
    assert "lacks the column(s) val_ratio" in capsys.readouterr().err
