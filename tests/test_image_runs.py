"""Runs on real images: they learn, they resume, averaging stays apart, batch-norm is right."""

from __future__ import annotations

import copy
import hashlib
import json
import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from aswa.averaging import recompute_batch_norm
from aswa.config import ConfigError, RunConfig, load
from aswa.tasks.image_classification import ImageClassification
from aswa.tasks.image_inputs import generator_of
from aswa.training.session import execute
from aswa.training.trajectory import Diverged, Trajectory
from small_cifar import words, write

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def images(data_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder with 1,000 training and 200 test images of CIFAR-10."""
    folder = tmp_path_factory.mktemp("images")
    write(data_dir, folder)
    return folder


def read(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text())


def rows(record: dict[str, Any], optimizer: str) -> list[dict[str, Any]]:
    return [row for row in record["rows"] if row["optimizer"] == optimizer]


def start(config: RunConfig) -> Trajectory:
    return Trajectory(config, ImageClassification(config, CPU))


@pytest.mark.slow
@pytest.mark.parametrize("model", ["preresnet110", "wide_resnet28x10"])
def test_networks_learn_and_all_methods_give_rows(model: str, images: Path, tmp_path: Path) -> None:
    """800 images, 4 epochs: the loss falls, and validation is above 20 %; guessing has 10 %."""
    config = load(words(model, images, tmp_path, "optimizer=all", "threads=1"))
    record = execute(config)
    losses = read(config.folder / "history.json")["train_loss"]
    assert losses[-1] < losses[0] - 0.1
    assert losses[-1] < math.log(10)
    by_method = {row["optimizer"] for row in record["rows"]}
    assert by_method == {"sgd", "swa", "ema", "early_stopping", "aswa"}
    valid = {(r["optimizer"], r["metric"]): r["value"] for r in record["rows"]
             if r["split"] == "valid"}  # fmt: skip
    assert valid["early_stopping", "accuracy"] > 0.2
    assert valid["aswa", "accuracy"] >= valid["early_stopping", "accuracy"]
    assert sum(record["decisions"]["aswa"].values()) == 4


@pytest.mark.slow
@pytest.mark.parametrize("model", ["vgg16", "vgg16_bn"])
def test_vgg_learns(model: str, images: Path, tmp_path: Path) -> None:
    """200 images, 3 epochs at a small rate: the loss falls."""
    wanted = ("optimizer=sgd", "lr=0.03", "model.dropout=0", "epochs=3", "schedule=constant")
    few = ("dataset.train_size=200", "dataset.valid_ratio=0.02", "batch_size=25")
    trajectory = start(load(words(model, images, tmp_path, *wanted, *few)))
    while not trajectory.finished:
        trajectory.advance()
    losses = trajectory.history["train_loss"]
    assert losses[-1] < losses[0] - 0.01


@pytest.mark.slow
def test_a_method_alone_gives_the_rows_that_it_gives_in_company(
    images: Path, tmp_path: Path
) -> None:
    """With batch-norm, whose statistics are recomputed for some and not for others."""
    model = "wide_resnet28x10"
    together = execute(load(words(model, images, tmp_path, "optimizer=released")))
    for method in ("swa", "ema", "aswa", "aswa_released"):
        alone = execute(load(words(model, images, tmp_path, f"optimizer={method}")))
        assert rows(alone, method) == rows(together, method)


@pytest.mark.slow
def test_the_trajectory_does_not_know_who_watches(images: Path, tmp_path: Path) -> None:
    """Weights and batch-norm statistics of the running model, with dropout drawing numbers."""
    hashes = set()
    for optimizer in ("sgd", "all"):
        wanted = (f"optimizer={optimizer}", "model.dropout=0.1", "epochs=2")
        trajectory = start(load(words("wide_resnet28x10", images, tmp_path, *wanted)))
        while not trajectory.finished:
            trajectory.advance()
        state = [t.numpy().tobytes() for t in trajectory.model.state_dict().values()]
        hashes.add(hashlib.sha256(b"".join(state)).hexdigest())
    assert len(hashes) == 1


KILLED_RUN = """
import os, signal, sys
from aswa.config import load
from aswa.training.session import execute

def die(trajectory):
    if trajectory.epoch == 3:
        os.kill(os.getpid(), signal.SIGKILL)

execute(load(sys.argv[1:]), on_epoch=die)
"""


@pytest.mark.slow
def test_killed_and_continued_is_undisturbed(images: Path, tmp_path: Path) -> None:
    """kill -9 in epoch 3; every row and every score as without, to the last bit."""
    few = ("dataset.train_size=300", "dataset.test_size=100")
    extra = ("optimizer=all", "model.dropout=0.1", "checkpoint_seconds=0", *few)
    straight = load(words("wide_resnet28x10", images, tmp_path / "straight", *extra))
    killed = words("wide_resnet28x10", images, tmp_path / "killed", *extra)
    process = subprocess.run([sys.executable, "-c", KILLED_RUN, *killed])
    assert process.returncode == -9
    said: list[str] = []
    record = execute(load(killed), report=said.append)
    assert said == ["going on after epoch 2 of 4, in the middle of the next"]
    assert record["rows"] == execute(straight)["rows"]
    histories = [read(c.folder / "history.json") for c in (straight, load(killed))]
    assert histories[0] == histories[1]


@pytest.mark.slow
def test_statistics_of_averaged_weights_are_those_of_a_brute_force(
    images: Path, tmp_path: Path
) -> None:
    """For each batch torch's own statistics of that batch alone, then their mean by hand."""
    wanted = ("optimizer=swa", "optimizer.swa.start=1", "model.batch_norm_batches=3")
    trajectory = start(load(words("preresnet110", images, tmp_path, *wanted)))
    while not trajectory.finished:
        trajectory.advance()
    (module,) = trajectory.riders["swa"].averager.members()
    batches = list(trajectory.task.batch_norm_batches or [])
    assert [len(batch) for batch in batches] == [50, 50, 50]
    by_batch = []
    for batch in batches:
        alone = copy.deepcopy(module).train()
        layers = [m for m in alone.modules() if isinstance(m, nn.BatchNorm2d)]
        for layer in layers:
            layer.momentum = 1.0
        with torch.no_grad():
            alone(batch)
        by_batch.append([(m.running_mean, m.running_var) for m in layers])
    own = [m for m in module.modules() if isinstance(m, nn.BatchNorm2d)]
    for i, layer in enumerate(own):
        for which, found in enumerate((layer.running_mean, layer.running_var)):
            expected = torch.stack([batch[i][which] for batch in by_batch]).mean(0)
            torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-6)
    before = [m.running_var.clone() for m in own]
    recompute_batch_norm(module, batches)
    assert all(torch.equal(a, m.running_var) for a, m in zip(before, own, strict=True))


