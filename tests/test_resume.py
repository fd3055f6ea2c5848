"""Runs that were killed go on undisturbed; a checkpoint that cannot be used is kept."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from aswa.config import RunConfig, load
from aswa.training import checkpoint as checkpoint_module
from aswa.training.checkpoint import CannotResume, Checkpoints
from aswa.training.session import execute
from aswa.training.trajectory import Trajectory

SMALL = ("dataset=umls", "model=complex", "model.dim=16", "epochs=12", "lr=0.05", "optimizer=all")


def config(tmp_path: Path, *overrides: str) -> RunConfig:
    return load([*SMALL, f"results_dir={tmp_path}", "checkpoint_seconds=0", *overrides])


def read(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text())


@pytest.fixture(scope="module")
def straight(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The record of the run that nothing happened to."""
    return execute(config(tmp_path_factory.mktemp("straight")))


KILLED_RUN = """
import os, signal, sys
from aswa.config import load
from aswa.training.session import execute

def die(work):
    if work.epoch == 8:
        os.kill(os.getpid(), signal.SIGKILL)

execute(load(sys.argv[1:]), on_epoch=die)
"""


@pytest.mark.slow
def test_killed_and_continued_is_undisturbed(tmp_path: Path) -> None:
    """kill -9 in epoch 8, with dropout; every row and decision as without."""
    extra = ("model.hidden_dropout=0.1",)
    undisturbed = execute(config(tmp_path / "straight", *extra))
    words = [*SMALL, *extra, f"results_dir={tmp_path / 'killed'}", "checkpoint_seconds=0"]
    assert subprocess.run([sys.executable, "-c", KILLED_RUN, *words]).returncode == -9
    said: list[str] = []
    run = config(tmp_path / "killed", *extra)
    record = execute(run, report=said.append)
    assert said == ["going on after epoch 7 of 12, in the middle of the next"]
    assert record["run_id"] == undisturbed["run_id"]
    assert record["rows"] == undisturbed["rows"]
    assert record["decisions"] == undisturbed["decisions"]
    where = run.folder.relative_to(run.results_dir) / "history.json"
    histories = [read(tmp_path / name / where) for name in ("straight", "killed")]
    assert histories[0] == histories[1]
    assert not list(run.folder.glob("checkpoint-*"))


@pytest.fixture
def stopped(tmp_path: Path) -> RunConfig:
    """A run that Ctrl-C stopped after epoch 5."""
    run = config(tmp_path)

    def ctrl_c(work: Trajectory) -> None:
        if work.epoch == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        execute(run, on_epoch=ctrl_c)
    assert read(run.folder / "status.json")["status"] == "interrupted"
    return run


def the_checkpoint(run: RunConfig) -> Path:
    (path,) = run.folder.glob("checkpoint-*.pt")
    return path


def refused(run: RunConfig) -> str:
    """The run is not continued, and its checkpoint stays unchanged and stays named."""
    path = the_checkpoint(run)
    before = path.read_bytes()
    with pytest.raises(CannotResume) as caught:
        execute(run, on_epoch=lambda _: pytest.fail("it went on"))
    assert path.read_bytes() == before
    status = read(run.folder / "status.json")
    assert (status["status"], status["checkpoint"]["file"]) == ("failed", path.name)
    return str(caught.value)


def flip(content: bytes) -> bytes:
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]


