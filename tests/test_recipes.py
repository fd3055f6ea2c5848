"""Recipes of members: who gets which, what each does, and that an epoch resumes within them."""

from __future__ import annotations

import copy
import os
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from aswa.config import ConfigError, load
from aswa.data.recipes import Augmenting
from aswa.tasks.image_classification import ImageClassification, check_run
from aswa.tasks.task import Stage
from aswa.training.trajectory import Trajectory
from drifting_model import bits
from small_cifar import words, write

FOUR = "+population.recipes=[{},{cutout:8},{mixup:0.5,label_smoothing:0.1},{mixup:1,cutmix:1}]"


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("few")
    write(Path(os.environ.get("ASWA_DATA_DIR", ".")), folder)
    return folder


def batch(recipe: dict[str, Any]) -> tuple[Augmenting, torch.Tensor, torch.Tensor]:
    torch.manual_seed(3)
    augmenting = Augmenting(recipe, 10, 32)
    images = torch.ones(16, 3, 32, 32)
    return augmenting, *augmenting.of_inputs(images, torch.arange(16) % 10)


def test_an_empty_recipe_changes_and_draws_nothing() -> None:
    before = torch.get_rng_state()
    images = torch.zeros(4, 3, 32, 32)
    augmenting = Augmenting({}, 10, 32)
    inputs, labels = augmenting.of_inputs(images, torch.arange(4))
    assert inputs is images and augmenting.of_bytes(images) is images
    assert torch.equal(labels, torch.arange(4))
    assert torch.equal(torch.get_rng_state(), before)


def test_cutout_blanks_a_square_of_each_image() -> None:
    _, inputs, _ = batch({"cutout": 8})
    blank = inputs[:, 0] == 0
    assert blank.flatten(1).sum(1).tolist() == [64] * 16
    rows = blank.any(2).float().argmax(1)
    assert len(rows.unique()) > 1  # not one square for the whole batch


@pytest.mark.parametrize("name", ["mixup", "cutmix"])
def test_mixed_images_have_mixed_targets(name: str) -> None:
    augmenting, _, targets = batch({name: 1.0})
    assert augmenting.mixes and targets.shape == (16, 10)
    torch.testing.assert_close(targets.sum(1), torch.ones(16))
    assert ((targets > 0).sum(1) == 2).all()


def test_automatic_augmentation_is_drawn_for_each_image() -> None:
    torch.manual_seed(0)
    image = torch.randint(256, (1, 3, 32, 32), dtype=torch.uint8).expand(12, -1, -1, -1)
    found = Augmenting({"auto_augment": True}, 10, 32).of_bytes(image)
    assert found.dtype == torch.uint8 and len(found.flatten(1).unique(dim=0)) > 1


def test_members_take_recipes_in_turn(data_dir: Path, tmp_path: Path) -> None:
    config = load(words("wide_resnet10x1", data_dir, tmp_path, "population=papa", FOUR))
    work = Trajectory(config, ImageClassification(config, torch.device("cpu")))
    keys = [sorted(learner._stage(2)[0].recipe) for learner in work.learners]
    assert keys == [[], ["cutout"], ["label_smoothing", "mixup"], ["cutmix", "mixup"], []]
    assert work.learners[0]._stage(2)[0].progress == 0.5
    alone = Trajectory(load(words("wide_resnet10x1", data_dir, tmp_path, FOUR)), work.task)
    found = [sorted(alone.learners[0]._stage(epoch)[0].recipe) for epoch in range(5)]
    assert found == keys  # one model takes all of them, epoch by epoch


def test_a_recipe_changes_its_member_alone(data_dir: Path, tmp_path: Path) -> None:
    """The order of images and the crops stay; the batch's mean loss moves."""
    config = load(words("wide_resnet10x1", data_dir, tmp_path))
    task = ImageClassification(config, torch.device("cpu"))
    model = task.build_model(torch.Generator().manual_seed(0))

    def first(recipe: dict[str, Any]) -> float:
        torch.manual_seed(1)
        model.train()
        stage = Stage(recipe)
        return next(task.losses(model, torch.Generator().manual_seed(0), 0, stage))[0].item()

    assert first({}) == first({})
    assert len({first(recipe) for recipe in ({}, {"cutout": 16}, {"mixup": 1.0})}) == 3


