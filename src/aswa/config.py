"""The configuration of one run: composed by Hydra from `conf/`, checked and typed here.

Imports no torch, so that a wrong word is answered at once.
"""

from __future__ import annotations

import dataclasses
import difflib
import hashlib
import math
import types
import typing
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from aswa.config_files import conf_dir
from aswa.registry import AVERAGERS, MODELS, TASKS
from aswa.results.store import canonical_json

# What says where and how a run is computed, not what: no part of run_id.
WHERE_AND_HOW = (
    "device",
    "threads",
    "memory_budget",
    "data_dir",
    "results_dir",
    "checkpoint_seconds",
    "save_weights",
    "tracker",
)
DERIVED = ("methods", "options", "resolved")  # fields that are no keys


class ConfigError(ValueError):
    """A configuration that cannot be run; says which key, why, and what would do."""


@dataclass(frozen=True)
class DatasetConfig:
    """A member of conf/dataset; what depends on its kind is in `options`."""

    name: str
    kind: str
    folder: str
    tuned_lr: dict[str, float]
    options: dict[str, Any]


@dataclass(frozen=True)
class ModelConfig:
    """A member of conf/model; `options` are its own knobs."""

    name: str
    kind: str
    options: dict[str, Any]


@dataclass(frozen=True)
class BaseOptimizerConfig:
    """A member of conf/base_optimizer."""

    name: str
    weight_decay: float = 0.0
    momentum: float = 0.0


@dataclass(frozen=True)
class ScheduleConfig:
    """A member of conf/schedule."""

    name: str
    start: int | None = None
    swa_lr: float | None = None


@dataclass(frozen=True)
class TrackerConfig:
    """A member of conf/tracker."""

    name: str
    project: str = "aswa"
    entity: str | None = None


@dataclass(frozen=True)
class RunConfig:
    """One run, complete: nothing in it is left to a default elsewhere.

    Attributes:
        methods: averagers by name with their arguments, in a fixed order.
        resolved: the whole configuration as plain data, as recorded with the results.
    """

    dataset: DatasetConfig
    model: ModelConfig
    optimizer: str
    methods: dict[str, dict[str, Any]]
    base_optimizer: BaseOptimizerConfig
    schedule: ScheduleConfig
    tracker: TrackerConfig
    seed: int
    epochs: int
    batch_size: int
    lr: float
    precision: str
    device: str
    threads: int
    memory_budget: int
    data_dir: str | None
    results_dir: str
    checkpoint_seconds: float
    save_weights: bool
    resolved: dict[str, Any]

    @property
    def run_id(self) -> str:
        """Twelve hex digits of sha256 over all that can change a result."""
        relevant = {key: value for key, value in self.resolved.items() if key not in WHERE_AND_HOW}
        # Of the dataset only its name and its bytes matter, not counts, folders or tuned rates.
        dataset = self.resolved["dataset"]
        relevant["dataset"] = {"name": dataset["name"], "sha256": dataset.get("sha256")}
        return hashlib.sha256(canonical_json(relevant).encode()).hexdigest()[:12]

    @property
    def title(self) -> str:
        """`dataset model seed`, for people."""
        return f"{self.dataset.name} {self.model.name} {self.optimizer} seed {self.seed}"

    @property
    def folder(self) -> Path:
        """RESULTS_DIR/runs/<dataset>/<model>/<run_id>"""
        name = Path(self.dataset.name, self.model.name, self.run_id)
        return Path(self.results_dir, "runs", name)


def load(overrides: Sequence[str] = ()) -> RunConfig:
    """Compose `conf/` with command-line style overrides, as `aswa-train` does; for Python users.

    Raises:
        ConfigError: see `resolve`; Hydra's own complaints are given as such too.
    """
    from hydra import compose, initialize_config_dir
    from hydra.errors import HydraException

    from aswa.config_errors import explain

    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        try:
            composed = compose("config", overrides=list(overrides))
        except HydraException as error:
            raise ConfigError(explain(error)) from None
    return resolve(composed)


