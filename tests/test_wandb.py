"""The mirror in Weights & Biases, offline: complete, continued under one id, never in the way."""

from __future__ import annotations

import json
import os
import struct
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from aswa.config import load
from small_sweep import SMALL, read, train


def test_offline_wandb_run_is_complete_and_readable(tmp_path: Path) -> None:
    done = train(
        "dataset=umls", "model=keci", "model.dim=8", "epochs=5", "lr=0.01", "tracker=wandb",
        f"results_dir={tmp_path}", WANDB_MODE="offline",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    (result,) = tmp_path.glob("runs/*/*/*/result.json")
    record = json.loads(result.read_text())
    history, summary, config = read_offline_run(tmp_path)
    assert [entry["epoch"] for entry in history] == [1, 2, 3, 4, 5]
    assert {"train/loss", "valid/sgd", "valid/aswa", "decision/aswa"} <= set(history[-1])
    assert summary["decisions/aswa/hard"] == record["decisions"]["aswa"]["hard"]
    for row in record["rows"]:
        assert summary[f"{row['split']}/{row['metric']}/{row['optimizer']}"] == row["value"]
    assert config["model"]["dim"] == 8


@pytest.mark.slow
def test_a_run_that_goes_on_is_the_same_wandb_run(tmp_path: Path) -> None:
    """SIGTERM after epoch 7 of 20, and the same command: one id, each epoch once, one summary."""
    code = (
        "import os, signal, sys\n"
        "from aswa.config import load\n"
        "from aswa.training.session import execute\n"
        "def on_epoch(trajectory):\n"
        "    if trajectory.epoch == 7:\n"
        "        os.kill(os.getpid(), signal.SIGTERM)\n"
        "execute(load(sys.argv[1:]), on_epoch=on_epoch)\n"
    )
    words = [*SMALL, "tracker=wandb", f"results_dir={tmp_path}"]
    env = {**os.environ, "WANDB_MODE": "offline"}
    stopped = subprocess.run([sys.executable, "-c", code, *words], env=env, timeout=120)
    assert stopped.returncode == 143
    assert train(*words, WANDB_MODE="offline").returncode == 0
    config = load(words)
    assert len(list(tmp_path.glob(f"wandb/offline-run-*-{config.run_id}"))) == 2
    history, summary, _ = read_offline_run(tmp_path)
    assert [entry["epoch"] for entry in history] == list(range(1, 21))
    record = read(config.folder / "result.json")
    assert summary["decisions/aswa/hard"] == record["decisions"]["aswa"]["hard"]


def read_offline_run(results: Path) -> tuple[list[dict], dict, dict]:
    """History, summary and config that `wandb sync` would send, of the offline runs of one id."""
    from wandb.proto import wandb_internal_pb2

    history: list[dict] = []
    summary: dict = {}
    config: dict = {}
    paths = sorted(results.glob("wandb/offline-run-*/run-*.wandb"))
    assert len({path.name for path in paths}) == 1, paths
    for data in (data for path in paths for data in log_records(path.read_bytes())):
        record = wandb_internal_pb2.Record()
        record.ParseFromString(data)

        def items(updates) -> dict:  # type: ignore[no-untyped-def]
            return {i.key or ".".join(i.nested_key): json.loads(i.value_json) for i in updates}

        if record.HasField("history"):
            history.append(items(record.history.item))
        summary |= items(record.summary.update)
        config |= items(record.run.config.update)
    return history, summary, config


def log_records(content: bytes) -> Iterator[bytes]:
    """Records of a LevelDB log, which a .wandb file is, after 7 bytes of W&B's own.

    Blocks of 32 KiB; a piece is checksum (4), length (2), kind (1: whole, 2: first, 3: middle,
    4: last), data; no piece starts in the last 6 bytes of a block.
    """
    block, at, pieces = 32768, 7, b""
    while at + 7 <= len(content):
        if block - at % block < 7:
            at += block - at % block
            continue
        length, kind = struct.unpack_from("<HB", content, at + 4)
        pieces += content[at + 7 : at + 7 + length]
        at += 7 + length
        if kind in (1, 4):
            yield pieces
            pieces = b""


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


def test_no_tracker_imports_no_wandb(tmp_path: Path) -> None:
    words = ["epochs=1", "model.dim=8", "tracker=none", f"results_dir={tmp_path}"]
    code = (
        "import sys; from aswa.config import load; from aswa.training.session import execute;"
        f"execute(load({words})); sys.exit('wandb' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


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
