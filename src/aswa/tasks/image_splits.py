"""Images of a configuration: which are trained on, held out, tested, and out of distribution."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from aswa.config import ConfigError, RunConfig
from aswa.data.cifar import read_cifar
from aswa.data.folders import find_folder
from aswa.data.long_tail import long_tailed
from aswa.data.validation_split import split_indices, validation_order

Splits = dict[str, tuple[Tensor, Tensor]]


def read_splits(config: RunConfig) -> tuple[Splits, Tensor | None]:
    """Images uint8 [n, 3, 32, 32] and classes int64 [n] of `train`, `valid` and `test`.

    And the test images of `dataset.ood`, as many; None without it.

    Raises:
        ConfigError: files that are not those of the dataset, or sizes that do not fit them.
        FileNotFoundError: no folder.
    """
    options, tested = config.dataset.options, config.dataset.options["test_size"]
    folder, classes = find_folder(config.dataset.folder, config.data_dir), int(options["classes"])
    try:
        data = read_cifar(folder, classes, options.get("sha256"), options.get("images"))
        train, valid = _split(data.train_labels, classes, options)
        other = _other_images(config)
    except ValueError as error:
        raise ConfigError(f"dataset={config.dataset.name}: {error}") from None
    splits = {
        "train": (data.train_images[train], data.train_labels[train]),
        "valid": (data.train_images[valid], data.train_labels[valid]),
        "test": (data.test_images[:tested], data.test_labels[:tested]),
    }
    return splits, None if other is None else other[:tested]


def _split(labels: Tensor, classes: int, options: Mapping[str, Any]) -> tuple[Tensor, Tensor]:
    """Positions of the training and of the validation images."""
    ratio, size, factor = options["valid_ratio"], options["train_size"], options.get("imbalance")
    if factor is None:
        return split_indices(len(labels), ratio, size)
    if size is not None:
        raise ValueError("train_size and imbalance: give largest, the size of the largest class")
    held_out, order = round(ratio * len(labels) / classes), validation_order(len(labels))
    subset = options.get("largest"), options.get("subset_seed", 0)
    return long_tailed(labels, order, held_out, factor, *subset)


def _other_images(config: RunConfig) -> Tensor | None:
    """Test images of `dataset.ood`, uint8 [n, 3, 32, 32]. Raises ValueError, as `read_cifar`."""
    if (other := config.dataset.options.get("ood")) is None:
        return None
    folder = find_folder(other["folder"], config.data_dir)
    return read_cifar(folder, other["classes"], {"test": other["sha256"]}).test_images
