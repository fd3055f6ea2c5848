"""The configuration of one run: composed by Hydra from `conf/`, checked and typed here.

Imports no torch, so that a wrong word is answered at once.
"""

from __future__ import annotations

import dataclasses
import math
import types
import typing
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from aswa.config.files_of_dataset import settle_files
from aswa.config.identity import run_id
from aswa.config.schema import ConfigError as ConfigError
from aswa.config.schema import Misfit, check_group, convert, typed, unknown
from aswa.files import conf_dir
from aswa.kinds.graphs import check_link_prediction
from aswa.kinds.images import check_images, settle_images
from aswa.kinds.queries import TaskConfig, check_query_answering, settle_task
from aswa.registry import AVERAGERS, MODELS


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
    task: TaskConfig
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
        return run_id(self.resolved)

    @property
    def rebuilt_split(self) -> bool:
        """The train file is not the published one but stands in for it."""
        return self.dataset.options.get("split") == "rebuilt"

    @property
    def reduced(self) -> str | None:
        """What makes the run smaller than the published experiment, in words."""
        return self.dataset.options.get("reduced")

    @property
    def title(self) -> str:
        """`dataset model optimizer seed`, for people; an unusual task is named too."""
        task = f" {self.task.name}" if "task" in self.resolved else ""
        return f"{self.dataset.name} {self.model.name}{task} {self.optimizer} seed {self.seed}"

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

    import aswa.sweeping.grid_config  # noqa: F401  makes the sweeper known
    from aswa.config.messages import explain

    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        try:
            composed = compose("config", overrides=list(overrides))
        except (HydraException, OmegaConfBaseException, ValueError) as error:
            raise ConfigError(explain(error)) from None
    return resolve(composed)


def resolve(composed: DictConfig) -> RunConfig:
    """Type and check a composed configuration, and fill in what follows from the rest.

    Raises:
        ConfigError: an unknown key, a value of the wrong type or out of range, or parts that do
            not fit together.
    """
    try:
        plain = typing.cast(dict[str, Any], OmegaConf.to_container(composed, resolve=True))
    except OmegaConfBaseException as error:
        raise ConfigError(str(error).splitlines()[0]) from None
    plain.pop("experiment", None)
    for group in ("dataset", "model", "optimizer", "base_optimizer", "schedule", "tracker"):
        check_group(group, plain.get(group))
    settle_images(plain)
    settle_files(plain["dataset"], convert(plain.get("data_dir"), str | types.NoneType, "data_dir"))
    dataset = _open_group(DatasetConfig, plain, "dataset")
    model = _open_group(ModelConfig, plain, "model")
    _check_fit(dataset, model)
    task = settle_task(plain)
    methods = dict(plain["optimizer"])
    optimizer = methods.pop("name")
    if plain.get("lr") is None:
        plain["lr"] = _tuned_lr(dataset, model)
    fields = {
        **plain,
        "dataset": dataset,
        "model": model,
        "task": task,
        "methods": {name: methods[name] for name in AVERAGERS if name in methods},
        "optimizer": optimizer,
        "base_optimizer": typed(BaseOptimizerConfig, plain["base_optimizer"], "base_optimizer"),
        "schedule": typed(ScheduleConfig, plain["schedule"], "schedule"),
        "tracker": typed(TrackerConfig, plain["tracker"], "tracker"),
        "resolved": plain,
    }
    for name in methods:
        if name not in AVERAGERS:
            raise ConfigError(unknown(f"optimizer.{name}", name, AVERAGERS))
    config = typed(RunConfig, fields, "")
    _check_values(config)
    return config


def _open_group(cls: type[Any], plain: dict[str, Any], group: str) -> Any:
    """A group whose members bring keys of their own: these go to `options`."""
    known = {field.name for field in dataclasses.fields(cls)} - {"options"}
    values = plain[group]
    options = {key: value for key, value in values.items() if key not in known}
    fixed = {key: value for key, value in values.items() if key in known}
    return typed(cls, {**fixed, "options": options}, group)


def _check_fit(dataset: DatasetConfig, model: ModelConfig) -> None:
    if model.kind != dataset.kind:
        fitting = [name for name, entry in MODELS.items() if entry.kind == dataset.kind]
        raise Misfit(
            f"model={model.name} is for {model.kind.replace('_', ' ')}, and dataset={dataset.name} "
            f"is of kind {dataset.kind.replace('_', ' ')}; models that fit it: "
            f"{', '.join(fitting) or 'none in this version'}"
        )
    if model.name not in MODELS:
        raise ConfigError(unknown(f"model.name={model.name}", model.name, MODELS))


