"""What a member of a population does to its training images beside cropping and flipping them.

The operations are torchvision's (`torchvision.transforms.v2`), which is imported where one is
asked for. They draw from torch's global generator, whose state belongs to the member.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from aswa.config import ConfigError

Operation = Callable[[Tensor], Tensor]
OF_IMAGES = ("auto_augment", "cutout", "erasing")
OF_BATCHES = ("mixup", "cutmix")


class Augmenting:
    """The recipe of a member.

    Args:
        recipe: of `aswa.kinds.images.Recipe`; a missing key is none of it.
        classes: of the dataset.
        side: pixels of an image's side.

    Raises:
        ConfigError: the recipe needs torchvision, which cannot be imported.
    """

    def __init__(self, recipe: Mapping[str, Any], classes: int, side: int) -> None:
        self.smoothing = float(recipe.get("label_smoothing", 0.0))
        asked = [key for key in (*OF_IMAGES, *OF_BATCHES) if recipe.get(key)]
        self.mixes = any(key in OF_BATCHES for key in asked)
        self._bytes: list[Operation] = []
        self._inputs: list[Operation] = []
        self._mix: Callable[..., tuple[Tensor, Tensor]] | None = None
        if not asked:
            return
        try:
            from torchvision.transforms import v2
        except (ImportError, RuntimeError) as error:
            raise ConfigError(
                f"population.recipes: {', '.join(asked)} need torchvision, which cannot be "
                f"imported ({error}); pip install 'aswa[experiments]'"
            ) from None
        if recipe.get("auto_augment"):
            self._bytes = [v2.AutoAugment(v2.AutoAugmentPolicy.CIFAR10)]
        if cutout := recipe.get("cutout"):
            share = (cutout / side) ** 2
            self._inputs.append(v2.RandomErasing(1.0, (share, share), (1.0, 1.0)))
        if erasing := recipe.get("erasing"):
            self._inputs.append(v2.RandomErasing(float(erasing)))
        mixing = {"mixup": v2.MixUp, "cutmix": v2.CutMix}
        of_batches: list[Any] = [
            make(alpha=float(recipe[key]), num_classes=classes)
            for key, make in mixing.items()
            if recipe.get(key)
        ]
        if of_batches:  # one of them a batch, each as often
            self._mix = of_batches[0] if len(of_batches) == 1 else v2.RandomChoice(of_batches)

    def of_bytes(self, images: Tensor) -> Tensor:
        """Cropped images, uint8 [B, 3, H, W], each with numbers of its own."""
        return _each(self._bytes, images)

    def of_inputs(self, inputs: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """What the network sees, and what it should say: int64 [B], or [B, classes] of mixed ones.

        Erased pixels are the mean colour.
        """
        inputs = _each(self._inputs, inputs)
        return (inputs, labels) if self._mix is None else self._mix(inputs, labels)


def _each(operations: list[Operation], images: Tensor) -> Tensor:
    """A batch's transform would draw once for all its images."""
    if not operations:
        return images
    found = list(images)
    for operation in operations:
        found = [operation(image) for image in found]
    return torch.stack(found)
