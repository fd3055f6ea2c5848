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
from pathlib import Path

import pytest

from aswa.analyze import main as analyze
from aswa.results.folder import RunFolder

WORDS = ("-m", "dataset=umls", "model=distmult,complex", "seed=range(8)", "model.dim=16",
         "epochs=400", "lr=0.01", "checkpoint_seconds=0.5", "device=cpu")  # fmt: skip
SLURM = ("hydra/launcher=submitit_slurm", "hydra.launcher.cpus_per_task=1",
         "hydra.launcher.timeout_min=60", "hydra.launcher.mem_gb=1")  # fmt: skip


def slurm(*words: str) -> str:
    return subprocess.run(words, capture_output=True, text=True, timeout=60).stdout


@pytest.fixture(autouse=True)
def needs_slurm() -> None:
    if shutil.which("sinfo") is None or not slurm("sinfo", "--noheader").strip():
        pytest.skip("no SLURM answers here; scripts/slurm_single_node.sh start, as root, makes one")


def table(results: Path) -> bytes:
    assert analyze([str(results)]) == 0
    return (results / "analysis" / "results.csv").read_bytes()


def running() -> list[str]:
    return slurm("squeue", "--noheader", "--array", "--states=RUNNING", "--format=%i").split()


def disturb(numbers: random.Random, results: Path) -> str:
    """Do something to one of the running jobs, if there is one that computes a run."""
    jobs = running()
    owners = [owner for path in results.glob("runs/*/*/*") if (owner := RunFolder(path).owner())]
    if not jobs or not owners:
        return ""
    what = numbers.choice(["scancel", "kill -9", "requeue", "preempt"])
    job = numbers.choice(jobs)
    if what == "scancel":
        slurm("scancel", job)
    elif what == "kill -9":
        pid = numbers.choice(owners).get("pid")
        if pid:
            os.kill(pid, signal.SIGKILL)
    elif what == "requeue":
        slurm("scontrol", "requeue", job)
    else:  # what submitit asks SLURM to send before a job's time is over
        slurm("scancel", "--signal=USR2", job)
    return what


def test_a_disturbed_sweep_ends_in_the_table_of_an_undisturbed_one(tmp_path: Path) -> None:
    """16 runs: scancel, kill -9, requeue and preemption of their jobs, and the command again."""
    command = [sys.executable, "-m", "aswa.train", *WORDS]
    straight = subprocess.run([*command, f"results_dir={tmp_path / 'straight'}"],
                              capture_output=True, text=True)  # fmt: skip
    assert straight.returncode == 0, straight.stderr
    numbers = random.Random(0)
    done: list[str] = []
    for _ in range(10):
        process = subprocess.Popen(
            [*command, *SLURM, f"results_dir={tmp_path / 'slurm'}"],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        deadline = time.monotonic() + 300
        while process.poll() is None:
            assert time.monotonic() < deadline, slurm("squeue")
            time.sleep(1)
            if len(done) < 12:
                done += filter(None, [disturb(numbers, tmp_path / "slurm")])
        if process.returncode == 0:
            break
    assert process.returncode == 0, process.communicate()[0]
    assert {"scancel", "kill -9", "requeue", "preempt"} == set(done), done
    assert table(tmp_path / "slurm") == table(tmp_path / "straight")
    slurm("scancel", f"--user={os.environ.get('USER', 'root')}")
