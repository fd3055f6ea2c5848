"""Options of the methods: types and ranges.

A method that is not here is checked by its YAML file alone. `start: null` is what the table of
hyperparameters says; without a table 0, and of SWA three quarters of the run.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from aswa.config.schema import NoOptions, setting
from aswa.registry import METHODS, RELEASED


class Starting:
    """Options of a method that begins to look at some epoch."""

    START = 0.0  # of the run, that `start: null` stands for


@dataclass(frozen=True)
class SWAOptions(Starting):
    START = 0.75
    start: int | None = setting(None, least=0)
    every: int = setting(1, least=1)


@dataclass(frozen=True)
class EMAOptions:
    decay: float | None = setting(None, least=0, below=1)
    half_life: float | None = setting(None, above=0)
    warmup: float | None = setting(None, least=1)


@dataclass(frozen=True)
class EarlyStoppingOptions:
    patience: float | None = setting(None, least=1)


@dataclass(frozen=True)
class ASWAOptions(Starting):
    start: int | None = setting(0, least=0)
    every: int = setting(1, least=1)


@dataclass(frozen=True)
class ReleasedASWAOptions(Starting):
    start: int | None = setting(0, least=0)
    hard_updates: bool | None = setting(None)
    restore_on_reject: bool = setting(False)
    keep_member: bool = setting(False)
    accept_ties: bool = setting(True)


@dataclass(frozen=True)
class PolynomialDecayOptions(Starting):
    eta: float = setting(3.0, least=0)
    start: int | None = setting(0, least=0)


@dataclass(frozen=True)
class SWAGOptions(SWAOptions):
    unit: str = setting("epoch", choices=("epoch", "step"))
    rank: int = setting(20, least=2)
    scale: float = setting(0.5, least=0)
    n_samples: int = setting(30, least=1)


@dataclass(frozen=True)
class GatedSWAGOptions(ASWAOptions):
    rank: int = setting(20, least=2)
    scale: float = setting(0.5, least=0)
    n_samples: int = setting(30, least=1)


METHOD_OPTIONS: dict[str, type[Any]] = {
    "sgd": NoOptions,
    "swa": SWAOptions,
    "polyak": NoOptions,
    "ema": EMAOptions,
    "early_stopping": EarlyStoppingOptions,
    "aswa": ASWAOptions,
    **{name: ReleasedASWAOptions for name, each in METHODS.items() if each.path == RELEASED},
    "polynomial_decay": PolynomialDecayOptions,
    "swag": SWAGOptions,
    "swag_aswa": GatedSWAGOptions,
}
