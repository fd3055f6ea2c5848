"""Options of the methods: types, ranges, and what follows from the rest of a configuration.

A method that is not here is checked by its YAML file alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from aswa.config.schema import NoOptions, setting
from aswa.registry import METHODS, RELEASED


def three_quarters(plain: Mapping[str, Any]) -> int | None:
    """Epochs before averaging begins where no number is given: three quarters of the run."""
    epochs = plain.get("epochs")
    return epochs * 3 // 4 if isinstance(epochs, int) else None


def _start(default: int | None = 0, **how: Any) -> Any:
    return setting(default, least=0, before_the_end=True, **how)


@dataclass(frozen=True)
class SWAOptions:
    start: int | None = _start(None, derive=three_quarters)
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
class ASWAOptions:
    start: int = _start()
    every: int = setting(1, least=1)


@dataclass(frozen=True)
class ReleasedASWAOptions:
    start: int | None = _start()
    hard_updates: bool | None = setting(None)
    restore_on_reject: bool = setting(False)
    keep_member: bool = setting(False)
    accept_ties: bool = setting(True)


@dataclass(frozen=True)
class PolynomialDecayOptions:
    eta: float = setting(3.0, least=0)
    start: int = _start()


METHOD_OPTIONS: dict[str, type[Any]] = {
    "sgd": NoOptions,
    "swa": SWAOptions,
    "ema": EMAOptions,
    "early_stopping": EarlyStoppingOptions,
    "aswa": ASWAOptions,
    **{name: ReleasedASWAOptions for name in METHODS if METHODS[name].path == RELEASED},
    "polynomial_decay": PolynomialDecayOptions,
}
