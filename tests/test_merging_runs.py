"""Runs of kind `sparse`: rows, records, resuming, several processes, and their analysis."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

pytest.importorskip("sklearn")

from aswa.analysis.declaration import load_declaration
from aswa.analysis.study import analyse
from aswa.config import ConfigError, RunConfig, load
from aswa.merging.local_solver import Solver
from aswa.merging.task import SparseClassification
from aswa.training.session import execute
from small_sweep import read

SMALL = ("dataset=hashed_text", "dataset.generated_rows=400", "dataset.features=500",
         "dataset.parts=4", "model=l1_logistic", "device=cpu")  # fmt: skip


def config(folder: Path, *words: str) -> RunConfig:
    return load([*SMALL, "optimizer=merges_released", f"results_dir={folder}", *words])


def rows(record: dict[str, Any]) -> dict[tuple[str, str, str], float]:
    return {(r["optimizer"], r["split"], r["metric"]): r["value"] for r in record["rows"]}


def test_a_record_has_every_metric_and_all_that_was_sent(tmp_path: Path) -> None:
    record = execute(config(tmp_path))
    found = rows(record)
    assert record["status"] == "done" and len(record["methods"]) == 13
    assert {metric for _, _, metric in found} == record["metrics"].keys()
    assert all(said["higher_is_better"] is not None for said in record["metrics"].values())
    assert found["full_solve", "train", "objective_gap"] == 0
    assert found["full_solve", "train", "support_f1"] == 1
    assert found["one_part", "train", "bytes"] == 0
    assert found["acowa", "train", "bytes_round_0"] > 0 == found["owa", "train", "bytes_round_0"]
    for name, merging in record["merging"].items():
        sent = sum(entry["sparse"] for entry in merging["ledger"])
        assert sent == found[name, "train", "bytes"]
        assert 0 <= merging["critical_path"] <= merging["work"]
    solved = read(config(tmp_path).folder / "history.json")
    assert len(solved["epoch"]) == len(solved["kkt"]) == len(solved["part"])
    assert sum(stage == "first" for stage in solved["stage"]) == 4


def test_rows_of_score_zero_are_counted_and_count_one_half(tmp_path: Path) -> None:
    """Of one feature: rows without it tie at 0, which is class 1 for accuracy."""
    task = SparseClassification(config(tmp_path), torch.device("cpu"))
    X, y = task._splits["test"]
    w = np.zeros(X.shape[1])
    counts = np.bincount(X.indices, minlength=X.shape[1])
    w[int(np.argmin(np.abs(counts - X.shape[0] / 2)))] = 1.0
    scores, found = X @ w, task.metrics([w], "test")
    one, other = scores[y == 1][:, None], scores[y == -1]
    assert 0 < found["zero_scores"] == np.mean(scores == 0) < 1
    assert found["auc"] == pytest.approx(np.mean((one > other) + 0.5 * (one == other)))
    assert found["accuracy"] == np.mean(y == 1)


@pytest.mark.parametrize("name", ["owa", "acowa", "csl", "acowa_released"])
def test_a_methods_rows_are_the_same_alone(name: str, tmp_path: Path) -> None:
    together = rows(execute(config(tmp_path)))
    alone = rows(execute(config(tmp_path, f"optimizer={name}")))
    assert alone == {key: value for key, value in together.items() if key[0] == name}


def test_a_run_that_was_stopped_goes_on_and_makes_no_solve_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    straight = execute(config(tmp_path / "straight"))
    solves: list[int] = []
    solve = Solver.solve

    def counted(self: Solver, *given: Any, **more: Any) -> Any:
        solves.append(1)
        return solve(self, *given, **more)

    monkeypatch.setattr(Solver, "solve", counted)
    execute(config(tmp_path / "counted"))
    whole = len(solves)
    solves.clear()
    words = (tmp_path / "stopped", "checkpoint_seconds=0")

    def stop_at(epoch: int) -> Any:
        def stop(work: Any) -> None:
            if work.epoch == epoch:
                raise KeyboardInterrupt

        return stop

    for epoch in (7, 23):
        with pytest.raises(KeyboardInterrupt):
            execute(config(*words), on_epoch=stop_at(epoch))
    resumed = execute(config(*words))
    assert rows(resumed) == rows(straight)
    assert resumed["merging"]["acowa"]["ledger"] == straight["merging"]["acowa"]["ledger"]
    assert len(solves) == whole


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("dataset.parts=401", "more parts than rows"),
        ("optimizer=csl optimizer.csl.proximal=0", "the subproblem has no minimum"),
    ],
)
def test_what_cannot_be_computed_is_said(word: str, said: str, tmp_path: Path) -> None:
    with pytest.raises((ConfigError, ValueError), match=said):
        execute(config(tmp_path, *word.split()))


def test_an_l1_that_leaves_nothing_is_a_collapsed_run_with_a_note(tmp_path: Path) -> None:
    told: list[str] = []
    record = execute(config(tmp_path, "optimizer=[owa,acowa]", "model.l1_share=3"), told.append)
    assert record["status"] == "collapsed"
    assert sum("no weight is left" in line for line in told) == 1  # both methods say it
    for merging in record["merging"].values():
        assert any("no weight is left" in note for note in merging["notes"])
    assert rows(record)["owa", "test", "auc"] == 0.5


def test_parts_of_one_class_are_noted(tmp_path: Path) -> None:
    words = ("dataset.partitioning=label_skew", "dataset.similarity=0")
    told: list[str] = []
    record = execute(config(tmp_path, *words), told.append)
    assert sum("one class" in line for line in told) == 1
    assert all(
        any("one class" in note for note in merging["notes"])
        for merging in record["merging"].values()
    )


def test_the_declared_analysis_compares_at_equal_nonzeros(tmp_path: Path) -> None:
    """Units are parts × partitioning; the area is over the range that methods share."""
    for share in (0.5, 0.2, 0.05, 0.01):
        for parts in (2, 8):
            words = (f"model.l1_share={share}", f"dataset.parts={parts}")
            execute(config(tmp_path, "dataset.generated_rows=1600", *words))
    study = analyse(tmp_path, load_declaration("one_shot"), figures=False).studies
    assert [each.regime for each in study] == ["path", "few_parts"]
    tests = study[0].significance
    assert (tests["n"] == 2).all() and len(tests[tests["metric"] == "auc"]) == 6
    assert "parts=2, partitioning=iid" in study[0].note


@pytest.mark.slow
def test_two_processes_compute_the_run_of_one(tmp_path: Path) -> None:
    """To the last bit; 5 parts on 2 processes."""
    one = execute(config(tmp_path / "1", "dataset.parts=5"))
    two = config(tmp_path / "2", "dataset.parts=5")
    words = [*SMALL, "optimizer=merges_released", f"results_dir={tmp_path / '2'}"]
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone",
               "--nproc-per-node=2", "-m", "aswa.train", *words, "dataset.parts=5"]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    found = read(two.folder / "result.json")
    assert found["processes"] == 2 and rows(found) == rows(one)
    for name, merging in found["merging"].items():
        assert merging["ledger"] == one["merging"][name]["ledger"]