def resolve(composed: DictConfig) -> RunConfig:
    """Type and check a composed configuration, and fill in what follows from the rest.

    Raises:
        ConfigError: an unknown key, a value of the wrong type or out of range, or parts that do
            not fit together.
    """
    plain = typing.cast(dict[str, Any], OmegaConf.to_container(composed, resolve=True))
    plain.pop("experiment", None)
    dataset = _open_group(DatasetConfig, plain, "dataset")
    model = _open_group(ModelConfig, plain, "model")
    _check_fit(dataset, model)
    methods = dict(plain["optimizer"])
    optimizer = methods.pop("name")
    if plain.get("lr") is None:
        plain["lr"] = _tuned_lr(dataset, model)
    fields = {
        **plain,
        "dataset": dataset,
        "model": model,
        "methods": {name: methods[name] for name in AVERAGERS if name in methods},
        "optimizer": optimizer,
        "base_optimizer": _typed(BaseOptimizerConfig, plain["base_optimizer"], "base_optimizer"),
        "schedule": _typed(ScheduleConfig, plain["schedule"], "schedule"),
        "tracker": _typed(TrackerConfig, plain["tracker"], "tracker"),
        "resolved": plain,
    }
    unknown = [name for name in methods if name not in AVERAGERS]
    if unknown:
        raise ConfigError(_unknown(f"optimizer.{unknown[0]}", unknown[0], AVERAGERS))
    config = _typed(RunConfig, fields, "")
    _check_values(config)
    # As typed: 1 for a float is 1.0, so that one experiment has one run_id.
    plain.update(lr=config.lr, checkpoint_seconds=config.checkpoint_seconds)
    return config


def nearest(word: str, names: Iterable[str]) -> str:
    """`; did you mean X?` for the closest of `names`, or the list of them."""
    names = list(names)
    close = difflib.get_close_matches(word, names, n=1, cutoff=0.5)
    return f"did you mean {close[0]!r}?" if close else f"there are: {', '.join(names)}"


def _unknown(place: str, word: str, names: Iterable[str]) -> str:
    return f"{place}: no such name; {nearest(word, names)}"


def _open_group(cls: type[Any], plain: dict[str, Any], group: str) -> Any:
    """A group whose members bring keys of their own: these go to `options`."""
    known = {field.name for field in dataclasses.fields(cls)} - {"options"}
    values = plain[group]
    options = {key: value for key, value in values.items() if key not in known}
    fixed = {key: value for key, value in values.items() if key in known}
    return _typed(cls, {**fixed, "options": options}, group)


def _typed(cls: type[Any], values: Mapping[str, Any], place: str) -> Any:
    """An instance of a dataclass from a mapping, with every key and type checked."""
    hints = typing.get_type_hints(cls)
    for key in values:
        if key not in hints:
            names = [name for name in hints if name not in DERIVED]
            raise ConfigError(_unknown(_path(place, key), key, names))
    for field in dataclasses.fields(cls):
        if field.name not in values and field.default is dataclasses.MISSING:
            raise ConfigError(f"{_path(place, field.name)}: missing; give it a value")
    return cls(
        **{key: _convert(value, hints[key], _path(place, key)) for key, value in values.items()}
    )


def _path(place: str, key: str) -> str:
    return f"{place}.{key}" if place else key


def _convert(value: Any, hint: Any, place: str) -> Any:
    """`value` if it is of the type hinted; an integer may stand for a float."""
    allowed = typing.get_args(hint) if isinstance(hint, types.UnionType) else (hint,)
    allowed = tuple(typing.get_origin(kind) or kind for kind in allowed)
    if float in allowed and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if (isinstance(value, bool) and bool not in allowed) or not isinstance(value, allowed):
        wanted = " or ".join("null" if k is types.NoneType else k.__name__ for k in allowed)
        raise ConfigError(f"{place}={value}: expected {wanted}, got {type(value).__name__}")
    return value


