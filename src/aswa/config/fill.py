"""What follows from the rest of a configuration is filled in: after that nothing is left open.

Each function completes a plain configuration in place.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

from aswa.config.members import members, template
from aswa.config.methods import METHOD_OPTIONS
from aswa.config.schema import ConfigError, Misfit, checked, unknown
from aswa.registry import kinds, load, methods, models

# Key of a row of `hyperparameters` → places in a configuration that it fills where they are null.
PLACES = {
    "epochs": ("epochs",),
    "batch_size": ("batch_size",),
    "lr": ("lr",),
    "weight_decay": ("base_optimizer.weight_decay",),
    "swa_start": ("schedule.start", "optimizer.swa.start", "optimizer.aswa_released.start"),
    "swa_lr": ("schedule.swa_lr",),
    "hard_updates": ("optimizer.aswa_released.hard_updates",),
}
ANNEALED = 0.01  # last rate over the first of plain SGD, as in the code of Izmailov et al. 2018


def fill_from_table(plain: dict[str, Any]) -> Mapping[str, Any]:
    """`hyperparameters: NAME` fills what is null from that table of the dataset, by model.

    Returns:
        the row of the table as published; empty if no table is asked for.

    Raises:
        ConfigError: no such table, or no row for the model.
    """
    dataset, model = plain["dataset"], plain["model"]["name"]
    tables = dataset.pop("hyperparameters", None) or {}
    wanted = plain.pop("hyperparameters", None)
    if wanted is None:
        return {}
    place = f"hyperparameters={wanted}"
    if wanted not in tables:
        raise unknown(f"{place} of dataset={dataset['name']}", wanted, tables)
    if model not in tables[wanted]:
        raise unknown(f"{place}: model", model, tables[wanted])
    published: dict[str, Any] = tables[wanted][model]
    row = dict(published)
    if isinstance(plain["epochs"], int):  # averaging begins at the same part of a shorter run
        row["swa_start"] = max(1, round(row["swa_start"] * plain["epochs"] / row["epochs"]))
    for key, value in row.items():
        for place in PLACES[key]:
            _fill_null(plain, place, value)
    return published


def _fill_null(plain: dict[str, Any], place: str, value: Any) -> None:
    """Set a dotted key that is there and null."""
    *groups, key = place.split(".")
    for group in groups:
        plain = plain.get(group) or {}
    if key in plain and plain[key] is None:
        plain[key] = value


def fill_schedule(plain: dict[str, Any]) -> None:
    """`fair` where nothing averages: the rate decays to the end of the run."""
    known = methods()
    averaging = any(name in known and known[name].averages for name in plain["optimizer"])
    if plain["schedule"]["name"] != "fair" or averaging:
        return
    rate = plain["lr"]
    plain["schedule"]["start"] = plain["epochs"]
    plain["schedule"]["swa_lr"] = ANNEALED * rate if isinstance(rate, (int, float)) else None


def fill_rate(plain: dict[str, Any]) -> None:
    """`lr: null` is the dataset's rate for the model.

    Raises:
        ConfigError: none was searched.
    """
    if plain.get("lr") is not None:
        return
    dataset, model = plain["dataset"], plain["model"]["name"]
    if model not in dataset["tuned_lr"]:
        raise ConfigError(
            f"lr: none was searched for model={model} on dataset={dataset['name']} "
            f"(conf/dataset/{dataset['name']}.yaml, tuned_lr); give one, such as lr=0.01"
        )
    plain["lr"] = float(dataset["tuned_lr"][model])


def fill_task(plain: dict[str, Any]) -> tuple[dict[str, Any], list[Any]]:
    """The task of a configuration, and the files whose bytes it names.

    A usual task without options is left out: named or not, the run is the same.

    Raises:
        ConfigError: a key is wrong.
        Misfit: the task is for data of another kind.
    """
    dataset, chosen = plain["dataset"], plain.pop("task", None)
    kind = kinds()[dataset["kind"]]
    if chosen is None:
        usual = template("task", kind.usual_task)
        chosen = {"name": kind.usual_task, "kind": kind.name, **usual}
    if chosen["kind"] != kind.name:
        raise Misfit(
            f"task={chosen['name']} is for {_words(chosen['kind'])}, and dataset="
            f"{dataset['name']} is of kind {kind.words}; tasks that fit it: {', '.join(kind.tasks)}"
        )
    if chosen["name"] not in kind.tasks:
        raise unknown("task.name", chosen["name"], kind.tasks)
    files = []
    if fill := kind.tasks[chosen["name"]].fill:
        files = load(fill)(chosen)
    if chosen["name"] != kind.usual_task or chosen.keys() > {"name", "kind"}:
        plain["task"] = chosen
    return chosen, files


def check_model_fits(plain: dict[str, Any]) -> None:
    """Refuse a model that is for another kind of dataset.

    Raises:
        Misfit: names the models that fit.
    """
    dataset, model = plain["dataset"], plain["model"]
    kind = kinds()[dataset["kind"]]
    if model["kind"] != kind.name:
        fitting = [n for n in models() if template("model", n).get("kind") == kind.name]
        raise Misfit(
            f"model={model['name']} is for {_words(model['kind'])}, and dataset={dataset['name']} "
            f"is of kind {kind.words}; models that fit it: "
            f"{', '.join(fitting) or 'none in this version'}"
        )
    if model["name"] not in models():
        raise unknown(f"model.name={model['name']}", model["name"], models())


def _words(kind: str) -> str:
    return kinds()[kind].words if kind in kinds() else str(kind)


def fill_methods(plain: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Options of the methods by name, in the order of tables, checked and filled in.

    Raises:
        ConfigError: an option is wrong, or no method is named.
    """
    group = plain["optimizer"]
    for name in group:
        if name != "name" and name not in methods():
            raise unknown(f"optimizer.{name}", name, methods())
    found = {name: group[name] for name in methods() if name in group}
    if not found:
        raise ConfigError(f"optimizer: names no method; take some of {', '.join(methods())}")
    for name, options in found.items():
        place, schema = f"optimizer.{name}", METHOD_OPTIONS.get(name)
        if schema is None:
            continue
        for field in dataclasses.fields(schema):
            value = options.get(field.name)
            if isinstance(value, float) and math.isinf(value):
                options[field.name] = value = None  # no bound
            if value is None and (derive := field.metadata["derive"]) is not None:
                options[field.name] = derive(plain)
        checked(schema, options, place)
        _check_before_the_end(schema, options, place, plain["epochs"])
    return {name: dict(options) for name, options in found.items()}


def _check_before_the_end(schema: Any, options: dict[str, Any], place: str, epochs: Any) -> None:
    for field in dataclasses.fields(schema):
        value = options.get(field.name)
        late = value is not None and isinstance(epochs, int) and value >= epochs
        if field.metadata["before_the_end"] and late:
            raise ConfigError(
                f"{place}.{field.name}={value}: nothing would be averaged in epochs={epochs}; "
                f"take at most {epochs - 1}"
            )


def check_methods_like_files(plain: dict[str, Any]) -> None:
    """A method has the options that its YAML file has, with values of the same types.

    Raises:
        ConfigError: names the key.
    """
    group = plain["optimizer"]
    own = template("optimizer", group["name"])
    for name, options in group.items():
        if name == "name":
            continue
        if name not in own and name not in members("optimizer"):
            raise unknown(f"optimizer.{name}", name, methods())
        usual = own.get(name) or template("optimizer", name).get(name) or {}
        for key in options:
            if key not in usual:
                raise unknown(f"optimizer.{name}.{key}", key, usual)
        for key in usual:
            if key not in options:
                raise ConfigError(f"optimizer.{name}.{key}: missing; give it a value")
