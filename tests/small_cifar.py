"""A folder of real CIFAR-10 images, few enough for a test, and the words that train on them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
import torch

from aswa.data.cifar import read_cifar

SIZES = {"train": 1_000, "test": 200}
NAMES = {"train": [f"data_batch_{i}.bin" for i in range(1, 6)], "test": ["test_batch.bin"]}
# The networks with as few layers as they have at the least; VGG has no smaller depth.
SMALL: dict[str, Sequence[str]] = {
    **dict.fromkeys(("vgg16", "vgg16_bn", "vgg19", "vgg19_bn", "preresnet8", "preresnet11"), ()),
    **dict.fromkeys(("vgg11_small", "vgg11_bn_small", "wide_resnet10x1", "wide_resnet10x2"), ()),
    "preresnet20": ["model.depth=8"],
    "preresnet110": ["model.depth=11"],
    "preresnet164": ["model.depth=20"],
    "wide_resnet28x10": ["model.depth=10", "model.widen=1"],
}


def write(source: Path, data_dir: Path) -> None:
    """The first images of both splits as `data_dir/cifar10`, in the publisher's binary form.

    Where there are no images, the test is skipped.
    """
    if not (source / "cifar10").is_dir():
        pytest.skip(f"no CIFAR-10 in {source}; set ASWA_DATA_DIR to try it")
    data = read_cifar(source / "cifar10", 10)
    (data_dir / "cifar10").mkdir(parents=True)
    for split, names in NAMES.items():
        images = getattr(data, f"{split}_images")[: SIZES[split]]
        labels = getattr(data, f"{split}_labels")[: SIZES[split]].to(torch.uint8)
        rows = torch.cat([labels[:, None], images.flatten(1)], 1)
        for name, part in zip(names, rows.chunk(len(names)), strict=True):
            (data_dir / "cifar10" / name).write_bytes(part.numpy().tobytes())


def words(model: str, data_dir: Path, results: Path, *overrides: str) -> list[str]:
    """A run of a second or some on these images."""
    return [
        "dataset=cifar10",
        f"data_dir={data_dir}",
        f"results_dir={results}",
        *(f"dataset.{key}.{split}=null" for key in ("sha256", "images") for split in SIZES),
        "dataset.valid_ratio=0.2",
        f"model={model}",
        *SMALL[model],
        "base_optimizer=sgd",
        "schedule=swa",
        "lr=0.05",
        "epochs=4",
        "batch_size=50",
        "device=cpu",
        *overrides,
    ]
