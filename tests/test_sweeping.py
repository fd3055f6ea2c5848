"""Sweeps: planned once, frozen, shared, stopped by signals, and what their state looks like."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hydra import initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.types import RunMode
from omegaconf import open_dict

from aswa.analyze import main as analyze
from aswa.config import RunConfig, load
from aswa.files import conf_dir
from aswa.results.folder import RunFolder
from aswa.results.store import write_record
from aswa.status import main as status_main
from aswa.sweeping.plan import load_plan
from aswa.sweeping.plan_cache import PlanCache
from aswa.sweeping.status import (
    RunState,
    left_of,
    read_state,
    read_states,
    seconds_left,
    usual_seconds,
)
from aswa.sweeping.workers import workers_abreast
from aswa.training.session import execute
from small_sweep import SMALL, TRAIN, read, train


def table(results: Path) -> bytes:
    assert analyze([str(results)]) == 0
    return (results / "analysis" / "results.csv").read_bytes()


@pytest.fixture(scope="module")
def swept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Results of a small sweep that was not disturbed."""
    folder = tmp_path_factory.mktemp("swept")
    done = train("-m", *SMALL, "seed=range(4)", f"results_dir={folder}")
    assert done.returncode == 0, done.stderr
    return folder


def test_finished_runs_are_not_launched(swept: Path) -> None:
    done = train("-m", *SMALL, "seed=range(4)", f"results_dir={swept}")
    assert (done.returncode, done.stdout) == (0, "4 runs, 4 of them already done\n")


@pytest.mark.parametrize("recipe", [[], ["experiment=images_fair"], ["experiment=link_prediction"]])
def test_a_planned_configuration_is_hydras(recipe: list[str], tmp_path: Path) -> None:
    """Values set on a copy of the chosen files, or all composed by Hydra's loader: the same."""
    jobs = [
        [*recipe, *words]
        for words in (
            ["dataset=cifar100", "model=vgg16", "epochs=7", "seed=1", "lr=0.1"],
            ["dataset=cifar100", "model=vgg16", "epochs=7", "seed=2", "+dataset.sha256.x=1"],
            [
                "model=vgg16",
                "seed=2",
                "model.dropout=0.1",
                "tracker=wandb",
                "~tracker.wandb.project",
            ],
            ["seed=3", "optimizer=all", "optimizer.swa.start=null", "+planned='/a b'"],
            ["seed=4", "schedule=fair", "schedule.start=3", "data_dir=x"],
        )
    ]
    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        loader = GlobalHydra.instance().config_loader()
        master = loader.load_configuration("config", ["hydra.verbose=true"], RunMode.MULTIRUN)
        cache = PlanCache(master, loader, tmp_path)
        for words in jobs:
            expected = loader.load_sweep_config(master, words)
            with open_dict(expected):
                del expected["hydra"]
            assert cache._compose(words) == expected


@pytest.mark.slow
def test_misfits_are_left_out_and_said(tmp_path: Path) -> None:
    done = train("-m", "dataset=umls", "model=distmult,vgg16", "epochs=1", "lr=0.01",
                 "optimizer=sgd", f"results_dir={tmp_path}")  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "left out (1): model=vgg16 is for images" in done.stdout
    assert len(list(tmp_path.glob("runs/*/*/*/result.json"))) == 1
    wrong = train("-m", "dataset=umls", "model=vgg16", f"results_dir={tmp_path}")
    assert wrong.returncode == 2
    assert "models that fit it" in wrong.stderr


@pytest.mark.parametrize(
    "words",
    [
        ["-m", "seed=0,1", "batch_size=64,0"],
        ["-m", "model=complex,qmult", "model.dim=6"],  # not four equal parts
        pytest.param(["-m", "seed=0,1", "data_dir=/nowhere"], marks=pytest.mark.slow),
        pytest.param(["data_dir=/nowhere"], marks=pytest.mark.slow),
        ["dataset.sha256.train=abc"],  # seen when the file is read
    ],
)
def test_a_wrong_configuration_stops_before_anything_begins(
    words: list[str], tmp_path: Path
) -> None:
    """And leaves no folder of a run."""
    done = train(*SMALL, *words, f"results_dir={tmp_path}")
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert not list(tmp_path.glob("runs/*/*/*"))


