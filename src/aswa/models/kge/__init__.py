"""Link predictors of the paper. `build` looks a name up in `aswa.registry.MODELS`."""

from __future__ import annotations

from typing import Any

from aswa.models.kge.bilinear import BilinearModel
from aswa.registry import load, models


def build(name: str, n_entities: int, n_relations: int, dim: int, **options: Any) -> BilinearModel:
    """A link predictor by its config name.

    Args:
        name: `distmult`, `complex`, `qmult`, `keci`, …
        n_entities, n_relations: table sizes; reciprocal relations count.
        dim: real numbers a row.
        options: knobs of the model's constructor.

    Raises:
        ValueError: the model does not take one of `options`, or their values.
    """
    model_class = load(models()[name])
    try:
        model = model_class(n_entities, n_relations, dim, **options)
    except TypeError as error:
        raise ValueError(f"model {name}: {error}") from None
    assert isinstance(model, BilinearModel)
    return model