def _check_fit(dataset: DatasetConfig, model: ModelConfig) -> None:
    if model.kind != dataset.kind:
        fitting = [name for name, entry in MODELS.items() if entry.kind == dataset.kind]
        raise ConfigError(
            f"model={model.name} is for {model.kind.replace('_', ' ')}, and dataset={dataset.name} "
            f"is of kind {dataset.kind.replace('_', ' ')}; models that fit it: "
            f"{', '.join(fitting) or 'none in this version'}"
        )
    if dataset.kind not in TASKS or model.name not in MODELS:
        raise ConfigError(
            f"dataset={dataset.name} with model={model.name}: this version has no training for "
            f"{dataset.kind.replace('_', ' ')} yet, only for {', '.join(TASKS)}"
        )


def _tuned_lr(dataset: DatasetConfig, model: ModelConfig) -> float:
    if model.name not in dataset.tuned_lr:
        raise ConfigError(
            f"lr: none was searched for model={model.name} on dataset={dataset.name} "
            f"(conf/dataset/{dataset.name}.yaml, tuned_lr); give one, such as lr=0.01"
        )
    return float(dataset.tuned_lr[model.name])


def _check_values(config: RunConfig) -> None:
    """Ranges and choices; the first that is wrong is named."""
    at_least = {"seed": 0, "epochs": 1, "batch_size": 1, "threads": 1, "memory_budget": 32}
    for key, least in at_least.items():
        if getattr(config, key) < least:
            raise ConfigError(f"{key}={getattr(config, key)}: must be at least {least}")
    if not (0 < config.lr < math.inf):
        raise ConfigError(f"lr={config.lr}: must be above 0")
    choices = {
        "precision": (config.precision, ("fp32", "bf16")),
        "device": (config.device.split(":")[0], ("auto", "cpu", "cuda")),
        "base_optimizer.name": (config.base_optimizer.name, ("adam", "sgd", "adagrad")),
        "schedule.name": (config.schedule.name, ("constant", "swa", "cosine")),
        "tracker.name": (config.tracker.name, ("none", "wandb")),
    }
    for key, (value, names) in choices.items():
        if value not in names:
            raise ConfigError(_unknown(f"{key}={value}", value, names))
    if not config.methods:
        raise ConfigError(f"optimizer: names no method; take some of {', '.join(AVERAGERS)}")
    start = config.methods.get("swa", {}).get("start")
    if start is not None and start >= config.epochs:
        raise ConfigError(
            f"optimizer.swa.start={start}: nothing would be averaged in epochs={config.epochs}; "
            f"take at most {config.epochs - 1}, or null for three quarters of the run"
        )
    if config.model.kind == "knowledge_graph":
        _check_link_prediction(config.model.options)


def _check_link_prediction(options: dict[str, Any]) -> None:
    objectives = ("kvsall", "1vsall", "negative_sampling")
    objective = str(options["objective"])
    if objective not in objectives:
        raise ConfigError(_unknown(f"model.objective={objective}", objective, objectives))
    for key in ("input_dropout", "hidden_dropout", "label_smoothing"):
        if not (isinstance(options[key], (int, float)) and 0 <= options[key] < 1):
            raise ConfigError(f"model.{key}={options[key]}: must be a number in [0, 1)")
    for key in ("dim", "negatives"):
        if not (isinstance(options[key], int) and options[key] >= 1):
            raise ConfigError(f"model.{key}={options[key]}: must be a whole number, at least 1")
    if not (isinstance(options["init_scale"], (int, float)) and options["init_scale"] > 0):
        raise ConfigError(f"model.init_scale={options['init_scale']}: must be a number above 0")
    if objective == "negative_sampling" and options["label_smoothing"]:
        raise ConfigError(
            "model.label_smoothing: negative_sampling has no smoothed labels; set it to 0"
        )