@pytest.mark.slow
def test_a_folder_that_was_there_is_not_removed(tmp_path: Path) -> None:
    """A sweep may have planned the run, which a single command then finds wrong."""
    words = [*SMALL, "dataset.sha256.train=abc", f"results_dir={tmp_path}"]
    plan = load(words).folder / "plan.json"
    plan.parent.mkdir(parents=True)
    plan.write_text("{}")
    assert train(*words).returncode == 2
    assert plan.is_file()


@pytest.mark.slow
def test_two_sweeps_over_one_folder_share_the_work(swept: Path, tmp_path: Path) -> None:
    """Both end well, no run is computed twice, and the table is that of one sweep."""
    words = [*TRAIN, "-m", *SMALL, "seed=range(4)", f"results_dir={tmp_path}"]
    both = [subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
            for _ in range(2)]  # fmt: skip
    outs = [process.communicate(timeout=300) for process in both]
    assert [process.returncode for process in both] == [0, 0], outs
    computed = sum(out.count(" s)") for out, _ in outs)
    assert computed == 4, outs
    assert table(tmp_path) == table(swept)


@pytest.mark.slow
def test_another_sweeps_run_is_waited_for_at_the_end(tmp_path: Path) -> None:
    """A run that is locked is left for later, and the others go first."""
    held = load([*SMALL, "seed=0", f"results_dir={tmp_path}"])
    with RunFolder(held.folder).lock():
        words = [*TRAIN, "-m", *SMALL, "seed=range(3)", f"results_dir={tmp_path}"]
        process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
        deadline = time.monotonic() + 120
        while len(list(tmp_path.glob("runs/*/*/*/result.json"))) < 2:
            assert time.monotonic() < deadline
            time.sleep(0.1)
        assert process.poll() is None
        assert read_state(held.folder).state == "running"
    out, _ = process.communicate(timeout=120)
    assert process.returncode == 0
    assert "[3/3]" in out


@pytest.mark.slow
def test_a_queued_run_keeps_the_configuration_it_was_planned_with(tmp_path: Path) -> None:
    """conf/ is edited between planning and computing; the plan counts."""
    config = load([*SMALL, f"results_dir={tmp_path}"])
    train(*SMALL, f"results_dir={tmp_path}")
    plan = read(config.folder / "plan.json")
    assert {"composed", "config", "code", "overrides", "planned", "run_id"} <= plan.keys()
    assert plan["config"] == json.loads(json.dumps(config.resolved))
    (config.folder / "result.json").unlink()
    (config.folder / "status.json").unlink()
    again, notes = load_plan(config.folder)
    assert (again.run_id, notes) == (config.run_id, [])
    # The job is composed with other words than the plan's, as after an edit of conf/.
    done = train(*SMALL, "seed=7", "epochs=3", f"results_dir={tmp_path}",
                 f"+planned={config.folder}")  # fmt: skip
    assert done.returncode == 0, done.stderr
    record = read(config.folder / "result.json")
    assert (record["seed"], record["config"]["epochs"]) == (0, 20)


@pytest.mark.slow
def test_a_plan_that_means_another_run_is_refused(tmp_path: Path) -> None:
    config = load([*SMALL, f"results_dir={tmp_path}"])
    train(*SMALL, f"results_dir={tmp_path}")
    plan = read(config.folder / "plan.json")
    plan["composed"]["epochs"] = 19
    del plan["sha256"]
    (config.folder / "plan.json").write_text(json.dumps(plan))
    done = train(*SMALL, f"results_dir={tmp_path}", f"+planned={config.folder}")
    assert done.returncode == 2
    assert "changed while the run was queued; start the sweep again" in done.stderr


@pytest.mark.slow
def test_a_worker_that_is_killed_is_replaced(tmp_path: Path, swept: Path) -> None:
    """kill -9 of a worker of joblib; the sweep goes on by itself to the same table."""
    words = [*TRAIN, "-m", "hydra/launcher=joblib", *SMALL, "seed=range(4)",
             f"results_dir={tmp_path}"]  # fmt: skip
    process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    owner = None
    deadline = time.monotonic() + 120
    while not owner:
        assert time.monotonic() < deadline and process.poll() is None
        for path in tmp_path.glob("runs/*/*/*"):
            owner = owner or RunFolder(path).owner()
    os.kill(owner["pid"], signal.SIGKILL)
    _, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors
    assert table(tmp_path) == table(swept)