def torchrun(processes: int, *overrides: str) -> None:
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone",
               f"--nproc-per-node={processes}", "-m", "aswa.train", *overrides]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("test accuracy") == 1, done.stdout  # the first process speaks


@pytest.mark.slow
def test_two_processes_do_what_one_does(images: Path, tmp_path: Path) -> None:
    """Losses to 1e-3; odd batches are shared unevenly."""
    few = ("dataset.train_size=153", "dataset.test_size=100", "dataset.valid_ratio=0.1")
    extra = ("optimizer=all", "epochs=2", "lr=0.005", "batch_size=51", "model.dropout=0", *few)
    words_of = {n: words("vgg11_small", images, tmp_path / str(n), *extra) for n in (1, 2)}
    one = execute(load(words_of[1]))
    torchrun(2, *words_of[2])
    config = load(words_of[2])
    two = read(config.folder / "result.json")
    assert (one["processes"], two["processes"]) == (1, 2)
    history = [read(load(words_of[n]).folder / "history.json") for n in (1, 2)]
    assert history[0]["train_loss"] == pytest.approx(history[1]["train_loss"], abs=1e-3)
    for a, b in zip(one["rows"], two["rows"], strict=True):
        # Two of 100 images may change their class, and with it their place in bins and in ranks.
        tolerance = {"loss": 2e-3, "accuracy": 0.021}.get(a["metric"], 0.05)
        assert a["value"] == pytest.approx(b["value"], abs=tolerance), (a, b)


