"""One member a process: the members, the record and the checkpoint are those of one process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import distributed, multiprocessing, nn
from torch.optim import Adam

import small_cifar
from aswa.averaging.mixing import (
    Average,
    Independent,
    Mixing,
    Pairs,
    Processes,
    Pull,
    Shuffle,
    SparseAverage,
)
from aswa.config import ConfigError, load
from aswa.registry import AGGREGATES
from aswa.training.session import execute
from drifting_model import bits
from small_cifar import write

N = 3
STEPS = 4


def mixings() -> list[Mixing]:
    return [
        Independent(),
        Pull(0.7, every=2),
        Average(every=1),
        Average(every=2, reset=True),
        Pairs(every=1, seed=3),
        Shuffle(0.4, seed=4),
        Shuffle(1.0, moments=True),
        SparseAverage(0.4),
    ]


def member(number: int) -> nn.Module:
    torch.manual_seed(number)
    layers = nn.Conv2d(2, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(16, 3)
    return nn.Sequential(*layers).to(memory_format=torch.channels_last)  # type: ignore[call-overload]


def train(mixing: Mixing, numbers: list[int]) -> tuple[list[nn.Module], int]:
    """The members of these numbers after some mixed steps, and what they sent."""
    models = [member(number) for number in numbers]
    optimizers = [Adam(model.parameters(), lr=0.1) for model in models]
    moved = 0
    for step in range(STEPS):
        for model, optimizer, number in zip(models, optimizers, numbers, strict=True):
            generator = torch.Generator().manual_seed(10 * step + number)
            x = torch.randn(5, 2, 4, 4, generator=generator)
            optimizer.zero_grad()
            model(x).square().mean().backward()
            optimizer.step()
        moved += mixing.step(models, optimizers, 1.0)
        if step % 2:
            moved += mixing.epoch(models, optimizers, 1 + step // 2)
    return models, moved


def one_member(rank: int, folder: str) -> None:
    torch.set_num_threads(1)
    distributed.init_process_group(
        "gloo", init_method=f"file://{folder}/store", rank=rank, world_size=N
    )
    found = []
    for mixing in mixings():
        mixing.carrier = Processes()
        models, moved = train(mixing, [rank])
        everyone = mixing.carrier.modules(models)
        found.append((bits(models[0]), [bits(each) for each in everyone], moved))
    torch.save(found, f"{folder}/{rank}.pt")
    distributed.destroy_process_group()


@pytest.mark.slow
def test_every_operator_gives_the_members_of_one_process(tmp_path: Path) -> None:
    """To the last bit, three members: sums are in the order of the members on every process."""
    multiprocessing.spawn(one_member, (str(tmp_path),), nprocs=N)
    found = [torch.load(tmp_path / f"{rank}.pt", weights_only=False) for rank in range(N)]
    for number, mixing in enumerate(mixings()):
        models, moved = train(mixing, list(range(N)))
        expected = [bits(model) for model in models]
        assert [found[rank][number][0] for rank in range(N)] == expected, mixing
        assert all(found[rank][number][1] == expected for rank in range(N))
        assert sum(found[rank][number][2] for rank in range(N)) == moved


SMALL = ("dataset=umls", "model=complex", "model.dim=8", "model.input_dropout=0.2", "epochs=4",
         "batch_size=400", "lr=0.1", "device=cpu", "optimizer=paper", "population=wash_opt",
         "population.members=2", "population.p=0.2")  # fmt: skip
STOPPED = """
import os, signal, sys
from aswa.config import load
from aswa.training.preemption import Preemption
from aswa.training.session import execute

pauses = 0
def watched(self):
    global pauses
    pauses += 1
    if pauses == 20 and os.environ.get("RANK", "1") == "1":
        os.kill(os.getpid(), signal.SIGTERM)
    original(self)

original = Preemption.pause
Preemption.pause = watched
execute(load(sys.argv[1:]))
"""


def torchrun(processes: int, *what: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone",
               f"--nproc-per-node={processes}", *what]  # fmt: skip
    return subprocess.run(command, capture_output=True, text=True, timeout=300)


def found(words: list[str]) -> list[dict[str, Any]]:
    folder = load(words).folder
    return [json.loads((folder / f"{name}.json").read_text()) for name in ("result", "history")]


@pytest.mark.slow
def test_two_processes_are_the_run_of_one(tmp_path: Path) -> None:
    """To the last bit, also where a signal to one of the two ends both in the middle."""
    places = ("one", "two", "stopped", "begun")
    of = {word: [*SMALL, f"results_dir={tmp_path / word}"] for word in places}
    execute(load(of["one"]))
    done = torchrun(2, "-m", "aswa.train", *of["two"])
    assert done.returncode == 0, done.stderr
    (tmp_path / "stopped.py").write_text(STOPPED)
    assert torchrun(2, str(tmp_path / "stopped.py"), *of["stopped"]).returncode
    assert not (load(of["stopped"]).folder / "result.json").exists()
    execute(load(of["stopped"]))  # what two processes began, one ends
    alone = [sys.executable, str(tmp_path / "stopped.py"), *of["begun"]]
    assert subprocess.run(alone, capture_output=True, timeout=300).returncode
    assert not (load(of["begun"]).folder / "result.json").exists()
    done = torchrun(2, "-m", "aswa.train", *of["begun"])
    assert done.returncode == 0, done.stderr
    one, history = found(of["one"])
    for word, processes in (("two", 2), ("stopped", 1), ("begun", 2)):
        other, others = found(of[word])
        assert other["processes"] == processes
        for key in ("rows", "decisions", "members", "population"):
            assert other[key] == one[key], key
        for key in ("train_loss", "valid", "decisions", "scores"):
            assert others[key] == history[key], key


@pytest.mark.slow
def test_branches_part_in_two_processes_as_in_one(tmp_path: Path) -> None:
    """With recipes and batch-norm; in the common start both processes train the same model."""
    write(Path(os.environ.get("ASWA_DATA_DIR", ".")), tmp_path / "data")
    said = (
        "population=dart", "population.members=2", "population.start=1", "population.every=2",
        "+population.recipes=[{},{mixup:0.5}]", "epochs=3", "batch_size=200", "optimizer=aswa",
    )  # fmt: skip
    one, two = (
        small_cifar.words("wide_resnet10x1", tmp_path / "data", tmp_path / name, *said)
        for name in ("one", "two")
    )
    execute(load(one))
    done = torchrun(2, "-m", "aswa.train", *two)
    assert done.returncode == 0, done.stderr
    for result, other in zip(found(one), found(two), strict=True):
        for key in ("rows", "population", "decisions", "train_loss", "valid"):
            assert result.get(key) == other.get(key), key
    assert {row["optimizer"] for row in found(one)[0]["rows"]} == {"aswa", *AGGREGATES}


def test_processes_are_as_many_as_members(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from aswa.training import session

    monkeypatch.setattr(session.distributed, "world_size", lambda: 4)
    with pytest.raises(ConfigError, match="nproc-per-node=2"):
        session._check(load([*SMALL, f"results_dir={tmp_path}"]), torch.device("cpu"))