@pytest.mark.slow
def test_a_killed_launcher_leaves_nobody_behind(tmp_path: Path) -> None:
    """Its workers save their runs and go, also those that wait for work."""
    words = [*TRAIN, "-m", "hydra/launcher=joblib", *SMALL, "seed=range(4)", "epochs=100000",
             "hydra.launcher.n_jobs=2", f"results_dir={tmp_path}"]  # fmt: skip
    process = subprocess.Popen(words, start_new_session=True, stderr=subprocess.DEVNULL)

    def session() -> list[str]:
        found = subprocess.run(["pgrep", "-s", str(process.pid)], capture_output=True, text=True)
        return found.stdout.split()

    deadline = time.monotonic() + 120
    while sum(bool(s.note) for s in _states(tmp_path)) < 2:
        assert time.monotonic() < deadline and process.poll() is None
        time.sleep(0.2)
    time.sleep(2)
    process.kill()
    process.wait()
    while session():
        assert time.monotonic() < deadline, session()
        time.sleep(0.2)
    states = sorted(state.state for state in read_states(tmp_path))
    assert states == ["interrupted", "interrupted", "waiting", "waiting"]
    begun = [path for path in tmp_path.glob("runs/*/*/*/status.json")]
    assert all(read(path)["checkpoint"] for path in begun)


def _states(results: Path) -> list[RunState]:
    return read_states(results) if (results / "runs").is_dir() else []