@pytest.mark.parametrize("damage", [lambda c: c[: len(c) // 2], flip, lambda _: b""])
def test_a_damaged_checkpoint_is_kept_until_told_otherwise(
    damage: Callable[[bytes], bytes], stopped: RunConfig, straight: dict[str, Any], tmp_path: Path
) -> None:
    """Also `resume=force` refuses; `resume=restart` puts the file aside and begins anew."""
    path = the_checkpoint(stopped)
    path.write_bytes(damage(path.read_bytes()))
    damaged = path.read_bytes()
    for how in ("auto", "force"):
        assert "resume=restart" in refused(config(tmp_path, f"resume={how}"))
    record = execute(config(tmp_path, "resume=restart"))
    assert record["rows"] == straight["rows"]
    assert [p.read_bytes() for p in stopped.folder.glob("checkpoint-*")] == [damaged]
    assert Path(f"{path}.kept").is_file()


def test_another_torch_is_refused_unless_forced(
    stopped: RunConfig, straight: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usual = checkpoint_module.versions()
    monkeypatch.setattr(checkpoint_module, "versions", lambda: {**usual, "torch": "9.9"})
    said = refused(stopped)
    assert usual["torch"] in said and "9.9" in said and "resume=force" in said
    with monkeypatch.context() as patch:  # what cannot change a number
        patch.setattr(checkpoint_module, "versions", lambda: {**usual, "hydra-core": "9", "x": "1"})
        patch.setattr(Trajectory, "advance", lambda _: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            execute(stopped)
    record = execute(config(tmp_path, "resume=force"))
    assert record["rows"] == straight["rows"]


def test_out_of_memory_on_resume_loses_nothing(
    stopped: RunConfig, straight: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """While the file is read, and while the state is put in place; then the same command again."""
    for owner, name in ((torch, "load"), (Trajectory, "load_state_dict")):
        with monkeypatch.context() as patch:

            def no_memory(*_: Any, **__: Any) -> None:
                raise torch.OutOfMemoryError("CUDA out of memory")

            patch.setattr(owner, name, no_memory)
            assert "CUDA out of memory" in refused(stopped)
    said: list[str] = []
    assert execute(stopped, report=said.append)["rows"] == straight["rows"]
    assert said[0].startswith("going on after epoch 4 of 12")


def test_a_state_of_other_code_is_kept(stopped: RunConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    """A key that is not known, or one that is not there."""
    original = Trajectory.load_state_dict
    for change in (lambda s: s["learners"][0]["model"].update(new=torch.ones(1)),
                   lambda s: s["riders"].pop("ema")):  # fmt: skip

        def changed(self: Trajectory, state: dict[str, Any], change: Any = change) -> None:
            change(state)
            original(self, state)

        monkeypatch.setattr(Trajectory, "load_state_dict", changed)
        refused(stopped)


def test_a_missing_checkpoint_is_reported_and_the_run_begins_anew(
    stopped: RunConfig, straight: dict[str, Any]
) -> None:
    path = the_checkpoint(stopped)
    path.unlink()
    said: list[str] = []
    assert execute(stopped, report=said.append)["rows"] == straight["rows"]
    assert len(said) == 1 and path.name in said[0]


def test_where_the_status_is_lost_the_newest_file_is_resumed(
    stopped: RunConfig, straight: dict[str, Any]
) -> None:
    (stopped.folder / "status.json").write_bytes(b"{")
    said: list[str] = []
    assert execute(stopped, report=said.append)["rows"] == straight["rows"]
    assert said[-1].startswith("going on after epoch 4 of 12")


def test_a_run_restarts_once(stopped: RunConfig, straight: dict[str, Any], tmp_path: Path) -> None:
    """The command with resume=restart, stopped and given again, goes on: a requeued job ends."""
    first = the_checkpoint(stopped)
    again = config(tmp_path, "resume=restart")
    assert again.run_id == stopped.run_id

    def ctrl_c(work: Trajectory) -> None:
        if work.epoch == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        execute(again, on_epoch=ctrl_c)
    said: list[str] = []
    assert execute(again, report=said.append)["rows"] == straight["rows"]
    assert said[0].startswith("going on after epoch 2 of 12")
    assert [p.name for p in again.folder.glob("checkpoint-*")] == [f"{first.name}.kept"]


def test_a_checkpoint_is_replaced_only_by_one_that_is_written(
    stopped: RunConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The disk is full when the next one is due: the run fails, the last checkpoint is there."""
    path = the_checkpoint(stopped)

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Checkpoints, "_write", full)
    with pytest.raises(OSError, match="No space"):
        execute(stopped)
    assert the_checkpoint(stopped) == path
    assert read(stopped.folder / "status.json")["checkpoint"]["file"] == path.name
