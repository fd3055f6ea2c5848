"""Whole runs on real data: bit-identical however they are made, and safe to break."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from aswa.config import ConfigError, RunConfig, load
from aswa.tasks.link_prediction import LinkPrediction
from aswa.training.session import execute
from aswa.training.trajectory import Diverged, Trajectory

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
            trajectory.run_epoch()
        weights = [p.detach().numpy().tobytes() for p in trajectory.model.parameters()]
        hashes.add(hashlib.sha256(b"".join(weights)).hexdigest())
    assert len(hashes) == 1


def test_another_seed_is_another_run(all_five: dict[str, Any], tmp_path: Path) -> None:
    other = execute(config(tmp_path, "optimizer=all", "seed=1"))
    assert rows(other, "sgd") != rows(all_five, "sgd")


KILLED_RUN = """
import os, signal, sys
from aswa.config import load
from aswa.training.session import execute

def die(trajectory):
    if trajectory.epoch == int(sys.argv[1]):
        os.kill(os.getpid(), signal.SIGKILL)

execute(load(sys.argv[2:]), on_epoch=die)
"""


@pytest.mark.parametrize("objective", ["kvsall", "negative_sampling"])
def test_killed_and_continued_is_undisturbed(objective: str, tmp_path: Path) -> None:
    """kill -9 in epochs 3 and 8, with dropout; every row and decision as without."""
    extra = ("optimizer=all", f"model.objective={objective}", "model.hidden_dropout=0.1")
    undisturbed = execute(config(tmp_path / "straight", *extra))
    words = [*SMALL, *extra, f"results_dir={tmp_path / 'killed'}", "checkpoint_seconds=0"]
    for epoch in ("3", "8"):
        process = subprocess.run([sys.executable, "-c", KILLED_RUN, epoch, *words])
        assert process.returncode == -9
    said: list[str] = []
    run = config(tmp_path / "killed", *extra, "checkpoint_seconds=0")
    record = execute(run, report=said.append)
    assert said == ["going on after epoch 7 of 12, in the middle of the next"]
    assert record["run_id"] == undisturbed["run_id"]
    assert record["rows"] == undisturbed["rows"]
    assert record["decisions"] == undisturbed["decisions"]
    where = run.folder.relative_to(run.results_dir) / "history.json"
    straight, killed = (read(tmp_path / name / where) for name in ("straight", "killed"))
    assert straight == killed
    assert not list(run.folder.glob("checkpoint-*"))


def interrupt(run: RunConfig) -> None:
    """Stop a run by Ctrl-C after epoch 5."""

    def ctrl_c(trajectory: Trajectory) -> None:
        if trajectory.epoch == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        execute(run, on_epoch=ctrl_c)
    status = read(run.folder / "status.json")
    assert status["status"] == "interrupted"


@pytest.mark.parametrize("damage", ["truncated", "garbage", "missing"])
def test_a_damaged_checkpoint_is_reported_and_not_used(
    damage: str, all_five: dict[str, Any], tmp_path: Path
) -> None:
    run = config(tmp_path, "optimizer=all", "checkpoint_seconds=0")
    interrupt(run)
    (checkpoint,) = run.folder.glob("checkpoint-*.pt")
    content = checkpoint.read_bytes()
    torch.load(checkpoint, weights_only=True)  # plain tensors
    if damage == "truncated":
        checkpoint.write_bytes(content[: len(content) // 2])
    elif damage == "garbage":
        middle = len(content) // 2
        checkpoint.write_bytes(content[:middle] + b"\x00\x01" + content[middle + 2 :])
    else:
        checkpoint.unlink()
    said: list[str] = []
    record = execute(run, report=said.append)
    assert len(said) == 1
    assert checkpoint.name in said[0]
    assert "starts from the beginning" in said[0]
    assert record["rows"] == all_five["rows"]


@pytest.mark.parametrize("damage", [b"", b'{"schema": 1, "rows": [', b"\x93\xff garbage", b"[]"])
def test_a_damaged_result_is_reported_and_redone(
    damage: bytes, all_five: dict[str, Any], tmp_path: Path
) -> None:
    run = config(tmp_path, "optimizer=all")
    first = execute(run)
    path = run.folder / "result.json"
    whole = path.read_bytes()
    path.write_bytes(damage or whole.replace(b'"value": 0.', b'"value": 1.', 1))
    said: list[str] = []
    again = execute(run, report=said.append)
    assert again["rows"] == first["rows"] == all_five["rows"]
    assert len(said) == 1
    assert "result.json" in said[0]
    assert execute(run, report=said.append)["rows"] == first["rows"]
    assert len(said) == 1  # whole again


def test_a_finished_run_is_not_computed_again(tmp_path: Path) -> None:
    run = config(tmp_path, "optimizer=sgd")
    execute(run)
    before = (run.folder / "result.json").read_bytes()
    execute(run, on_epoch=lambda _: pytest.fail("it was computed again"))
    assert (run.folder / "result.json").read_bytes() == before


def test_a_diverging_run_fails_with_its_traceback_and_is_tried_again(tmp_path: Path) -> None:
    run = config(tmp_path, "optimizer=aswa", "lr=1e38", "base_optimizer=sgd")
    for _ in range(2):
        with pytest.raises(Diverged, match="a smaller lr than 1e\\+38"):
            execute(run)
        status = read(run.folder / "status.json")
        assert status["status"] == "failed"
        assert "Diverged: the training loss became" in status["traceback"]
    assert not (run.folder / "result.json").exists()


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


def test_a_run_that_only_guesses_is_flagged(tmp_path: Path) -> None:
    run = config(tmp_path, "optimizer=sgd", "lr=1e-9", "model.init_scale=1e-6")
    record = execute(run)
    assert record["status"] == "collapsed"
    assert all(row["collapsed"] for row in record["rows"])
    assert read(run.folder / "status.json")["status"] == "collapsed"


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


def test_saved_weights_are_the_ones_in_the_table(tmp_path: Path) -> None:
    run = config(tmp_path, "optimizer=all", "save_weights=true")
    record = execute(run)
    task = LinkPrediction(run, torch.device("cpu"))
    model = task.build_model(torch.Generator())
    for name in run.methods:
        model.load_state_dict(torch.load(run.folder / "weights" / f"{name}.pt", weights_only=True))
        measured = task.metrics(model, "test")
        recorded = {r["metric"]: r["value"] for r in rows(record, name) if r["split"] == "test"}
        assert measured == recorded


@pytest.mark.parametrize("base", ["sgd", "adagrad"])
@pytest.mark.parametrize("schedule", ["swa", "cosine"])
def test_other_rules_and_schedules_learn(base: str, schedule: str, tmp_path: Path) -> None:
    rate = "lr=50" if base == "sgd" else "lr=0.3"
    words = ("optimizer=sgd", f"base_optimizer={base}", f"schedule={schedule}", rate)
    record = execute(config(tmp_path, *words, "epochs=40"))
    assert mrr_of(record) > 3 * 0.04  # guessing gives 0.04