@pytest.mark.slow
def test_status_tells_what_the_folders_say(
    swept: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert status_main([str(swept)]) == 0
    assert "umls × distmult" in capsys.readouterr().out
    assert status_main([str(tmp_path / "nowhere")]) == 2

    train(*SMALL, f"results_dir={tmp_path}")
    train(*SMALL, "lr=1e38", "base_optimizer=sgd", f"results_dir={tmp_path}")
    queued = load([*SMALL, "seed=5", f"results_dir={tmp_path}"]).folder
    queued.mkdir(parents=True)
    states = sorted(state.state for state in read_states(tmp_path))
    assert states == ["done", "failed", "waiting"]
    assert status_main([str(tmp_path)]) == 1
    out = capsys.readouterr().out
    assert "Diverged: the training loss became" in out
    assert status_main([str(tmp_path), "--failed"]) == 1
    failed = Path(capsys.readouterr().out.strip())
    assert read(failed / "status.json")["status"] == "failed"

    with RunFolder(queued).lock():  # and now somebody works there
        owner = {"host": "node7", "pid": 12, "slurm_job": "34"}
        write_record(queued / ".owner.json", owner)
        state = read_state(queued)
    assert (state.state, state.note) == ("running", "node7, process 12, job 34")

    (done,) = [state.path for state in read_states(tmp_path) if state.state == "done"]
    result = done / "result.json"
    result.write_bytes(result.read_bytes().replace(b'"value": 0.', b'"value": 1.', 1))
    damaged = read_state(done)
    assert (damaged.state, damaged.epochs) == ("interrupted", 20)
    assert "damaged" in damaged.note
    assert status_main([str(tmp_path)]) == 1
    assert str(done) in capsys.readouterr().out


def test_the_time_left_is_that_of_a_runs_own_pace_or_of_finished_ones() -> None:
    path = Path("runs/umls/keci")
    done = RunState(path / "a", "done", epochs=100, seconds=50.0)
    begun = RunState(path / "b", "running", epoch=25, epochs=100, seconds=30.0)
    fresh = RunState(path / "c", "running", epochs=100)
    usual = usual_seconds([done, begun, fresh])
    assert left_of(begun, usual) == (90.0, "its own pace")
    assert left_of(fresh, usual) == (50.0, "finished runs of this kind")
    other = RunState(Path("runs/umls/complex/d"), "waiting")
    assert left_of(other, usual) == (50.0, "other models' finished runs")
    larger = RunState(Path("runs/wn18rr/complex/e"), "waiting")
    assert left_of(larger, usual) == (None, "not known yet")
    assert seconds_left([done, begun, fresh]) == (90.0 + 50.0) / 2


def test_runs_abreast(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3,5")
    cores = len(os.sched_getaffinity(0))
    assert workers_abreast(1, "cuda") == 2
    assert workers_abreast(1, "cpu") == cores
    assert workers_abreast(2 * cores, "cpu") == 1


def test_each_worker_takes_a_gpu_of_its_own(tmp_path: Path) -> None:
    """Two at once get different ones; the GPU of one that died is free again."""
    code = "from aswa.sweeping.workers import take_gpu; print(take_gpu(), flush=True); input()"
    env = {**os.environ, "CUDA_VISIBLE_DEVICES": "3,5", "TMPDIR": str(tmp_path)}

    def worker() -> subprocess.Popen[str]:
        return subprocess.Popen([sys.executable, "-c", code], env=env, text=True,
                                stdin=subprocess.PIPE, stdout=subprocess.PIPE)  # fmt: skip

    def said(process: subprocess.Popen[str]) -> str:
        assert process.stdout is not None
        return process.stdout.readline().strip()

    first, second = worker(), worker()
    taken = {said(first), said(second)}
    assert taken == {"3", "5"}
    first.kill()
    first.wait()
    third = worker()
    free = said(third)
    for process in (second, third):
        process.kill()
        process.wait()
    assert free in taken


@pytest.mark.slow
def test_the_same_run_twice_in_a_sweep_is_one(tmp_path: Path) -> None:
    config: RunConfig = load([*SMALL, f"results_dir={tmp_path}"])
    done = train("-m", *SMALL, "seed=0", "lr=0.01,1e-2", f"results_dir={tmp_path}")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("1 run\n")
    assert (config.folder / "result.json").exists()


FALSE_CLOCK = """
import random, time
true, jumps = time.time, random.Random(0)
time.time = lambda: true() + jumps.choice([-1, 1]) * jumps.uniform(0, 3e7)
"""


@pytest.mark.slow
def test_a_clock_that_jumps_changes_nothing(swept: Path, tmp_path: Path) -> None:
    """By a year, at every look at it; files from the past and the future; a kill between."""
    (tmp_path / "sitecustomize.py").write_text(FALSE_CLOCK)
    path = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
    env = {**os.environ, "PYTHONPATH": path}
    shown = [sys.executable, "-c", "import time; print(abs(time.time() - time.clock_gettime(0)))"]
    assert float(subprocess.check_output(shown, env=env)) > 1000  # so that the test tests
    results = tmp_path / "results"
    words = ["-m", "hydra/launcher=joblib", *SMALL, "seed=range(4)", "checkpoint_seconds=0.01",
             f"results_dir={results}"]  # fmt: skip
    process = subprocess.Popen([*TRAIN, *words], env=env)
    deadline = time.monotonic() + 120
    while not list(results.glob("runs/*/*/*/checkpoint*")):
        assert time.monotonic() < deadline and process.poll() is None
    process.kill()
    process.wait()
    for i, file in enumerate(sorted(results.rglob("*"))):
        os.utime(file, (0, 0) if i % 2 else (4e9, 4e9))
    again = train(*words, PYTHONPATH=path)
    assert again.returncode == 0, again.stderr
    assert "-" not in "".join(re.findall(r"\[.*? left\]", again.stdout)), again.stdout
    assert table(results) == table(swept)


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system with room for 300 kB, which a checkpoint fills."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=300k", "tmpfs", str(folder)]
    if subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("mounting a tmpfs takes root")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.mark.root
def test_a_full_disk_is_said_and_loses_nothing(tiny_disk: Path, tmp_path: Path) -> None:
    """Then there is room, and the same command ends with the same rows."""
    words = [*SMALL, "model.dim=64", "checkpoint_seconds=0", f"results_dir={tiny_disk}"]
    full = train(*words)
    assert full.returncode == 1
    assert "No space left on device" in full.stderr
    assert "Traceback" not in full.stderr
    remount = ["mount", "-o", "remount,size=50m", str(tiny_disk)]
    subprocess.run(remount, check=True)
    assert train(*words).returncode == 0
    (record,) = tiny_disk.glob("runs/*/*/*/result.json")
    expected = execute(load([*words, f"results_dir={tmp_path / 'straight'}"]))
    assert read(record)["rows"] == expected["rows"]


def test_a_results_folder_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    """Root may write anywhere, so a file stands where the folder should be."""
    (tmp_path / "results").write_text("")
    for words in (["-m", "seed=0,1"], []):
        done = train(*words, *SMALL, f"results_dir={tmp_path / 'results'}")
        assert done.returncode == 1, done.stderr
        assert f"{tmp_path / 'results'}" in done.stderr
        assert "Traceback" not in done.stderr


@pytest.mark.slow
def test_a_diverging_run_is_not_tried_again_and_another_is(tmp_path: Path) -> None:
    done = train("-m", *SMALL, "base_optimizer=sgd", "lr=0.1,1e38", f"results_dir={tmp_path}")
    assert done.returncode == 1
    assert "1 of 2 runs failed" in done.stderr
    assert done.stderr.count("Diverged: the training loss became") == 1
