"""`tracker=tensorboard`: the event files hold the history, also of a run that went on."""

from __future__ import annotations

from pathlib import Path

import pytest

from aswa.config import load
from aswa.training.session import execute
from small_sweep import read
from test_csv_tracker import EPOCHS, break_at_seven, words
from trackers_read import read_events

pytest.importorskip("tensorboard")


def test_scalars_texts_and_final_values(tmp_path: Path) -> None:
    """Each epoch once, though epoch 7 was written twice: the checkpoint was that of epoch 6."""
    config = load([*words(tmp_path), "tracker=tensorboard"])
    with pytest.raises(RuntimeError, match="seven"):
        execute(config, on_epoch=break_at_seven)
    before = read_events(config.folder / "tensorboard")[0]["loss"]
    assert [step for step, _ in before] == list(range(1, 8))
    execute(config)
    history = read(config.folder / "history.json")
    scalars, texts = read_events(config.folder / "tensorboard")
    for name, values in {
        "loss": history["train_loss"],
        "valid/mrr/aswa": history["valid"]["aswa"],
        "aswa/v": [v for v, _ in history["scores"]["aswa"]],
        "aswa/members": history["members"]["aswa"],
        "lr": [0.01] * EPOCHS,
    }.items():
        assert [step for step, _ in scalars[name]] == list(range(1, EPOCHS + 1)), name
        assert [value for _, value in scalars[name]] == pytest.approx(values, rel=1e-6), name
    assert len(scalars["epoch_seconds"]) == EPOCHS
    assert texts["aswa/decision"] == history["decisions"]["aswa"]
    assert texts["title"] == [config.title]
    for row in read(config.folder / "result.json")["rows"]:
        if row["split"] == "test":
            ((step, value),) = scalars[f"test/{row['metric']}/{row['optimizer']}"]
            assert step == EPOCHS and value == pytest.approx(row["value"], rel=1e-6)
