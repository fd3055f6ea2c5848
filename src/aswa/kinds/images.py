"""Images: convolutional networks that classify them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from aswa.config.schema import setting
from aswa.kinds.declaration import Filled, Kind, Metric, Plain, TaskDeclaration, fewer_epochs


@dataclass(frozen=True, kw_only=True)
class Images:
    """What a dataset of conf/dataset has."""

    classes: int = setting(least=2)
    # Number by split, which is checked.
    images: dict[str, Any] | None = setting(None, keys=("train", "test"), neutral=True)
    # By split, of the pixels as uint8 [n, 32, 32, 3].
    sha256: dict[str, Any] | None = setting(None, keys=("train", "test"))
    valid_ratio: float = setting(above=0, below=1)  # held out for selection by a fixed list
    train_size: int | None = setting(None, least=1)  # so many images only; tables then say so
    test_size: int | None = setting(None, least=1)
    augment_validation: bool = setting(False)  # score it cropped and flipped at random


@dataclass(frozen=True, kw_only=True)
class Network:
    """What all networks have; without batch-norm there are no `batch_norm_batches`."""

    mean: list[Any] = setting()
    std: list[Any] = setting()
    channels_last: bool = setting()
    compile: bool = setting()
    batch_norm_batches: int = setting(50, least=1)
    dropout: float = setting(0.0, least=0, below=1)


def metrics(options: Mapping[str, Any]) -> list[Metric]:
    """Top-1 accuracy and cross-entropy."""
    return [
        Metric("accuracy", "Accuracy", True, "classification"),
        Metric("loss", "Loss", False, "loss"),
    ]


def fill_images(plain: Plain, hyperparameters: Mapping[str, Any]) -> Filled:
    """Say what makes the run smaller than published: `4000 training images, 10 epochs`."""
    parts = []
    for split, word in (("train", "training"), ("test", "test")):
        if size := plain["dataset"].get(f"{split}_size"):
            parts.append(f"{size} {word} images")
    if shorter := fewer_epochs(plain, hyperparameters):
        parts.append(shorter)
    elif parts and not hyperparameters:
        parts.append(f"{plain['epochs']} epochs")
    return Filled(reduced=", ".join(parts) or None)


IMAGES = Kind(
    name="images",
    words="images",
    dataset=Images,
    model=Network,
    tasks={
        "image_classification": TaskDeclaration(
            "aswa.tasks.image_classification:ImageClassification",
            metrics,
            check_run="aswa.tasks.image_classification:check_run",
        ),
    },
    fetching="aswa.data.fetching.cifar",
    fill="aswa.kinds.images:fill_images",
    torchrun=True,
)
