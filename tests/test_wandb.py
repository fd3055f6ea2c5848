"""The mirror in Weights & Biases, offline: complete, continued under one id, never in the way."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from aswa.config import load
from small_sweep import SMALL, read, train
from trackers_read import read_offline_run


@pytest.mark.slow
def test_offline_wandb_run_is_complete_and_readable(tmp_path: Path) -> None:
    """History and final values have one set of names, decisions their words; no warning."""
    done = train(
        "dataset=umls", "model=keci", "model.dim=8", "epochs=5", "lr=0.01", "tracker=wandb",
        "tracker.wandb.tags=[a,umls]", "tracker.wandb.group=mine", "tracker.wandb.notes=why",
        "save_weights=true", "tracker.wandb.weights=true",
        f"results_dir={tmp_path}", WANDB_MODE="offline", PYTHONWARNINGS="always",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    (folder,) = tmp_path.glob("wandb/offline-run-*")
    assert f"wandb: offline; send it by `wandb sync {folder}`" in done.stderr
    assert not re.search("deprecat|warning", done.stderr, re.I)
    (path,) = tmp_path.glob("runs/*/*/*/result.json")
    record, epochs = read(path), read(path.with_name("history.json"))
    found = read_offline_run(tmp_path)
    assert [entry["epoch"] for entry in found.history] == [1, 2, 3, 4, 5]
    assert [entry["aswa/decision"] for entry in found.history] == epochs["decisions"]["aswa"]
    assert [entry["valid/mrr/aswa"] for entry in found.history] == epochs["valid"]["aswa"]
    names = {"loss", "lr", "epoch_seconds", "aswa/v", "aswa/v_lookahead", "aswa/v_best",
             "aswa/members", "aswa/decision", "valid/mrr/sgd", "valid/mrr/aswa"}  # fmt: skip
    assert names <= set(found.history[-1])
    for name in names:
        assert found.metrics[name].step == "epoch"
    assert found.metrics["loss"].best == "min"
    assert {found.metrics[n].best for n in ("aswa/v_best", "valid/mrr/aswa")} == {"max"}
    assert found.metrics["lr"].best is None
    assert found.summary["aswa/hard"] == record["decisions"]["aswa"]["hard"]
    assert found.summary["loss"] == {"min": min(epochs["train_loss"])}
    for row in record["rows"]:
        name = f"{row['split']}/{row['metric']}/{row['optimizer']}"
        assert found.summary[name] == row["value"], name
    assert found.config["model"]["dim"] == 8
    assert (found.run.run_group, found.run.notes) == ("mine", "why")
    assert list(found.run.tags) == ["umls", "knowledge_graph", "keci", "all", "a"]
    assert found.run.display_name == "umls keci all model.dim=8 epochs=5 lr=0.01 seed 0"
    assert found.artifacts == {f"weights-{record['run_id']}": {f"{m}.pt" for m in epochs["valid"]}}


@pytest.mark.slow
@pytest.mark.parametrize("number", ["SIGTERM", "SIGKILL"])
def test_a_run_that_goes_on_is_the_same_wandb_run(tmp_path: Path, number: str) -> None:
    """A signal after epoch 7 of 20, and the same command: one id, each epoch once, one summary.

    At SIGKILL the checkpoint is that of epoch 6, and W&B may have epoch 7 or lack the last ones.
    """
    code = (
        "import os, signal, sys\n"
        "from aswa.config import load\n"
        "from aswa.training.session import execute\n"
        "def on_epoch(trajectory):\n"
        "    if trajectory.epoch == 7:\n"
        f"        os.kill(os.getpid(), signal.{number})\n"
        "execute(load(sys.argv[1:]), on_epoch=on_epoch)\n"
    )
    words = [*SMALL, "tracker=wandb", "checkpoint_seconds=0", f"results_dir={tmp_path}"]
    env = {**os.environ, "WANDB_MODE": "offline"}
    stopped = subprocess.run([sys.executable, "-c", code, *words], env=env, timeout=120)
    assert stopped.returncode in (143, -signal.SIGKILL)
    assert train(*words, WANDB_MODE="offline").returncode == 0
    config = load(words)
    assert len(list(tmp_path.glob(f"wandb/offline-run-*-{config.run_id}"))) == 1
    found = read_offline_run(tmp_path)
    assert [entry["epoch"] for entry in found.history] == list(range(1, 21))
    losses = read(config.folder / "history.json")["train_loss"]
    assert [entry["loss"] for entry in found.history] == losses
    assert all(entry["epoch_seconds"] > 0 for entry in found.history)
    record = read(config.folder / "result.json")
    assert found.summary["aswa/hard"] == record["decisions"]["aswa"]["hard"]


@pytest.mark.slow
def test_a_wandb_failure_never_fails_a_run(tmp_path: Path) -> None:
    broken = "def __getattr__(name):\n    raise OSError('no such service')\n"
    (tmp_path / "wandb.py").write_text(broken)
    done = train(
        "dataset=umls", "model=distmult", "model.dim=8", "epochs=2", "tracker=wandb",
        f"results_dir={tmp_path}", PYTHONPATH=str(tmp_path),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "the run goes on without it" in done.stderr
    assert len(list(tmp_path.glob("runs/*/*/*/result.json"))) == 1


@pytest.mark.slow
def test_a_killed_wandb_does_not_kill_a_run(tmp_path: Path) -> None:
    """Its service dies in the middle; the run ends as it would have."""
    code = (
        "import os, signal, subprocess, sys\n"
        "from aswa.config import load\n"
        "from aswa.training.session import execute\n"
        "def on_epoch(trajectory):\n"
        "    if trajectory.epoch == 5:\n"
        "        found = subprocess.run(['pgrep', '-P', str(os.getpid()), 'wandb'],\n"
        "                               capture_output=True, text=True).stdout.split()\n"
        "        assert found\n"
        "        for pid in found:\n"
        "            os.kill(int(pid), signal.SIGKILL)\n"
        "execute(load(sys.argv[1:]), on_epoch=on_epoch)\n"
    )
    words = [*SMALL, "tracker=wandb", f"results_dir={tmp_path}"]
    env = {**os.environ, "WANDB_MODE": "offline"}
    command = [sys.executable, "-c", code, *words]
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert read(load(words).folder / "status.json")["status"] == "done"
