"""What belongs to images in a configuration: published hyper-parameters, ranges, labels."""

from __future__ import annotations

from typing import Any

from aswa.config.schema import ConfigError, unknown
from aswa.registry import AVERAGERS

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
# In `fair` all have SWA's schedule but those that average nothing.
AVERAGING = AVERAGERS.keys() - {"sgd", "early_stopping"}
ANNEALED = 0.01  # last rate over the first of plain SGD, as in the code of Izmailov et al. 2018


def settle_images(plain: dict[str, Any]) -> None:
    """Complete a plain configuration in place; for other kinds of data only check that none asks.

    `hyperparameters: NAME` fills what is null from that table of the dataset, by model. What makes
    the run smaller than the published experiment is written to `dataset.reduced`.

    Raises:
        ConfigError: no such table, or none for the model.
    """
    dataset, model = plain["dataset"], plain["model"]
    tables = dataset.pop("hyperparameters", None) or {}
    wanted = plain.pop("hyperparameters", None)
    row: dict[str, Any] = {}
    if wanted is not None:
        place = f"hyperparameters={wanted}"
        if wanted not in tables:
            raise ConfigError(unknown(f"{place} of dataset={dataset['name']}", wanted, tables))
        if model["name"] not in tables[wanted]:
            raise ConfigError(unknown(f"{place}: model", model["name"], tables[wanted]))
        row = _scaled(tables[wanted][model["name"]], plain["epochs"])
        for key, value in row.items():
            for dotted in PLACES[key]:
                _fill(plain, dotted, value)
    _settle_schedule(plain)
    if dataset["kind"] == "images":
        dataset["reduced"] = _reduced(plain, tables.get(wanted, {}).get(model["name"], {}))


def _scaled(row: dict[str, Any], epochs: Any) -> dict[str, Any]:
    """The row for another number of epochs: averaging begins at the same part of the run."""
    if not isinstance(epochs, int):
        return row
    return {**row, "swa_start": max(1, round(row["swa_start"] * epochs / row["epochs"]))}


def _fill(plain: dict[str, Any], dotted: str, value: Any) -> None:
    """Set a key that is there and null."""
    *groups, key = dotted.split(".")
    for group in groups:
        plain = plain.get(group) or {}
    if key in plain and plain[key] is None:
        plain[key] = value


def _settle_schedule(plain: dict[str, Any]) -> None:
    """`fair` without anything that averages: the rate decays to the end of the run."""
    if plain["schedule"]["name"] != "fair" or AVERAGING & plain["optimizer"].keys():
        return
    plain["schedule"]["start"] = plain["epochs"]
    plain["schedule"]["swa_lr"] = ANNEALED * _number(plain["lr"])


def _reduced(plain: dict[str, Any], published: dict[str, Any]) -> str | None:
    """`4000 training images, 10 epochs`; None for an experiment at its full size."""
    parts = []
    for split, word in (("train", "training"), ("test", "test")):
        if size := plain["dataset"].get(f"{split}_size"):
            parts.append(f"{size} {word} images")
    if _number(plain["epochs"]) < published.get("epochs", 0):
        parts.append(f"{plain['epochs']} of {published['epochs']} epochs")
    elif parts and not published:
        parts.append(f"{plain['epochs']} epochs")
    return ", ".join(parts) or None


def _number(value: Any) -> float:
    """Of a value that is not checked yet; what is no number is refused later, by its key."""
    return float(value) if isinstance(value, (int, float)) else 0.0


def check_images(resolved: dict[str, Any]) -> None:
    """What only image runs have.

    Raises:
        ConfigError: names the key and what would do.
    """
    ratio = resolved["dataset"]["valid_ratio"]
    if not (isinstance(ratio, (int, float)) and 0 < ratio < 1):
        raise ConfigError(f"dataset.valid_ratio={ratio}: must be a number in (0, 1), such as 0.05")
