"""Whole runs on real data: rows are bit-identical, whoever rides along; variants of training."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
import torch

from aswa.config import ConfigError, RunConfig, load
from aswa.tasks.link_prediction import LinkPrediction
from aswa.training.session import execute
from aswa.training.trajectory import Trajectory

SMALL = ("dataset=umls", "model=complex", "model.dim=16", "epochs=12", "lr=0.05")


def config(tmp_path: Path, *overrides: str) -> RunConfig:
    return load([*SMALL, f"results_dir={tmp_path}", *overrides])


def read(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text())


def rows(record: dict[str, Any], optimizer: str) -> list[dict[str, Any]]:
    return [row for row in record["rows"] if row["optimizer"] == optimizer]


def mrr_of(record: dict[str, Any]) -> float:
    return next(
        row["value"]
        for row in rows(record, "sgd")
        if (row["split"], row["metric"]) == ("test", "mrr")
    )


@pytest.fixture(scope="module")
def all_five(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return execute(config(tmp_path_factory.mktemp("all"), "optimizer=all"))


@pytest.mark.parametrize("method", ["sgd", "swa", "ema", "early_stopping", "aswa"])
def test_a_method_alone_gives_the_rows_that_it_gives_in_company(
    method: str, all_five: dict[str, Any], tmp_path: Path
) -> None:
    alone = execute(config(tmp_path, f"optimizer={method}"))
    assert rows(alone, method) == rows(all_five, method)
    if method == "aswa":
        assert alone["decisions"] == all_five["decisions"]


def test_the_trajectory_does_not_know_who_watches(tmp_path: Path) -> None:
    """Hash of the running weights, with dropout drawing random numbers."""
    hashes = set()
    for optimizer in ("sgd", "aswa", "ema", "all", "aswa_released", "ablation"):
        run = config(tmp_path, f"optimizer={optimizer}", "model.input_dropout=0.2", "epochs=4")
        trajectory = Trajectory(run, LinkPrediction(run, torch.device("cpu")))
        while not trajectory.finished:
            trajectory.advance()
        weights = [p.detach().numpy().tobytes() for p in trajectory.model.parameters()]
        hashes.add(hashlib.sha256(b"".join(weights)).hexdigest())
    assert len(hashes) == 1


def test_another_seed_is_another_run(all_five: dict[str, Any], tmp_path: Path) -> None:
    other = execute(config(tmp_path, "optimizer=all", "seed=1"))
    assert rows(other, "sgd") != rows(all_five, "sgd")


def test_early_stopping_alone_really_stops_and_says_the_same(tmp_path: Path) -> None:
    patience = ("optimizer.early_stopping.patience=3", "lr=0.3", "epochs=60")
    alone = execute(config(tmp_path, "optimizer=early_stopping", *patience))
    together = execute(config(tmp_path, "optimizer=all", *patience))
    assert rows(alone, "early_stopping") == rows(together, "early_stopping")
    lengths = [
        len(read(config(tmp_path, o, *patience).folder / "history.json")["epoch"])
        for o in ("optimizer=early_stopping", "optimizer=all")
    ]
    assert lengths[0] < 60 == lengths[1]


def test_bf16_trains_and_is_judged_in_fp32(all_five: dict[str, Any], tmp_path: Path) -> None:
    run = config(tmp_path, "optimizer=all", "precision=bf16")
    record = execute(run)
    task = LinkPrediction(run, torch.device("cpu"))
    model = task.build_model(torch.Generator())
    assert task._valid.ranks(model.score_blocks).dtype == torch.float64
    difference = mrr_of(record) - mrr_of(all_five)
    assert 0 < abs(difference) < 0.1


def test_tf32_without_a_gpu_is_refused(tmp_path: Path) -> None:
    """Rather than recorded and not done."""
    with pytest.raises(ConfigError, match="precision=tf32: for GPUs only"):
        execute(config(tmp_path, "precision=tf32"))


@pytest.mark.parametrize("base", ["sgd", "adagrad"])
@pytest.mark.parametrize("schedule", ["swa", "cosine"])
def test_other_rules_and_schedules_learn(base: str, schedule: str, tmp_path: Path) -> None:
    rate = "lr=50" if base == "sgd" else "lr=0.3"
    words = ("optimizer=sgd", f"base_optimizer={base}", f"schedule={schedule}", rate)
    record = execute(config(tmp_path, *words, "epochs=40"))
    assert mrr_of(record) > 3 * 0.04  # guessing gives 0.04
