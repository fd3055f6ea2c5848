"""Image classifiers of the paper. `build` looks a name up in `aswa.registry.MODELS`."""

from __future__ import annotations

from typing import Any

from torch import nn

from aswa.registry import load, models


def build(name: str, classes: int, **options: Any) -> nn.Module:
    """An image classifier by its config name: images [B, 3, 32, 32] → logits [B, classes].

    Args:
        name: `vgg16`, `preresnet164`, `wide_resnet28x10`, …
        classes: of the dataset.
        options: knobs of the model's constructor.

    Raises:
        ValueError: the model does not take one of `options`, or their values.
    """
    try:
        model = load(models()[name])(classes, **options)
    except TypeError as error:
        raise ValueError(f"model {name}: {error}") from None
    assert isinstance(model, nn.Module)
    return model
