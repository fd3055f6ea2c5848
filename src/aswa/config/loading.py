"""From words on a command line to a `RunConfig`: composed by Hydra, filled in, checked."""

from __future__ import annotations

import typing
from collections.abc import Collection, Sequence
from typing import Any

from omegaconf import DictConfig, OmegaConf, open_dict
from omegaconf.errors import OmegaConfBaseException

from aswa.config import fill
from aswa.config.members import GROUPS, RECIPES, add_folders, members, template
from aswa.config.run_config import (
    BaseOptimizerConfig,
    DatasetConfig,
    MemberConfig,
    PopulationConfig,
    RunConfig,
    ScheduleConfig,
)
from aswa.config.schema import ConfigError, checked, dotted, keys, neutral_keys, unknown
from aswa.config.trackers import fill_trackers
from aswa.files import conf_dir
from aswa.registry import kinds, mixings
from aswa.registry import load as load_object

# For aswa-fetch and for filling in: no part of a run.
NOT_OF_A_RUN = ("sources", "md5", "builder", "hyperparameters")
# Fields of RunConfig that are no keys.
DERIVED = ("methods", "resolved", "files", "reduced", "said")


def load(overrides: Sequence[str] = ()) -> RunConfig:
    """Compose `conf/` with command-line style overrides, as `aswa-train` does; for Python users.

    `hydra.searchpath=[file:///my/conf]` among them adds a folder of one's own members.

    Raises:
        ConfigError: see `resolve`; Hydra's own complaints are given as such too.
    """
    from hydra import compose, initialize_config_dir
    from hydra.errors import HydraException

    from aswa.config.messages import explain

    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        try:
            composed = compose("config", overrides=list(overrides), return_hydra_config=True)
        except (HydraException, OmegaConfBaseException, ValueError) as error:
            raise ConfigError(explain(error)) from None
    with open_dict(composed):
        places = composed.pop("hydra").searchpath
    add_folders(place.removeprefix("file://") for place in places if "pkg://" not in place)
    return resolve(composed, overrides)


def resolve(composed: DictConfig, overrides: Sequence[str] = ()) -> RunConfig:
    """Type and check a composed configuration, and fill in what follows from the rest.

    Args:
        overrides: that it was composed with; they are named in the run's title.

    Raises:
        ConfigError: an unknown key, a value of the wrong type or out of range, or parts that do
            not fit together.
        Misfit: a dataset, a model and a task that are not for each other.
    """
    try:
        plain = typing.cast(dict[str, Any], OmegaConf.to_container(composed, resolve=True))
    except OmegaConfBaseException as error:
        raise ConfigError(str(error).splitlines()[0]) from None
    for group in RECIPES:
        plain.pop(group, None)
    for group in GROUPS:
        if group not in ("task", *RECIPES):
            _check_chosen(group, plain.get(group))
    fill.fill_name(plain["dataset"])
    name = plain["dataset"].get("kind")
    if name not in kinds():
        raise unknown(f"dataset.kind={name}", str(name), kinds())
    kind = kinds()[name]
    row = fill.fill_from_table(plain)
    fill.check_fit(plain)
    fill.fill_untrained(plain, overrides)
    fill.fill_rate(plain)
    fill.fill_schedule(plain)
    for key in NOT_OF_A_RUN:
        plain["dataset"].pop(key, None)
    filled = load_object(kind.fill)(plain, row) if kind.fill else None
    task, task_files = fill.fill_task(plain)
    own = kind.models.get(plain["model"]["name"])
    fields = {
        **plain,
        "dataset": _open(DatasetConfig, plain["dataset"], "dataset", [kind.dataset]),
        "model": _open(
            MemberConfig, plain["model"], "model", [kind.model, *([own] if own else [])]
        ),
        "task": _open(MemberConfig, task, "task", [kind.tasks[task["name"]].options]),
        "base_optimizer": _closed(BaseOptimizerConfig, plain, "base_optimizer"),
        "schedule": _closed(ScheduleConfig, plain, "schedule"),
        "population": _open(PopulationConfig, plain["population"], "population", []),
        "tracker": fill_trackers(plain),
        "optimizer": plain["optimizer"]["name"],
        "methods": {},
        "resolved": plain,
        "files": (*(filled.files if filled else ()), *task_files),
        "reduced": filled.reduced if filled else None,
        "said": tuple(filter(_is_said, overrides)),
    }
    _check_keys(plain, [key for key in keys(RunConfig) if key not in DERIVED], "")
    typed = checked([RunConfig], fields, "")
    methods = fill.fill_methods(plain)
    config = RunConfig(**{**typed, "methods": methods, "optimizer": plain["optimizer"]["name"]})
    _check_together(config)
    return config


def _is_said(override: str) -> bool:
    """An override that a title does not name otherwise, and that can change a result."""
    key = override.lstrip("+~").partition("=")[0]
    named = {"dataset", "dataset.name", "model", "task", "optimizer", "seed", *RECIPES}
    of_dataset = {f"dataset.{each}" for each in neutral_keys(DatasetConfig)}
    neutral = key.partition(".")[0] in neutral_keys(RunConfig)  # and all below it
    return key not in named | of_dataset and not neutral and not key.startswith("hydra")


