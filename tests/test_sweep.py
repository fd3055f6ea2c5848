"""`aswa-train` as a user runs it: sweeps, kills, trackers."""

from __future__ import annotations

import json
import random
import signal
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

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


def test_one_failing_run_neither_stops_nor_hides_the_others(tmp_path: Path) -> None:
    done = train(
        "-m", "dataset=umls", "model=distmult", "model.dim=8", "epochs=2", "base_optimizer=sgd",
        "lr=0.1,1e38,0.2", "optimizer=sgd", f"results_dir={tmp_path}",
    )  # fmt: skip
    assert done.returncode == 1
    assert "Diverged: the training loss became" in done.stderr
    states = [json.loads(p.read_text())["status"] for p in tmp_path.glob("runs/*/*/*/status.json")]
    assert sorted(states) == ["done", "done", "failed"]


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
    assert {"train/loss", "valid/sgd", "valid/aswa", "decision"} <= set(history[-1])
    assert summary["decisions/hard"] == record["decisions"]["hard"]
    for row in record["rows"]:
        assert summary[f"{row['split']}/{row['metric']}/{row['optimizer']}"] == row["value"]
    assert config["model"]["dim"] == 8


def read_offline_run(results: Path) -> tuple[list[dict], dict, dict]:
    """History, summary and config of the only offline W&B run: what `wandb sync` would send."""
    from wandb.proto import wandb_internal_pb2

    (path,) = results.glob("wandb/offline-run-*/run-*.wandb")
    history: list[dict] = []
    summary: dict = {}
    config: dict = {}
    for data in log_records(path.read_bytes()):
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
        "import sys; from aswa.config import load; from aswa.training.run import execute;"
        f"execute(load({words})); sys.exit('wandb' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
