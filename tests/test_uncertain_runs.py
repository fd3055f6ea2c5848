"""Runs with SWAG on real images: rows of samples and of the mean, other images, diagrams."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from hydra import compose, initialize_config_dir

import aswa
from aswa.config import ConfigError, load
from aswa.files import conf_dir
from aswa.sweeping.plan import write_plan
from aswa.tasks.image_classification import ImageClassification
from aswa.tasks.probabilistic import mean_prediction
from aswa.training.session import execute
from aswa.training.trajectory import Trajectory
from drifting_model import bits
from small_cifar import words, write

CPU = torch.device("cpu")
# The images themselves, from the folder of the test: what is inside is out of distribution too.
SAME = "dataset.ood={name: cifar10, folder: cifar10, classes: 10, sha256: null}"


@pytest.fixture(scope="module")
def images(data_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder with 1,000 training and 200 test images of CIFAR-10."""
    folder = tmp_path_factory.mktemp("images")
    write(data_dir, folder)
    return folder


def small(images: Path, results: Path, *overrides: str) -> list[str]:
    few = ("dataset.train_size=100", "dataset.test_size=100", "dataset.valid_ratio=0.1", "lr=0.02",
           "epochs=3", "model.batch_norm_batches=1", "optimizer=[swa,aswa,swag,swag_aswa]",
           "optimizer.swa.start=1", "optimizer.swag.start=1", "optimizer.swag.n_samples=3",
           "optimizer.swag_aswa.n_samples=3")  # fmt: skip
    return words("wide_resnet10x1", images, results, *few, *overrides)


def values(record: dict[str, Any], method: str, split: str = "test") -> dict[str, float]:
    found = (r for r in record["rows"] if (r["optimizer"], r["split"]) == (method, split))
    return {row["metric"]: row["value"] for row in found}


