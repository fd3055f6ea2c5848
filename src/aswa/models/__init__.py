"""Model families: `image/` and `kge/`."""

from __future__ import annotations

from typing import Any

from aswa import registry


def build(name: str, *sizes: int, **options: Any) -> Any:
    """The model that `aswa.registry.MODELS` has by this name.

    Raises:
        ValueError: the model does not take one of `options`, or their values.
    """
    model_class = registry.load(registry.models()[name])
    try:
        return model_class(*sizes, **options)
    except TypeError as error:
        raise ValueError(f"model {name}: {error}") from None
