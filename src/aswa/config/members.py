"""The YAML files of the groups: of this package, of others, and of Hydra's search path."""

from __future__ import annotations

import functools
import importlib.metadata
import importlib.resources
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import yaml

from aswa.files import conf_dir

GROUPS = (
    "dataset", "model", "task", "optimizer", "base_optimizer", "schedule", "population",
    "tracker", "published", "experiment",
)  # fmt: skip

RECIPES = ("published", "experiment")  # set other groups, and are no part of a run

_added: list[Path] = []
_recorded: dict[tuple[str, str], dict[str, Any]] = {}


@functools.cache
def packaged_folders() -> tuple[Path, ...]:
    """Folders that other packages name by the entry point group `aswa.conf`."""
    found = importlib.metadata.entry_points(group="aswa.conf")
    return tuple(Path(str(importlib.resources.files(each.value))) for each in found)


def add_folders(folders: Iterable[str]) -> None:
    """Look into these folders as well: `--config-dir` and `hydra.searchpath` of a command."""
    _added.extend(path for path in map(Path, folders) if path not in folders_of_members())


def add_sources(sources: Iterable[Any]) -> None:
    """Look into the folders of Hydra's `runtime.config_sources` as well."""
    add_folders(source.path for source in sources if source.schema == "file")


def add_recorded(composed: dict[str, Any]) -> None:
    """Know the members of a recorded configuration whose files are not here.

    They may be of a `--config-dir` that is not given now. Their keys and values, which were checked
    when the run was planned, take the place of a file's.
    """
    for group in GROUPS:
        values = composed.get(group)
        if isinstance(values, dict) and member_file(group, name := str(values.get("name"))) is None:
            _recorded[group, name] = values


def folders_of_members() -> list[Path]:
    """Where the YAML files of the groups are, in the order of looking."""
    return [conf_dir(), *packaged_folders(), *_added]


def members(group: str) -> list[str]:
    """Names that `group=` takes."""
    found = [folder / group for folder in folders_of_members()]
    paths = (path.relative_to(folder) for folder in found for path in folder.rglob("*.yaml"))
    return sorted({path.with_suffix("").as_posix() for path in paths})


def member_file(group: str, name: str) -> Path | None:
    """The YAML file of a member; None if there is none."""
    paths = (folder / group / f"{name}.yaml" for folder in folders_of_members())
    return next((path for path in paths if path.is_file()), None)


def template(group: str, name: str) -> dict[str, Any]:
    """The keys and usual values of a member, without its `defaults`; empty if it is unknown."""
    path = member_file(group, name)
    values = _parsed(path.read_text("utf-8")) if path else _recorded.get((group, name), {})
    return {key: value for key, value in values.items() if key != "defaults"}


def composed_of(group: str, name: str) -> set[str]:
    """The keys that a member's file and those of its `defaults` have, but for `name`."""
    path = member_file(group, name)
    values = dict(_parsed(path.read_text("utf-8")) if path else _recorded.get((group, name), {}))
    parts = [part for part in values.pop("defaults", []) if part != "_self_"]
    return (values.keys() - {"name"}).union(*(composed_of(group, part) for part in parts))


@functools.lru_cache(maxsize=256)  # a sweep of thousands asks for the same few again and again
def _parsed(text: str) -> dict[str, Any]:
    return yaml.safe_load(text) or {}