def _check_chosen(group: str, values: Any) -> None:
    """A group is chosen and known; a dataset may have a name of its own."""
    if not isinstance(values, dict) or "name" not in values:
        raise ConfigError(f"{group}: none is chosen; take {group}=... of conf/{group}/")
    if group != "dataset" and not template(group, str(values["name"])):
        raise unknown(f"{group}.name", str(values["name"]), members(group))


def _check_keys(values: dict[str, Any], known: Collection[str], place: str) -> None:
    for key in values:
        if key not in known:
            raise unknown(dotted(place, key), key, known)


def _closed(cls: type[Any], plain: dict[str, Any], group: str) -> Any:
    """A group whose members' files say which keys of its class they have."""
    _check_keys(plain[group], template(group, plain[group]["name"]), group)
    return cls(**checked([cls], plain[group], group))


def _open(cls: type[Any], values: dict[str, Any], group: str, schemas: list[type[Any]]) -> Any:
    """A group whose members bring keys of their own: these become `options`."""
    fixed = [key for key in keys(cls) if key != "options"]
    usual = template(group, values["name"])
    own = {key: value for key, value in usual.items() if key not in (*fixed, *NOT_OF_A_RUN)}
    given = {key: value for key, value in values.items() if key not in fixed}
    mine = {key: value for key, value in values.items() if key in fixed}
    mine["options"] = checked(schemas, given, group, own)
    return cls(**checked([cls], mine, group))


def _check_together(config: RunConfig) -> None:
    """What single keys do not show."""
    name = config.population.name
    if name not in mixings():
        raise unknown(f"population.name={name}", name, mixings())
    if config.seed >= 2**63:
        raise ConfigError(f"seed={config.seed}: must be below 2^63, or records could not hold it")
    device = config.device.split(":")[0]
    if device not in ("auto", "cpu", "cuda"):
        meant = "cuda" if "gpu" in device.lower() else device
        raise unknown(f"device={config.device}", meant, ("auto", "cpu", "cuda"))
    kind, task = config.kind, config.kind.tasks[config.task.name]
    if kind.check:
        load_object(kind.check)(config.model.options)
    _check_population(config.population)
    _check_recipes(config.population.recipes, task.recipe)
    if task.check:
        load_object(task.check)(config.task.options)


def _check_population(population: PopulationConfig) -> None:
    """A common start has a length."""
    start = population.options.get("start")
    if population.common_start and (not isinstance(start, int) or start < 1):
        raise ConfigError(
            "population.common_start: needs population.start, the epochs of the common start, from "
            f"1 on, not {start}; set it, or leave common_start out"
        )


def _check_recipes(recipes: list[Any] | None, schema: type[Any] | None) -> None:
    """Recipes of members are mappings of what the task declares."""
    if recipes is None:
        return
    if schema is None:
        raise ConfigError("population.recipes: this task has none; leave the key out")
    if not recipes:
        raise ConfigError("population.recipes: an empty list; leave the key out, or name some")
    for number, recipe in enumerate(recipes):
        place = f"population.recipes.{number}"
        if not isinstance(recipe, dict):
            raise ConfigError(f"{place}={recipe}: must be keys and values, such as {{mixup: 0.5}}")
        checked([schema], recipe, place)


def remarks(config: RunConfig, composed: DictConfig) -> list[str]:
    """What is said when the run of a composed configuration starts."""
    tuned = composed.lr is None and composed.hyperparameters is None
    remark, name = config.kind.remark, config.dataset.name
    found = load_object(remark)(config.dataset.options) if remark else ""
    of_data = f"dataset={name}: {found}" if found else ""
    rate = _tuned_elsewhere(config) if tuned else ""
    return [line for line in (rate, of_data, _never_merged(config)) if line]


def _never_merged(config: RunConfig) -> str:
    """A warning, if a population that merges after epochs has too few of them."""
    population = config.population
    start, every = (population.options.get(key) for key in ("start", "every"))
    if population.members == 1 or not (isinstance(start, int) and isinstance(every, int)):
        return ""
    first = start + every if population.common_start else start or every
    if first <= config.epochs:
        return ""
    return (
        f"population={population.name}: its first merge is after epoch {first}, and this run has "
        f"{config.epochs}: give population.start and population.every"
    )


def _tuned_elsewhere(config: RunConfig) -> str:
    """A warning, if the learning rate of the dataset's table was searched at another budget."""
    searched = config.dataset.tuned_at or {}
    here = {key: config.model.options.get(key, getattr(config, key, None)) for key in searched}
    if searched == here:
        return ""
    words, now = (", ".join(f"{k}={v}" for k, v in at.items()) for at in (searched, here))
    return (
        f"lr={config.lr:g} was searched at {words}, and this run has {now}: "
        "give lr=... if the result matters"
    )
