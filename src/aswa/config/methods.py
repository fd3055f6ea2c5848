"""Options of the methods: types and ranges.

A method that is not here is checked by its YAML file alone. `start: null` is what the table of
hyperparameters says; without a table 0, and of SWA three quarters of the run.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from aswa.config.schema import NoOptions, setting
from aswa.registry import MERGES, METHODS, RELEASED, RELEASED_ACOWA


class Starting:
    """Options of a method that begins to look at some epoch."""

    START = 0.0  # of the run, that `start: null` stands for

    @classmethod
    def in_epochs(cls, options: Mapping[str, Any]) -> bool:
        """Whether `start` counts epochs."""
        return True


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

    @classmethod
    def in_epochs(cls, options: Mapping[str, Any]) -> bool:
        return options.get("unit") != "step"


@dataclass(frozen=True)
class GatedSWAGOptions(ASWAOptions):
    rank: int = setting(20, least=2)
    scale: float = setting(0.5, least=0)
    n_samples: int = setting(30, least=1)


@dataclass(frozen=True)
class SubsampledAverageOptions:
    share: float = setting(0.1, above=0, below=1)


@dataclass(frozen=True)
class CentroidOptions:
    centroid_weight: float = setting(0.1, least=0)


@dataclass(frozen=True)
class VoteOptions:
    kappa: float = setting(10.0, least=0)


@dataclass(frozen=True)
class ACOWAOptions:
    centroid_weight: float = setting(0.1, least=0)
    kappa: float = setting(10.0, least=0)


@dataclass(frozen=True)
class ReleasedACOWAOptions(ACOWAOptions):
    unscaled_merge: bool = setting(True)
    unweighted_centroids: bool = setting(True)
    last_part_weight: bool = setting(True)
    shuffled_labels: bool = setting(True)
    last_feature_free: bool = setting(True)
    whole_weights: bool = setting(True)


@dataclass(frozen=True)
class SurrogateOptions:
    updates: int = setting(2, least=1)
    proximal: float | None = setting(None, least=0)
    points: int = setting(8, least=0)


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
    **dict.fromkeys(MERGES, NoOptions),
    "savgm": SubsampledAverageOptions,
    "centroids_only": CentroidOptions,
    "votes_only": VoteOptions,
    "acowa": ACOWAOptions,
    **{n: ReleasedACOWAOptions for n, each in MERGES.items() if each.path == RELEASED_ACOWA},
    "csl": SurrogateOptions,
    "dane": SurrogateOptions,
}
