"""`tracker=csv`: history.csv holds what history.json holds, also of a run that went on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from aswa.config import load
from aswa.training.session import execute
from small_sweep import SMALL, read
from trackers_read import read_csv

EPOCHS = 8


def words(tmp_path: Path) -> list[str]:
    return [*SMALL, f"epochs={EPOCHS}", "tracker=csv", "checkpoint_seconds=0",
            f"results_dir={tmp_path}"]  # fmt: skip


def break_at_seven(work: Any) -> None:
    """After epoch 7 was logged and before its checkpoint."""
    if work.epoch == 7:
        raise RuntimeError("seven")


def test_the_file_is_the_history(tmp_path: Path) -> None:
    config = load(words(tmp_path))
    said: list[str] = []
    execute(config, report=said.append)
    assert said == [f"csv: {config.folder / 'history.csv'}"]
    rows, history = read_csv(config.folder / "history.csv"), read(config.folder / "history.json")
    assert [int(row["epoch"]) for row in rows] == list(range(1, EPOCHS + 1))
    assert [float(row["loss"]) for row in rows] == history["train_loss"]
    assert [row["aswa/decision"] for row in rows] == history["decisions"]["aswa"]
    assert [int(row["aswa/members"]) for row in rows] == history["members"]["aswa"]
    for name, valid in history["valid"].items():
        found = [row[f"valid/mrr/{name}"] for row in rows]
        assert [float(value) if value else None for value in found] == valid
    scores = [[float(row[key]) for key in ("aswa/v", "aswa/v_lookahead")] for row in rows[1:]]
    assert scores == history["scores"]["aswa"][1:]
    assert {row["lr"] for row in rows} == {"0.01"}
    assert all(float(row["epoch_seconds"]) > 0 for row in rows)


def test_a_run_that_goes_on_has_each_epoch_once(tmp_path: Path) -> None:
    """Broken off after epoch 7 was written, and gone on with from the checkpoint of epoch 6."""
    straight, broken = load(words(tmp_path / "a")), load(words(tmp_path / "b"))
    execute(straight)
    with pytest.raises(RuntimeError, match="seven"):
        execute(broken, on_epoch=break_at_seven)
    assert len(read_csv(broken.folder / "history.csv")) == 7
    execute(broken)
    found = [read_csv(each.folder / "history.csv") for each in (straight, broken)]
    for row in (row for rows in found for row in rows):
        assert float(row.pop("epoch_seconds")) > 0
    assert found[0] == found[1]