STOPPED_PROCESS = """
import os, signal, sys
from aswa.config import load
from aswa.training.preemption import Preemption
from aswa.training.session import execute

pauses = 0
def watched(self):
    global pauses
    pauses += 1
    if pauses == 30 and os.environ["RANK"] == "1":
        os.kill(os.getpid(), signal.SIGTERM)
    original(self)

original = Preemption.pause
Preemption.pause = watched
execute(load(sys.argv[1:]))
"""


@pytest.mark.slow
def test_two_processes_stop_together_and_go_on(images: Path, tmp_path: Path) -> None:
    """One gets a signal in the middle of an epoch; resumed, all is as without, to the last bit."""
    few = ("dataset.train_size=200", "dataset.test_size=100", "dataset.valid_ratio=0.1")
    extra = ("optimizer=all", "epochs=3", "batch_size=10", *few)
    words_of = {
        name: words("vgg11_small", images, tmp_path / name, *extra)
        for name in ("straight", "stopped")
    }
    torchrun(2, *words_of["straight"])
    (tmp_path / "stopped.py").write_text(STOPPED_PROCESS)
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone",
               "--nproc-per-node=2", str(tmp_path / "stopped.py"),
               *words_of["stopped"]]  # fmt: skip
    assert subprocess.run(command, capture_output=True, text=True, timeout=300).returncode
    folder = load(words_of["stopped"]).folder
    status = read(folder / "status.json")
    assert (status["status"], status["checkpoint"]["epoch"]) == ("interrupted", 1)
    state = torch.load(folder / status["checkpoint"]["file"], weights_only=True)
    assert 0 < state["learners"][0]["batches"] < 16
    torchrun(2, *words_of["stopped"])
    for name in ("history.json", "result.json"):
        straight, stopped = (read(load(words_of[w]).folder / name) for w in words_of)
        for key in ("rows", "train_loss", "valid", "decisions"):
            assert straight.get(key) == stopped.get(key)


@pytest.mark.slow
def test_nan_ends_a_run_with_its_last_good_checkpoint(images: Path, tmp_path: Path) -> None:
    """Status failed, the checkpoint of epoch 2 still named and whole, no result."""
    config = load(words("preresnet110", images, tmp_path, "checkpoint_seconds=0"))

    def poison(trajectory: Trajectory) -> None:
        if trajectory.epoch == 3:
            next(trajectory.model.parameters()).data.fill_(math.nan)

    with pytest.raises(Diverged, match="the training loss became nan in epoch 4; a smaller lr"):
        execute(config, on_epoch=poison)
    status = read(config.folder / "status.json")
    assert status["status"] == "failed"
    assert "Diverged" in status["traceback"]
    state = torch.load(config.folder / status["checkpoint"]["file"], weights_only=True)
    assert state["epoch"] == 2
    assert all(torch.isfinite(t).all() for t in state["learners"][0]["model"].values())
    assert not (config.folder / "result.json").exists()


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("precision=fp16", "precision=fp16: for GPUs only"),
        ("dataset.train_size=900", "train_size=900: only 800 of 1,000 images are left"),
        ("model.depth=12", r"model.depth=12: must be 9n \+ 2"),
    ],
)
def test_what_cannot_run_is_said(override: str, message: str, images: Path, tmp_path: Path) -> None:
    config = load(words("preresnet110", images, tmp_path, override))
    with pytest.raises(ConfigError, match=message):
        execute(config)


