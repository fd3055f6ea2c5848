"""`aswa-train` as a user runs it: sweeps, kills, trackers."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import time
from pathlib import Path

import pytest

from aswa.analyze import main as analyze
from small_sweep import TRAIN, train

SWEEP = (
    "-m",
    "hydra/launcher=joblib",
    "dataset=umls",
    "model=distmult,complex",
    "seed=range(2)",
    "model.dim=16",
    "epochs=150",
    "lr=0.01",
    "checkpoint_seconds=0.2",
)


def table(results: Path) -> bytes:
    assert analyze([str(results)]) == 0
    return (results / "analysis" / "results.csv").read_bytes()


@pytest.mark.slow
def test_a_sweep_killed_at_random_moments_ends_in_the_same_table(tmp_path: Path) -> None:
    """kill -9 of the launcher; its workers die with it, nothing is lost, doubled or different."""
    straight = train(*SWEEP, f"results_dir={tmp_path / 'straight'}")
    assert straight.returncode == 0, straight.stderr
    assert "[4/4]" in straight.stdout
    moments = random.Random(0)
    words = [*TRAIN, *SWEEP, f"results_dir={tmp_path / 'killed'}"]
    for _ in range(3):
        process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(moments.uniform(4.0, 9.0))
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert train(*words[len(TRAIN) :]).returncode == 0
    assert table(tmp_path / "killed") == table(tmp_path / "straight")
    again = train(*words[len(TRAIN) :])
    assert again.stdout == "4 runs, 4 of them already done\n"


@pytest.mark.slow
def test_one_failing_run_neither_stops_nor_hides_the_others(tmp_path: Path) -> None:
    done = train(
        "-m", "dataset=umls", "model=distmult", "model.dim=8", "epochs=2", "base_optimizer=sgd",
        "lr=0.1,1e38,0.2", "optimizer=sgd", f"results_dir={tmp_path}",
    )  # fmt: skip
    assert done.returncode == 1
    assert "Diverged: the training loss became" in done.stderr
    states = [json.loads(p.read_text())["status"] for p in tmp_path.glob("runs/*/*/*/status.json")]
    assert sorted(states) == ["done", "done", "failed"]
