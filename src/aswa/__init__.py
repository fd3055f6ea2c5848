"""Adaptive Stochastic Weight Averaging (arXiv 2406.19092): `from aswa import ASWA`.

The averaging methods of `aswa.averaging` are looked up when they are asked for, so that
`import aswa` does not import torch. `aswa.load` gives the weights of a run, and needs the extra
`experiments`.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from aswa.averaging import (
        ASWA,
        EMA,
        SGD,
        SWA,
        SWAG,
        Averager,
        Decision,
        EarlyStopping,
        PolynomialDecay,
        ReleasedASWA,
        recompute_batch_norm,
    )
    from aswa.training.loaded import load

    __version__: str

__all__ = [
    "ASWA",
    "EMA",
    "SGD",
    "SWA",
    "SWAG",
    "Averager",
    "Decision",
    "EarlyStopping",
    "PolynomialDecay",
    "ReleasedASWA",
    "__version__",
    "load",
    "recompute_batch_norm",
]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'aswa' has no attribute {name!r}")
    if name == "__version__":
        return import_module("importlib.metadata").version("aswa")
    room = "aswa.training.loaded" if name == "load" else "aswa.averaging"
    return getattr(import_module(room), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