@pytest.fixture(scope="module")
def run(images: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    told = small(images, tmp_path_factory.mktemp("run"), SAME, "save_weights=true")
    config = load(told)
    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        write_plan(compose("config", overrides=told), config, told)
    return config.folder, execute(config)


@pytest.mark.slow
def test_a_run_has_rows_of_the_samples_and_of_the_mean(run: tuple[Path, dict[str, Any]]) -> None:
    """The mean's are SWA's and ASWA's own, with the same start; the samples' are others."""
    _, record = run
    for name, mean in (("swag", "swa"), ("swag_aswa", "aswa")):
        for split in ("train", "valid", "test"):
            assert values(record, f"{name}_mean", split) == values(record, mean, split)
    assert values(record, "swag")["loss"] != values(record, "swag_mean")["loss"]
    assert not values(record, "swag", "train")
    labels = {name: said["label"] for name, said in record["methods"].items()}
    assert labels["swag_mean"] == "SWAG (mean)"
    options = record["setting"]["methods"]
    assert options["swag_mean"] == options["swag"] != {}
    assert record["members"]["swag"] == 2


@pytest.mark.slow
def test_images_of_the_same_dataset_are_not_told_apart(run: tuple[Path, dict[str, Any]]) -> None:
    found = values(run[1], "swag")
    assert found["ood_entropy"] == found["ood_information"] == 0.5
    assert "ood_information" not in values(run[1], "swa")  # one model agrees with itself
    assert "ood_entropy" not in values(run[1], "swag", "valid")


@pytest.mark.slow
def test_a_record_has_diagrams_that_add_up_to_its_metrics(run: tuple[Path, dict[str, Any]]) -> None:
    record = run[1]
    assert record["diagrams"].keys() == {row["optimizer"] for row in record["rows"]}
    for method, curves in record["diagrams"].items():
        found, bins = values(record, method), curves["reliability"]
        assert sum(bins["number"]) == 100
        assert sum(bins["correct"]) / 100 == pytest.approx(found["accuracy"])
        gaps = zip(bins["correct"], bins["confidence"], strict=True)
        assert sum(abs(a - b) for a, b in gaps) / 100 == pytest.approx(found["ece"])
        assert curves["risk_coverage"]["risk"][-1] == pytest.approx(1 - found["accuracy"])


@pytest.mark.slow
def test_saved_samples_give_the_rows_again(run: tuple[Path, dict[str, Any]]) -> None:
    """And predict together: NLL of the mean prediction is at most the members' mean (Jensen)."""
    folder, record = run
    loaded = aswa.load(folder, "swag")
    assert len(loaded.members) == 3
    again = loaded.task.metrics(loaded.members, "test")
    assert again == values(record, "swag")
    alone = [loaded.task.metrics([member], "test")["loss"] for member in loaded.members]
    assert again["loss"] < sum(alone) / 3
    turned = loaded.task.metrics(list(reversed(loaded.members)), "test")
    assert turned["loss"] == pytest.approx(again["loss"], rel=1e-6)
    copies = loaded.task.metrics([loaded.members[0]] * 4, "test")
    assert copies["loss"] == pytest.approx(alone[0], rel=1e-6)
    assert len(aswa.load(folder, "swag_mean").members) == 1


@pytest.mark.slow
def test_a_method_alone_gives_the_rows_that_it_gives_in_company(
    run: tuple[Path, dict[str, Any]], images: Path, tmp_path: Path
) -> None:
    taken = [w for w in small(images, tmp_path, SAME) if not w.startswith("optimizer")]
    alone = execute(load([*taken, "optimizer=swag", "optimizer.swag.start=1",
                          "optimizer.swag.n_samples=3"]))  # fmt: skip
    for name in ("swag", "swag_mean"):
        assert values(alone, name) == values(run[1], name)


@pytest.mark.slow
def test_a_resumed_run_draws_the_same_networks(images: Path, tmp_path: Path) -> None:
    config = load(small(images, tmp_path))
    straight = Trajectory(config, ImageClassification(config, CPU))
    stopped = Trajectory(config, ImageClassification(config, CPU))
    for epoch in range(config.epochs):
        straight.advance()
        if epoch == 1:
            state = stopped.state_dict()
            stopped = Trajectory(config, ImageClassification(config, CPU))
            stopped.load_state_dict(state)
        stopped.advance()
    drawn = [t.riders["swag"].averager.posterior(seed=0) for t in (straight, stopped)]
    for a, b in zip(*drawn, strict=True):
        assert bits(a) == bits(b)


def test_the_mean_prediction_of_a_batch_is_that_of_the_task(images: Path, tmp_path: Path) -> None:
    """Batches of evaluation are only a matter of memory."""
    task = ImageClassification(load(small(images, tmp_path)), CPU)
    members = [task.build_model(torch.Generator().manual_seed(i)).eval() for i in range(3)]
    pictures = task._splits["test"][0]
    with torch.no_grad():
        whole = mean_prediction([member(task._input(pictures)) for member in members])
    found, information, by_logits = task._predict(members, pictures)
    torch.testing.assert_close(found, whole, rtol=1e-4, atol=1e-5)
    assert by_logits.shape == (len(pictures),)
    assert 0 <= float(information.min()) <= float(information.max()) <= math.log(3)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("dataset.ood=cifar11", "dataset.ood=cifar11: .*'cifar1"),
        ("dataset.ood=umls", "dataset.ood=umls"),
        ("optimizer.swag.rank=1", "optimizer.swag.rank=1: must be at least 2"),
        ("optimizer.swag.unit=batch", "optimizer.swag.unit=batch"),
        ("optimizer.swag={unit: step, start: null}", "with unit=step give it in steps"),
    ],
)
def test_what_cannot_be_is_said(override: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load(["dataset=cifar10", "model=wide_resnet10x1", "lr=0.1", "optimizer=swag", override])


def test_the_pair_of_cifars_is_one_word() -> None:
    """It is replaced by what is needed to read it; without it a run is what it was before."""
    config = load(["dataset=cifar10", "model=wide_resnet10x1", "lr=0.1", "dataset.ood=cifar100"])
    assert config.dataset.options["ood"]["classes"] == 100
    plain = load(["dataset=cifar10", "model=wide_resnet10x1", "lr=0.1"])
    assert plain.run_id != config.run_id
    assert "ood" not in str(plain.setting)