def test_wrong_classes_and_cut_files_are_said(images: Path, tmp_path: Path) -> None:
    """The run fails, and its status says what is wrong with which file."""
    folder = tmp_path / "data" / "cifar10"
    folder.mkdir(parents=True)
    for path in (images / "cifar10").iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    (folder / "data_batch_2.bin").write_bytes(b"x" * 5000)
    config = load(words("preresnet110", tmp_path / "data", tmp_path))
    with pytest.raises(ValueError, match=r"data_batch_2\.bin: damaged"):
        execute(config)
    assert "data_batch_2.bin: damaged" in read(config.folder / "status.json")["traceback"]
    with pytest.raises(ConfigError, match="no CIFAR-100 in it"):
        execute(load(words("preresnet110", images, tmp_path, "dataset.classes=100")))


AUGMENTED = ("dataset.augment_validation=true", "dataset.train_size=100")


def test_augmented_validation_follows_from_seed_and_weights(images: Path, tmp_path: Path) -> None:
    """Equal weights get equal scores, whatever torch drew; others get other crops."""
    zero, one = (
        ImageClassification(load(words("preresnet11", images, tmp_path, *AUGMENTED, seed)), CPU)
        for seed in ("seed=0", "seed=1")
    )
    model = zero.build_model(torch.Generator().manual_seed(0))
    recompute_batch_norm(model, zero.batch_norm_batches or [])
    planes = copy.deepcopy(model).to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
    state = torch.get_rng_state()
    first = zero.score(model)
    assert torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(int(state[0]) + 1)
    assert zero.score(model) == first
    drawn = [generator_of(each, "").initial_seed() for each in (model, planes)]
    assert drawn[0] == drawn[1]
    scores = set()
    for _ in range(8):
        with torch.no_grad():  # so little that unaugmented images would score alike
            next(model.parameters())[0, 0, 0, 0] += 1e-6
        scores |= {zero.score(model), one.score(model)}
    assert len(scores) > 2


def test_a_population_resumes_with_augmented_validation(images: Path, tmp_path: Path) -> None:
    """Between an epoch's training and its scores; another learner's numbers are torch's then."""
    said = ("population=papa", "population.members=2", "epochs=1", "batch_size=10")
    straight = start(load(words("wide_resnet10x1", images, tmp_path, *AUGMENTED, *said)))
    states: list[dict[str, Any]] = []
    straight.pause = lambda: states.append(copy.deepcopy(straight.state_dict()))
    straight.advance()
    trained = next(state for state in states if state["progress"]["updated"] == 1)
    trained["progress"]["score"] = None  # measured anew
    resumed = start(straight.config)
    resumed.load_state_dict(trained)
    resumed.advance()
    assert resumed.history["valid"] == straight.history["valid"]


@pytest.mark.slow
def test_batch_norm_over_processes_takes_gpus(images: Path, tmp_path: Path) -> None:
    """torch synchronises batch-norm on GPUs alone; on CPUs such a run is refused."""
    wanted = words("preresnet110", images, tmp_path, "optimizer=sgd")
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone",
               "--nproc-per-node=2", "-m", "aswa.train", *wanted]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode != 0
    assert "exitcode  : 2" in done.stderr
    assert "batch-norm" in done.stderr


def test_the_layout_of_convolutions_changes_only_rounding(images: Path, tmp_path: Path) -> None:
    """Channels-last or planes: the same logits."""
    logits = []
    for layout in (True, False):
        task = ImageClassification(
            load(words("vgg16", images, tmp_path, f"model.channels_last={layout}")), CPU
        )
        model = task.build_model(torch.Generator().manual_seed(0)).eval()
        inputs = task._input(task._splits["valid"][0][:8])
        assert inputs.is_contiguous(memory_format=torch.channels_last) == layout
        with torch.no_grad():
            logits.append(model(inputs))
    torch.testing.assert_close(*logits, rtol=1e-4, atol=1e-5)
