"""Training on the real CIFAR-100: every network of the paper in full size, and a tenth of it."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from aswa.config import load
from aswa.data.cifar import read_cifar
from aswa.tasks.image_classification import ImageClassification
from aswa.training.session import execute
from aswa.training.trajectory import Trajectory
from cifar_forms import binary_form

pytestmark = pytest.mark.slow

CPU = torch.device("cpu")
PAPER = ("vgg16", "vgg16_bn", "vgg19", "vgg19_bn", "preresnet110", "preresnet164",
         "wide_resnet28x10")  # fmt: skip
NOT_ALL = [
    f"dataset.{key}.{split}=null" for key in ("sha256", "images") for split in ("train", "test")
]


@pytest.fixture(scope="module")
def images(data_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder with the first 1,000 images of both splits, in the publisher's binary form."""
    if not (data_dir / "cifar100").is_dir():
        pytest.skip(f"no CIFAR-100 in {data_dir}; set ASWA_DATA_DIR to try it")
    real = read_cifar(data_dir / "cifar100", 100)
    first = {
        split: (getattr(real, f"{split}_images")[:1000].permute(0, 2, 3, 1).numpy(),
                getattr(real, f"{split}_labels")[:1000].numpy())
        for split in ("train", "test")
    }  # fmt: skip
    folder = tmp_path_factory.mktemp("images")
    (folder / "cifar100").mkdir()
    binary_form(folder / "cifar100", 100, first)
    return folder


@pytest.mark.parametrize("model", PAPER)
def test_every_network_of_the_paper_takes_a_step(model: str, images: Path, tmp_path: Path) -> None:
    """On four images: a loss near that of guessing, and the first and the last layer change."""
    few = ("dataset.train_size=4", "dataset.valid_ratio=0.004", "batch_size=4", "epochs=1")
    how = ("optimizer=sgd", "base_optimizer=sgd", "schedule=constant", "lr=0.01", "device=cpu")
    words = ["dataset=cifar100", f"model={model}", f"data_dir={images}", f"results_dir={tmp_path}"]
    config = load([*words, *NOT_ALL, *few, *how])
    trajectory = Trajectory(config, ImageClassification(config, CPU))
    layers = [m for m in trajectory.model.modules() if isinstance(m, (nn.Conv2d, nn.Linear))]
    ends = layers[0], layers[-1]
    assert ends[1].weight.shape[0] == 100
    before = [layer.weight.detach().clone() for layer in ends]
    trajectory.advance()
    (loss,) = trajectory.losses
    assert 4 < loss < 5.5  # log(100) is 4.6
    assert trajectory.weights_finite
    assert not any(torch.equal(a, b.weight) for a, b in zip(before, ends, strict=True))


def test_a_tenth_is_learned(data_dir: Path, tmp_path: Path) -> None:
    """5,000 images, a small network: guessing has 1 % of the test images right."""
    if not (data_dir / "cifar100").is_dir():
        pytest.skip(f"no CIFAR-100 in {data_dir}; set ASWA_DATA_DIR to try it")
    few = ("dataset.train_size=5000", "dataset.valid_ratio=0.01", "dataset.test_size=2000")
    how = ("optimizer=aswa", "base_optimizer=sgd", "schedule=swa", "lr=0.05", "batch_size=50")
    words = ["dataset=cifar100", "model=wide_resnet10x1", f"data_dir={data_dir}", "epochs=4"]
    words += [f"results_dir={tmp_path}", "device=cpu", "threads=1"]
    record = execute(load([*words, *few, *how]))
    (accuracy,) = (
        row["value"]
        for row in record["rows"]
        if (row["split"], row["metric"]) == ("test", "accuracy")
    )
    assert accuracy > 0.04
