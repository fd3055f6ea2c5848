"""What a session makes of a run: done once, failed, collapsed; a record explains itself."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from aswa.config import ConfigError, RunConfig, load
from aswa.tasks.link_prediction import LinkPrediction
from aswa.training.session import execute
from aswa.training.trajectory import Diverged

SMALL = ("dataset=umls", "model=complex", "model.dim=16", "epochs=12", "lr=0.05")


def config(tmp_path: Path, *overrides: str) -> RunConfig:
    return load([*SMALL, f"results_dir={tmp_path}", *overrides])


def read(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text())


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A results folder with one finished run, `finished(results)`, whose weights were kept."""
    folder = tmp_path_factory.mktemp("all")
    execute(finished(folder))
    return folder


def finished(results: Path) -> RunConfig:
    return config(results, "optimizer=ablation", "save_weights=true")


@pytest.mark.parametrize("damage", [b"", b'{"schema": 1, "rows": [', b"\x93\xff garbage", b"[]"])
def test_a_damaged_result_is_reported_and_redone(damage: bytes, tmp_path: Path) -> None:
    run = config(tmp_path, "optimizer=sgd", "epochs=2")
    first = execute(run)
    path = run.folder / "result.json"
    whole = path.read_bytes()
    path.write_bytes(damage or whole.replace(b'"value": 0.', b'"value": 1.', 1))
    said: list[str] = []
    again = execute(run, report=said.append)
    assert again["rows"] == first["rows"]
    assert len(said) == 1
    assert "result.json" in said[0]
    assert execute(run, report=said.append)["rows"] == first["rows"]
    assert len(said) == 1  # whole again


def test_a_finished_run_is_not_computed_again(results: Path) -> None:
    run = finished(results)
    before = (run.folder / "result.json").read_bytes()
    execute(run, on_epoch=lambda _: pytest.fail("it was computed again"))
    assert (run.folder / "result.json").read_bytes() == before


def test_a_diverging_run_fails_with_its_traceback_and_is_tried_again(tmp_path: Path) -> None:
    run = config(tmp_path, "optimizer=aswa", "lr=1e38", "base_optimizer=sgd")
    for _ in range(2):
        with pytest.raises(Diverged):
            execute(run)
        status = read(run.folder / "status.json")
        assert status["status"] == "failed"
        assert "Diverged" in status["traceback"]
    assert not (run.folder / "result.json").exists()


def test_a_run_that_only_guesses_is_flagged(tmp_path: Path) -> None:
    run = config(tmp_path, "optimizer=sgd", "lr=1e-9", "model.init_scale=1e-6")
    record = execute(run)
    assert record["status"] == "collapsed"
    assert record["notes"]["collapsed"]
    assert all(row["collapsed"] for row in record["rows"])
    assert read(run.folder / "status.json")["status"] == "collapsed"


def test_saved_weights_are_the_ones_in_the_table(results: Path) -> None:
    run = finished(results)
    rows = read(run.folder / "result.json")["rows"]
    task = LinkPrediction(run, torch.device("cpu"))
    model = task.build_model(torch.Generator())
    for name in run.methods:
        model.load_state_dict(torch.load(run.folder / "weights" / f"{name}.pt", weights_only=True))
        recorded = {r["metric"]: r["value"] for r in rows
                    if (r["split"], r["optimizer"]) == ("test", name)}  # fmt: skip
        assert task.metrics([model], "test") == recorded


def test_a_record_describes_itself(results: Path) -> None:
    """Every metric and every method of a row is explained, and what the run was made with."""
    record = read(finished(results).folder / "result.json")
    assert record["schema"] == 2
    for row in record["rows"]:
        assert {"label", "higher_is_better", "family", "part"} <= set(
            record["metrics"][row["metric"]]
        )
        assert record["methods"][row["optimizer"]]["label"]
    assert set(record["setting"]) == {"shared", "methods", "evaluation"}
    assert set(record["setting_ids"]) == {"shared", "methods", "evaluation"}
    assert record["hardware"]["cpu"] and record["hardware"]["cores"] >= 1
    assert record["hardware"]["gpu"] is None


def test_every_method_that_decides_has_its_decisions_in_the_record(results: Path) -> None:
    """Ten methods, six of which decide: counts, and by epoch with (v, v̂) in the history."""
    folder = finished(results).folder
    record, history = read(folder / "result.json"), read(folder / "history.json")
    deciding = {name for name in record["methods"] if name.startswith("aswa")}
    assert len(deciding) == 6
    assert (
        set(record["decisions"]) == set(history["decisions"]) == set(history["scores"]) == deciding
    )
    for name in deciding:
        made = history["decisions"][name]
        assert len(made) == len(history["scores"][name]) == len(history["epoch"]) == 12
        counts = {each: made.count(each) for each in ("hard", "soft", "reject")}
        assert record["decisions"][name] == counts
        for v, _ in history["scores"][name]:
            assert v in history["valid"]["sgd"]
    v, v_hat = history["scores"]["aswa"][-1]
    assert max(v, v_hat) <= history["valid"]["aswa"][-1]


def test_a_selection_metric_that_is_better_when_lower_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every method would keep the worst epoch."""
    monkeypatch.setattr(LinkPrediction, "selection_metric", "loss")
    config = load(["dataset=umls", "model=distmult", "model.dim=8", "epochs=2", "lr=0.01",
                   f"results_dir={tmp_path}"])  # fmt: skip
    with pytest.raises(ConfigError, match="selection_metric 'loss'"):
        execute(config)


def test_every_second_has_a_name(tmp_path: Path) -> None:
    """Parts add up to the total; the first epoch is a part of training."""
    seconds = execute(load([*SMALL, f"results_dir={tmp_path}"]))["seconds"]
    parts = [value for part, value in seconds.items() if part not in ("total", "first_epoch")]
    assert sum(parts) == pytest.approx(seconds["total"])
    assert 0 < seconds["first_epoch"] < seconds["train"]
