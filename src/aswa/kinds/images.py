"""Images: convolutional networks that classify them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from aswa.config.members import members, template
from aswa.config.schema import ConfigError, Misfit, setting, unknown
from aswa.kinds.declaration import Filled, Kind, Metric, Plain, TaskDeclaration, fewer_epochs

LOSSES = ("cross_entropy", "balanced_softmax", "ldam")


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
    # The dataset whose test images are out of distribution: its name, or what `fill_images` makes.
    ood: dict[str, Any] | None = setting(
        None, added=True, keys=("name", "folder", "classes", "sha256")
    )
    # The largest class by the rarest, of an exponential profile; then as many images of each class
    # are held out.
    imbalance: float | None = setting(None, least=1, added=True)
    largest: int | None = setting(None, least=1, added=True)  # images of the largest class
    subset_seed: int = setting(0, least=0, added=True)  # which images of a class
    loss: str = setting("cross_entropy", choices=LOSSES, added=True)


@dataclass(frozen=True, kw_only=True)
class Network:
    """What all networks have; without batch-norm there are no `batch_norm_batches`."""

    mean: list[Any] = setting()
    std: list[Any] = setting()
    channels_last: bool = setting()
    compile: bool = setting()
    batch_norm_batches: int = setting(50, least=1)
    dropout: float = setting(0.0, least=0, below=1)


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """What a member of a population does to training images beside cropping and flipping them."""

    auto_augment: bool = setting(False)  # the policy of CIFAR-10 (Cubuk et al., CVPR 2019); slow
    # Side in pixels of a square that is blank, inside the image of 32 × 32; 0: none.
    cutout: int = setting(0, least=0, below=32)
    erasing: float = setting(0.0, least=0, most=1)  # probability of a blank rectangle
    mixup: float = setting(0.0, least=0)  # α of Beta(α, α); 0: none
    cutmix: float = setting(0.0, least=0)  # likewise; of both one a batch
    label_smoothing: float = setting(0.0, least=0, below=1)


def metrics(options: Mapping[str, Any]) -> list[Metric]:
    """Top-1 accuracy, of unequal classes also by their size, cross-entropy (NLL), calibration."""
    words = {"many": "more than 100", "medium": "20 to 100", "few": "fewer than 20"}
    return [
        Metric("accuracy", "Accuracy", True, "classification"),
        *(
            Metric(
                f"accuracy_{name}",
                "Accuracy",
                True,
                "classification",
                f"classes of {said} training images",
            )
            for name, said in words.items()
        ),
        Metric("accuracy_logits", "Accuracy", True, "classification", "the mean of logits"),
        Metric("loss", "Loss", False, "loss"),
        Metric("ece", "ECE", False, "calibration"),
        Metric("brier", "Brier", False, "calibration"),
        Metric("aurc", "AURC", False, "calibration"),
        Metric("ood_entropy", "OOD AUROC of entropy", True, "out of distribution"),
        Metric("ood_information", "OOD AUROC of mutual information", True, "out of distribution"),
    ]


def fill_images(plain: Plain, hyperparameters: Mapping[str, Any]) -> Filled:
    """Say what makes the run smaller than published: `4000 training images, 10 epochs`.

    And replace the name of a dataset of other images by what is needed to read it.
    """
    if isinstance(name := plain["dataset"].get("ood"), str):
        if name == plain["dataset"]["name"]:
            raise Misfit(f"dataset.ood={name}: the images of the dataset itself; take another one")
        plain["dataset"]["ood"] = _other_images(name)
    if plain["dataset"].get("imbalance") is None:
        _check_without_imbalance(plain["dataset"])
    parts = []
    for split, word in (("train", "training"), ("test", "test")):
        if size := plain["dataset"].get(f"{split}_size"):
            parts.append(f"{size} {word} images")
    if (factor := plain["dataset"].get("imbalance")) is not None:
        parts.append(f"imbalance {factor:g}")
    if largest := plain["dataset"].get("largest"):
        parts.append(f"{largest} images of the largest class")
    if shorter := fewer_epochs(plain, hyperparameters):
        parts.append(shorter)
    elif parts and not hyperparameters:
        parts.append(f"{plain['epochs']} epochs")
    return Filled(reduced=", ".join(parts) or None)


def _check_without_imbalance(dataset: Plain) -> None:
    """Refuse what only classes of unequal size have; it would be ignored and still be told."""
    for key in ("largest", "subset_seed"):
        if value := dataset.get(key):
            raise ConfigError(
                f"dataset.{key}={value}: for classes of unequal size, which imbalance makes; give "
                "dataset.imbalance too (1: equal sizes), or leave the key out (train_size takes "
                "fewer images of a fixed list)"
            )


def _other_images(name: str) -> Plain:
    """Folder, classes and checksum of the test images of a member of conf/dataset."""
    values = template("dataset", name)
    if values.get("kind") != "images":
        known = [n for n in members("dataset") if template("dataset", n).get("kind") == "images"]
        raise unknown(f"dataset.ood={name}", name, known)
    sha256 = (values.get("sha256") or {}).get("test")
    return {key: values[key] for key in ("name", "folder", "classes")} | {"sha256": sha256}


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
            assess="aswa.tasks.image_classification:ImageClassification.assess",
            adopt="aswa.tasks.image_classification:ImageClassification.adopt",
            recipe=Recipe,
        ),
    },
    fetching="aswa.data.fetching.cifar",
    fill="aswa.kinds.images:fill_images",
    torchrun=True,
)
