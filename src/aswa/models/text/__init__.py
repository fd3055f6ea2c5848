"""Language models."""

from __future__ import annotations

from typing import Any

from torch import nn

from aswa import models


def build(name: str, vocabulary: int, **options: Any) -> nn.Module:
    """A language model by its config name: tokens [B, T] → logits [B, T, vocabulary].

    Args:
        name: `gpt`, …
        vocabulary: number of tokens.
        options: knobs of the model's constructor.

    Raises:
        ValueError: the model does not take one of `options`, or their values.
    """
    return models.build(name, vocabulary, **options)
