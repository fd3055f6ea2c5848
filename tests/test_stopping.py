"""Runs that a signal ends, between two batches or while scores are measured, and that go on."""

from __future__ import annotations

import random
import subprocess
import sys
import time
from pathlib import Path

import pytest

from aswa.config import load
from aswa.training.session import execute
from small_sweep import SMALL, read

STOPPED_RUN = """
import os, signal, sys
from aswa.config import load
from aswa.training.preemption import Preemption
from aswa.training.session import execute

pauses = 0
def watched(self):
    global pauses
    pauses += 1
    if pauses == int(sys.argv[1]):
        os.kill(os.getpid(), getattr(signal, sys.argv[2]))
    original(self)

original = Preemption.pause
Preemption.pause = watched
execute(load(sys.argv[3:]))
"""


@pytest.mark.parametrize("objective", ["kvsall", "1vsall", "negative_sampling"])
def test_a_run_stopped_between_any_two_batches_ends_the_same(
    objective: str, tmp_path: Path
) -> None:
    """SIGTERM, SIGUSR1, SIGKILL at seeded moments, with dropout; all rows and histories equal."""
    words = (*SMALL, f"model.objective={objective}", "model.hidden_dropout=0.2", "batch_size=256",
             "optimizer=all", "epochs=4")  # fmt: skip
    straight = load([*words, f"results_dir={tmp_path / 'straight'}"])
    expected = execute(straight)
    stopped = [*words, f"results_dir={tmp_path / 'stopped'}", "checkpoint_seconds=0"]
    moments = random.Random(objective)
    for name, code in (("SIGTERM", 143), ("SIGUSR1", 138), ("SIGKILL", -9)):
        command = [sys.executable, "-c", STOPPED_RUN, str(moments.randint(2, 12)), name, *stopped]
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == code, done.stderr
    said: list[str] = []
    record = execute(load(stopped), report=said.append)
    assert len(said) == 1 and said[0].startswith("going on after epoch"), said
    assert record["rows"] == expected["rows"]
    assert record["decisions"] == expected["decisions"]
    histories = [read(load([*w]).folder / "history.json") for w in (stopped, [
        *words, f"results_dir={tmp_path / 'straight'}"])]  # fmt: skip
    assert histories[0] == histories[1]


def test_a_signal_while_scores_are_measured_does_not_wait_for_them(tmp_path: Path) -> None:
    """The handler raises at once, in the middle of an evaluation, and the run is saved."""
    code = (
        "import os, signal, sys, time\n"
        "from aswa.config import load\n"
        "from aswa.tasks.link_prediction import LinkPrediction\n"
        "from aswa.training.session import execute\n"
        "def slow(self, model):\n"
        "    os.kill(os.getpid(), signal.SIGTERM)\n"
        "    time.sleep(60)\n"
        "    return 0.5\n"
        "LinkPrediction.score = slow\n"
        "execute(load(sys.argv[1:]))\n"
    )
    words = [*SMALL, f"results_dir={tmp_path}"]
    start = time.monotonic()
    done = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True)
    assert done.returncode == 143, done.stderr
    assert time.monotonic() - start < 40
    status = read(load(words).folder / "status.json")
    assert (status["status"], status["checkpoint"]["epoch"]) == ("interrupted", 0)