@pytest.mark.slow
def test_a_population_of_recipes_resumes_after_any_batch(data_dir: Path, tmp_path: Path) -> None:
    said = ("population=dart", FOUR, "epochs=2", "population.every=1", "population.start=1",
            "batch_size=400", "optimizer=sgd")  # fmt: skip
    config = load(words("wide_resnet10x1", data_dir, tmp_path, *said))
    task = ImageClassification(config, torch.device("cpu"))
    states: list[Any] = []
    straight = Trajectory(config, task)

    def finish(work: Trajectory) -> Any:
        while not work.finished:
            work.advance()
        return work.losses, [bytes(p.detach().numpy().tobytes()) for p in work.model.parameters()]

    straight.pause = lambda: states.append(copy.deepcopy(straight.state_dict()))
    expected = finish(straight)
    other = Trajectory(config, task)
    torch.manual_seed(99)
    other.load_state_dict(states[0])
    assert finish(other) == expected


@pytest.mark.parametrize(
    ("override", "told"),
    [
        ("+population.recipes=[{mixap:1}]", "mixup"),
        ("+population.recipes=[{mixup:-1}]", "population.recipes.0.mixup"),
        ("+population.recipes=[{},{cutout:32}]", r"population.recipes.1.cutout=32: must be .*32"),
        ("+population.recipes=[]", "empty"),
        ("+population.recipes=[mixup]", "keys and values"),
    ],
)
def test_wrong_recipes_are_refused(override: str, told: str) -> None:
    said = ["dataset=cifar10", "model=preresnet11", "lr=0.1", override]
    with pytest.raises(ConfigError, match=told):
        load(said)
    with pytest.raises(ConfigError, match="this task has none"):
        load(["dataset=umls", "model=keci", "+population.recipes=[{}]"])


SECOND = "+population.recipes=[{},{mixup:1}]"


def test_mixed_images_do_not_fit_a_loss_of_one_class(data_dir: Path, tmp_path: Path) -> None:
    """Before the first batch, though the recipe is of the second epoch; so before a sweep."""
    config = load(words("wide_resnet10x1", data_dir, tmp_path, "+dataset.loss=ldam", SECOND))
    with pytest.raises(ConfigError, match="several classes"):
        check_run(config)
    task = ImageClassification(config, torch.device("cpu"))
    model = task.build_model(torch.Generator())
    with pytest.raises(ConfigError, match="several classes"):
        next(task.losses(model, torch.Generator()))


def test_torchvision_is_missed_before_training_and_not_needed_after(
    data_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = load(words("wide_resnet10x1", data_dir, tmp_path, SECOND))
    monkeypatch.setitem(sys.modules, "torchvision.transforms", None)
    with pytest.raises(ConfigError, match="mixup need torchvision"):
        check_run(config)
    task = ImageClassification(config, torch.device("cpu"))
    model = task.build_model(torch.Generator())
    with pytest.raises(ConfigError, match="mixup need torchvision"):
        next(task.losses(model, torch.Generator()))
    assert task.metrics([model], "valid")["accuracy"] >= 0


@pytest.mark.parametrize("population", ["papa", "dart"])
def test_a_population_resumes_after_its_last_epoch(
    population: str, data_dir: Path, tmp_path: Path
) -> None:
    """Its mean has the batch-norm statistics of the end of an epoch; in a common start its own."""
    said = (f"population={population}", "population.members=2", "epochs=2", "batch_size=400",
            "optimizer=sgd", *(["population.start=2"] if population == "dart" else []))  # fmt: skip
    config = load(words("wide_resnet10x1", data_dir, tmp_path, *said))
    task = ImageClassification(config, torch.device("cpu"))
    straight, resumed = Trajectory(config, task), Trajectory(config, task)
    while not straight.finished:
        straight.advance()
    resumed.load_state_dict(copy.deepcopy(straight.state_dict()))
    assert bits(resumed.model) == bits(straight.model)
    assert resumed.record()["rows"] == straight.record()["rows"]
