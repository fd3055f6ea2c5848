"""What follows from the rest of a configuration is filled in: after that nothing is left open.

Each function completes a plain configuration in place, and raises a ConfigError for a wrong key.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from aswa.config.members import composed_of, member_file, template
from aswa.config.methods import METHOD_OPTIONS, Starting
from aswa.config.schema import ConfigError, Misfit, checked, unknown
from aswa.registry import kinds, load, methods, models

# Methods with a `start`: the first epoch that they look at.
STARTING = [name for name, schema in METHOD_OPTIONS.items() if issubclass(schema, Starting)]
# Key of a row of `hyperparameters` → places in a configuration that it fills where they are null.
PLACES = {
    "epochs": ("epochs",),
    "batch_size": ("batch_size",),
    "lr": ("lr",),
    "weight_decay": ("base_optimizer.weight_decay",),
    "swa_start": ("schedule.start", *(f"optimizer.{name}.start" for name in STARTING)),
    "swa_lr": ("schedule.swa_lr",),
    "hard_updates": ("optimizer.aswa_released.hard_updates",),
}
ANNEALED = 0.01  # last rate over the first of plain SGD, as in the code of Izmailov et al. 2018


def fill_from_table(plain: dict[str, Any]) -> Mapping[str, Any]:
    """`hyperparameters: NAME` fills what is null from that table of the dataset, by model.

    Returns:
        the row of the table as published; empty if no table is asked for.
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
    # Averaging begins at the same part of a shorter run.
    if isinstance(plain["epochs"], int) and "swa_start" in row:
        row["swa_start"] = max(1, round(row["swa_start"] * plain["epochs"] / row["epochs"]))
    for key, value in row.items():
        for filled in PLACES[key]:
            _fill_null(plain, filled, value)
    return published


def _fill_null(plain: dict[str, Any], place: str, value: Any) -> None:
    """Set a dotted key that is there and null."""
    *groups, key = place.split(".")
    for group in groups:
        plain = plain.get(group) or {}
    if key in plain and plain[key] is None:
        plain[key] = value


def fill_untrained(plain: dict[str, Any], overrides: Sequence[str]) -> None:
    """Set the keys of training of a kind that trains nothing in epochs; refuse words for them."""
    kind = kinds()[plain["dataset"]["kind"]]
    for word in overrides:
        key = word.lstrip("+~").partition("=")[0]
        if key.partition(".")[0] in kind.untrained:
            raise ConfigError(f"{key}: nothing is trained in epochs on {kind.words}; leave it out")
    plain.update({key: value for key, value in kind.untrained.items() if value is not None})


def fill_name(dataset: dict[str, Any]) -> None:
    """A dataset without a name has that of its folder, which may be a path."""
    if dataset["name"] is not None:
        return
    if not dataset.get("folder"):
        raise ConfigError("dataset.folder: where the dataset is; give dataset.folder=PATH")
    path = Path(dataset["folder"]).expanduser()
    if path.is_dir():
        dataset["folder"] = str(path.resolve())
    name = dataset["name"] = path.resolve().name
    if member_file("dataset", name):
        raise ConfigError(
            f"dataset.folder={path}: a dataset of conf/ is called {name}; take dataset={name}, or "
            "another name with dataset.name=..."
        )


def fill_schedule(plain: dict[str, Any]) -> None:
    """`fair` where nothing averages: the rate decays to the end of the run."""
    known = methods()
    averaging = any(name in known and known[name].averages for name in plain["optimizer"])
    if plain["schedule"]["name"] == "fair" and not averaging:
        rate = plain["lr"]
        plain["schedule"]["start"] = plain["epochs"]
        plain["schedule"]["swa_lr"] = ANNEALED * rate if isinstance(rate, (int, float)) else None


def fill_rate(plain: dict[str, Any]) -> None:
    """`lr: null` is the dataset's rate for the model."""
    if plain.get("lr") is not None:
        return
    dataset, model = plain["dataset"], plain["model"]["name"]
    if model not in dataset["tuned_lr"]:
        place = f"conf/dataset/{dataset['name']}.yaml"
        known = f" ({place}, tuned_lr)" if member_file("dataset", dataset["name"]) else ""
        raise ConfigError(
            f"lr: none was searched for model={model} on dataset={dataset['name']}{known}; give "
            "one, such as lr=0.01"
        )
    plain["lr"] = float(dataset["tuned_lr"][model])


