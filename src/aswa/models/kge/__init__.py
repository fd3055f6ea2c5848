"""Link predictors of the paper."""

from __future__ import annotations

from typing import Any

from aswa import models
from aswa.models.kge.link_predictor import LinkPredictor


def build(name: str, n_entities: int, n_relations: int, dim: int, **options: Any) -> LinkPredictor:
    """A link predictor by its config name.

    Args:
        name: `distmult`, `complex`, `qmult`, `keci`, …
        n_entities, n_relations: table sizes; reciprocal relations count.
        dim: real numbers a row.
        options: knobs of the model's constructor.

    Raises:
        ValueError: the model does not take one of `options`, or their values.
    """
    return models.build(name, n_entities, n_relations, dim, **options)
