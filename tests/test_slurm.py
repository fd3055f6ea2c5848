"""A sweep through a real SLURM, disturbed in every way that SLURM has.

Skipped where there is none; `sudo scripts/slurm_single_node.sh start` makes one on a Debian
machine.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import small_cifar
from aswa.analyze import main as analyze
from aswa.config import load
from aswa.results.folder import RunFolder
from small_sweep import read

WORDS = ("-m", "dataset=umls", "model=distmult,complex", "seed=range(3)", "model.dim=16",
         "epochs=1000", "lr=0.01", "checkpoint_seconds=0.5", "device=cpu")  # fmt: skip
SLURM = ("hydra/launcher=submitit_slurm", "hydra.launcher.cpus_per_task=1",
         "hydra.launcher.timeout_min=60", "hydra.launcher.mem_gb=1")  # fmt: skip


pytestmark = pytest.mark.slurm


def slurm(*words: str) -> str:
    return subprocess.run(words, capture_output=True, text=True, timeout=60).stdout


@pytest.fixture(autouse=True)
def needs_slurm() -> Iterator[None]:
    if shutil.which("sinfo") is None or not slurm("sinfo", "--noheader").strip():
        pytest.skip("no SLURM answers here; scripts/slurm_single_node.sh start, as root, makes one")
    yield
    slurm("scancel", "--me")


def table(results: Path) -> bytes:
    assert analyze([str(results)]) == 0
    return (results / "analysis" / "results.csv").read_bytes()


WAYS = ("preempt", "kill -9", "scancel", "requeue")


def disturb(way: str, numbers: random.Random, results: Path) -> bool:
    """Do something to one of the running jobs, if there is one that computes a run."""
    owners = [owner for path in results.glob("runs/*/*/*") if (owner := RunFolder(path).owner())]
    owner = numbers.choice(owners) if owners else {}
    if "slurm_job" not in owner:
        return False
    job = owner["slurm_job"]
    if way == "kill -9":
        os.kill(owner["pid"], signal.SIGKILL)
    else:
        command = {
            "scancel": ["scancel", job],
            "requeue": ["scontrol", "requeue", job],
            "preempt": ["scancel", "--signal=USR2", job],  # as before a job's time is over
        }
        subprocess.Popen(command[way])  # scancel waits for as long as the job is being requeued
    return True


def test_a_disturbed_sweep_ends_in_the_table_of_an_undisturbed_one(tmp_path: Path) -> None:
    """6 runs: scancel, kill -9, requeue and preemption of their jobs, and the command again."""
    command = [sys.executable, "-m", "aswa.train", *WORDS]
    straight = subprocess.run([*command, f"results_dir={tmp_path / 'straight'}"],
                              capture_output=True, text=True)  # fmt: skip
    assert straight.returncode == 0, straight.stderr
    numbers = random.Random(0)
    ways = list(WAYS)
    for _ in range(10):
        process = subprocess.Popen(
            [*command, *SLURM, f"results_dir={tmp_path / 'slurm'}"],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        deadline = time.monotonic() + 600
        while process.poll() is None:
            assert time.monotonic() < deadline, slurm("squeue")
            time.sleep(0.3)
            if ways and disturb(ways[0], numbers, tmp_path / "slurm"):
                ways.pop(0)
                time.sleep(2)
        if process.returncode == 0:
            break
    assert process.returncode == 0, process.communicate()[0]
    assert not ways, "it was over before it was disturbed enough"
    assert table(tmp_path / "slurm") == table(tmp_path / "straight")


SCRIPT = Path(__file__).parents[1] / "scripts" / "slurm_torchrun.sh"


def test_a_job_of_torchrun_is_saved_requeued_and_goes_on(data_dir: Path, tmp_path: Path) -> None:
    """The signal before the limit; two processes save, the job comes again, no epoch is lost."""
    small_cifar.write(data_dir, tmp_path / "data")
    few = ("dataset.train_size=60", "dataset.test_size=50", "dataset.valid_ratio=0.1")
    small = ("epochs=12", "batch_size=20", *few)  # without batch-norm, as processes on CPUs need
    words = small_cifar.words("vgg11_small", tmp_path / "data", tmp_path, *small)
    folder = RunFolder(load(words).folder)
    environment = {
        **os.environ,
        "ASWA_PROCESSES": "2",
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
    }
    job = subprocess.run(
        ["sbatch", "--parsable", "--cpus-per-task=2", f"--output={tmp_path / 'job.log'}",
         str(SCRIPT), *words],
        env=environment, capture_output=True, text=True, check=True,
    ).stdout.strip()  # fmt: skip
    deadline = time.monotonic() + 300

    def wait_for(what: str) -> None:
        while (status := folder.status().get("status")) != what:
            late = time.monotonic() > deadline or status == "failed"
            assert not late, (tmp_path / "job.log").read_text()
            time.sleep(0.2)

    wait_for("running")
    time.sleep(3)
    slurm("scancel", "--signal=USR1", "--batch", job)
    wait_for("interrupted")
    wait_for("done")
    said = (tmp_path / "job.log").read_text()
    assert said.count("going on after epoch") == 1, said
    assert "Restarts=1" in slurm("scontrol", "show", "job", job)
    history = read(folder.path / "history.json")
    assert len(history["train_loss"]) == 12
    assert read(folder.path / "result.json")["processes"] == 2