def fill_task(plain: dict[str, Any]) -> tuple[dict[str, Any], list[Any]]:
    """The task of a configuration, and the files whose bytes it names.

    A usual task without options is left out: named or not, the run is the same.
    """
    dataset, chosen = plain["dataset"], plain.pop("task", None)
    kind = kinds()[dataset["kind"]]
    if chosen is None:
        usual = template("task", kind.usual_task)
        chosen = {"name": kind.usual_task, "kind": kind.name, **usual}
    if chosen["name"] not in kind.tasks:
        raise unknown("task.name", chosen["name"], kind.tasks)
    fill = kind.tasks[chosen["name"]].fill
    files = load(fill)(chosen) if fill else []
    if chosen["name"] != kind.usual_task or chosen.keys() > {"name", "kind"}:
        plain["task"] = chosen
    return chosen, files


def check_fit(plain: dict[str, Any]) -> None:
    """Raise a Misfit for a model or a task that is for another kind of dataset."""
    dataset, model = plain["dataset"], plain["model"]
    kind = kinds()[dataset["kind"]]
    for group in ("model", "task"):
        chosen = plain.get(group)
        if chosen is None or chosen["kind"] == kind.name:
            continue
        fitting = list(kind.tasks)
        if group == "model":
            fitting = [n for n in models() if template("model", n).get("kind") == kind.name]
        other = kinds().get(chosen["kind"])
        raise Misfit(
            f"{group}={chosen['name']} is for {other.words if other else chosen['kind']}, and "
            f"dataset={dataset['name']} is of kind {kind.words}; {group}s that fit it: "
            f"{', '.join(fitting) or 'none in this version'}"
        )
    if model["name"] not in models():
        raise unknown(f"model.name={model['name']}", model["name"], models())


def fill_methods(plain: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Options of the methods by name, in the order of tables, filled in and checked.

    A group of methods that is no member's goes by their names.
    """
    group, known, epochs = plain["optimizer"], methods(), plain["epochs"]
    for name in group.keys() - {"name"} - known.keys():
        raise unknown(f"optimizer.{name}", name, known)
    found = {name: group[name] for name in known if name in group}
    kind = kinds()[plain["dataset"]["kind"]]
    fitting = [name for name, method in known.items() if method.family == kind.methods]
    if found and not found.keys() <= set(fitting):
        other = next(name for name in found if name not in fitting)
        raise Misfit(
            f"optimizer={other} is not for {kind.words} (dataset={plain['dataset']['name']}); "
            f"methods that fit it: {', '.join(fitting)}"
        )
    if not found:
        raise ConfigError(f"optimizer: names no method; take some of {', '.join(known)}")
    if found.keys() != composed_of("optimizer", group["name"]):  # such as optimizer=[sgd,aswa]
        group["name"] = "+".join(found)
    for name, options in found.items():
        place = f"optimizer.{name}"
        if not isinstance(options, dict):
            others = [other for other, said in found.items() if isinstance(said, dict)]
            rest = ",".join(others) or "aswa"
            raise ConfigError(
                f"{place}: a method has options, and is left out by naming the others: "
                f"'optimizer=[{rest}]'"
            )
        if (schema := METHOD_OPTIONS.get(name)) is None:  # of another package
            checked([], options, place, template("optimizer", name).get(name) or {})
            continue
        for key, value in options.items():
            if isinstance(value, float) and math.isinf(value):
                options[key] = None  # no bound
        if issubclass(schema, Starting) and "start" in options:
            options["start"] = _start(schema, options, place, epochs)
        checked([schema], options, place)
    return {name: dict(options) for name, options in found.items()}


def _start(schema: type[Starting], options: Mapping[str, Any], place: str, epochs: int) -> Any:
    """`start` of a method, in place of null its part of the run; checked where it counts epochs."""
    start, in_epochs = options["start"], schema.in_epochs(options)
    if start is None and not in_epochs:
        raise ConfigError(f"{place}.start: null counts epochs; with unit=step give it in steps")
    if start is None:
        return int(epochs * schema.START)
    if isinstance(start, int) and start >= epochs and in_epochs:
        raise ConfigError(
            f"{place}.start={start}: nothing would be averaged in epochs={epochs}; "
            f"take at most {epochs - 1}"
        )
    return start