def tuned_elsewhere(config: RunConfig) -> str:
    """A warning, if the learning rate of the dataset's table was searched at another budget."""
    searched = config.dataset.options.get("tuned_at") or {}
    here = {key: _setting(config, key) for key in searched}
    if searched == here:
        return ""
    words = {key: ", ".join(f"{k}={v}" for k, v in at.items())
             for key, at in (("searched", searched), ("here", here))}  # fmt: skip
    return (
        f"lr={config.lr:g} was searched at {words['searched']}, and this run has {words['here']}: "
        "give lr=... if the result matters"
    )


def _setting(config: RunConfig, key: str) -> Any:
    return config.model.options.get(key) if key == "dim" else getattr(config, key)


def _tuned_lr(dataset: DatasetConfig, model: ModelConfig) -> float:
    if model.name not in dataset.tuned_lr:
        raise ConfigError(
            f"lr: none was searched for model={model.name} on dataset={dataset.name} "
            f"(conf/dataset/{dataset.name}.yaml, tuned_lr); give one, such as lr=0.01"
        )
    return float(dataset.tuned_lr[model.name])


def _check_values(config: RunConfig) -> None:
    """Ranges and choices; the first that is wrong is named."""
    if config.base_optimizer.weight_decay < 0 or not 0 <= config.base_optimizer.momentum < 1:
        raise ConfigError("base_optimizer: needs weight_decay >= 0 and 0 <= momentum < 1")
    _check_ranges(config)
    at_least = {"seed": 0, "epochs": 1, "batch_size": 1, "threads": 1, "memory_budget": 64}
    for key, least in at_least.items():
        if getattr(config, key) < least:
            raise ConfigError(f"{key}={getattr(config, key)}: must be at least {least}")
    if not (0 < config.lr < math.inf):
        raise ConfigError(f"lr={config.lr}: must be above 0")
    choices = {
        "precision": (config.precision, ("fp32", "tf32", "bf16", "fp16")),
        "device": (config.device.split(":")[0], ("auto", "cpu", "cuda")),
        "base_optimizer.name": (config.base_optimizer.name, ("adam", "sgd", "adagrad")),
        "schedule.name": (config.schedule.name, ("constant", "swa", "fair", "cosine")),
        "tracker.name": (config.tracker.name, ("none", "wandb")),
    }
    for key, (value, names) in choices.items():
        if value not in names:
            raise ConfigError(unknown(f"{key}={value}", value, names))
    if not config.methods:
        raise ConfigError(f"optimizer: names no method; take some of {', '.join(AVERAGERS)}")
    start = config.methods.get("swa", {}).get("start")
    if start is not None and start >= config.epochs:
        raise ConfigError(
            f"optimizer.swa.start={start}: nothing would be averaged in epochs={config.epochs}; "
            f"take at most {config.epochs - 1}, or null for three quarters of the run"
        )
    if config.model.kind == "knowledge_graph":
        check_link_prediction(config.model.options)
        if config.task.name == "query_answering":
            check_query_answering(config.task.options)
    else:
        check_images(config.resolved)


# Dotted key → type, least and greatest value; None stands for no bound. Null is always allowed.
RANGES: dict[str, tuple[type, float | None, float | None]] = {
    "optimizer.swa.start": (int, 0, None),
    "optimizer.swa.every": (int, 1, None),
    "optimizer.ema.decay": (float, 0, 1 - 1e-12),
    "optimizer.early_stopping.patience": (float, 1, None),
    "schedule.start": (int, 0, None),
    "schedule.swa_lr": (float, 0, None),
    "optimizer.aswa_released.start": (int, 0, None),
    "optimizer.polynomial_decay.start": (int, 0, None),
    "optimizer.polynomial_decay.eta": (float, 0, None),
    "dataset.train_size": (int, 1, None),
    "dataset.test_size": (int, 1, None),
    "model.batch_norm_batches": (int, 1, None),
    "model.channels_last": (bool, None, None),
    "model.winograd": (bool, None, None),
    "model.compile": (bool, None, None),
    "model.dropout": (float, 0, 1 - 1e-12),
    "checkpoint_seconds": (float, 0, None),
}


def _check_ranges(config: RunConfig) -> None:
    for key, (kind, least, greatest) in RANGES.items():
        value: Any = config.resolved
        for part in key.split("."):
            value = value.get(part) if isinstance(value, dict) else None
        if value is None:
            continue
        convert(value, kind, key)
        if (least is not None and value < least) or (greatest is not None and value > greatest):
            bounds = f"at least {least}" if greatest is None else f"in [{least}, {round(greatest)})"
            raise ConfigError(f"{key}={value}: must be {bounds}")
