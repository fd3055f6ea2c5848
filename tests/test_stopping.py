"""Runs that a signal ends, between two batches or while scores are measured, and that go on."""

from __future__ import annotations

import io
import random
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from aswa.config import load
from aswa.tasks.link_prediction import LinkPrediction
from aswa.training.session import execute
from aswa.training.trajectory import Trajectory
from small_sweep import SMALL, read

RUN = (*SMALL, "model.hidden_dropout=0.2", "batch_size=256", "optimizer=all", "epochs=4")


class Stopped(BaseException):
    """As a signal ends a run at a pause."""


@pytest.mark.parametrize("objective", ["kvsall", "1vsall", "negative_sampling"])
def test_a_run_stopped_between_any_two_batches_ends_the_same(objective: str) -> None:
    """At seeded moments, with dropout; the trajectory is saved and built anew. All rows equal."""
    config = load([*RUN, f"model.objective={objective}"])
    task = LinkPrediction(config, torch.device("cpu"))
    straight = Trajectory(config, task)
    while not straight.finished:
        straight.advance()
    moments = random.Random(objective)
    stopped, stops = Trajectory(config, task), 0
    while not stopped.finished:
        left = moments.randint(2, 12)

        def pause() -> None:
            nonlocal left
            left -= 1
            if left == 0:
                raise Stopped

        stopped.pause = pause
        try:
            stopped.advance()
        except Stopped:
            stops += 1
            buffer = io.BytesIO()
            torch.save(stopped.state_dict(), buffer)
            buffer.seek(0)
            stopped = Trajectory(config, task)
            torch.manual_seed(stops)  # another process has drawn other numbers
            stopped.load_state_dict(torch.load(buffer, weights_only=True))
    assert stops >= 3
    expected, found = straight.record(), stopped.record()
    assert found["rows"] == expected["rows"]
    assert found["decisions"] == expected["decisions"]
    assert stopped.history["train_loss"] == straight.history["train_loss"]
    assert stopped.history["valid"] == straight.history["valid"]


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


@pytest.mark.slow
def test_signals_save_a_run_and_end_it(tmp_path: Path) -> None:
    """SIGTERM within the first epoch, SIGUSR1 two pauses later: saved each time, then finished."""
    expected = execute(load([*RUN, f"results_dir={tmp_path / 'straight'}"]))
    stopped = [*RUN, f"results_dir={tmp_path / 'stopped'}"]
    for pauses, name, code in (("3", "SIGTERM", 143), ("2", "SIGUSR1", 138)):
        command = [sys.executable, "-c", STOPPED_RUN, pauses, name, *stopped]
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == code, done.stderr
        assert read(load(stopped).folder / "status.json")["status"] == "interrupted"
    said: list[str] = []
    record = execute(load(stopped), report=said.append)
    assert len(said) == 1 and said[0].startswith("going on after epoch 0"), said
    assert record["rows"] == expected["rows"]
    assert record["decisions"] == expected["decisions"]


@pytest.mark.slow
def test_a_signal_while_scores_are_measured_does_not_wait_for_them(tmp_path: Path) -> None:
    """The handler raises at once, in the middle of an evaluation, and the run is saved."""
    code = (
        "import os, pathlib, signal, sys, time\n"
        "from aswa.config import load\n"
        "from aswa.tasks.link_prediction import LinkPrediction\n"
        "from aswa.training.session import execute\n"
        "def slow(self, model):\n"
        "    os.kill(os.getpid(), signal.SIGTERM)\n"
        "    time.sleep(10)\n"
        "    pathlib.Path(sys.argv[1]).touch()\n"
        "    return 0.5\n"
        "LinkPrediction.score = slow\n"
        "execute(load(sys.argv[2:]))\n"
    )
    words, waited = [*SMALL, f"results_dir={tmp_path}"], tmp_path / "waited"
    done = subprocess.run(
        [sys.executable, "-c", code, str(waited), *words], capture_output=True, text=True
    )
    assert done.returncode == 143, done.stderr
    assert not waited.exists()
    status = read(load(words).folder / "status.json")
    assert (status["status"], status["checkpoint"]["epoch"]) == ("interrupted", 0)
