"""How a configuration is checked: names against the nearest right one, values against types."""

from __future__ import annotations

import dataclasses
import difflib
import functools
import types
import typing
from collections.abc import Iterable, Mapping
from typing import Any

import yaml

from aswa.files import conf_dir

DERIVED = ("methods", "options", "resolved")  # fields that are no keys

IN_WORDS = {
    int: "a whole number",
    float: "a number",
    str: "a word",
    bool: "true or false",
    dict: "keys and values",
    types.NoneType: "null",
}


class ConfigError(ValueError):
    """A configuration that cannot be run; says which key, why, and what would do."""


class Misfit(ConfigError):
    """A dataset and a model that are not for each other: a sweep leaves the combination out."""


def nearest(word: str, names: Iterable[str]) -> str:
    """`; did you mean X?` for the closest of `names`, or the list of them."""
    names = list(names)
    close = difflib.get_close_matches(word, names, n=1, cutoff=0.5)
    listed = f"there are: {', '.join(names)}"
    if not close:
        return listed
    return f"did you mean {close[0]!r}?" + (f" ({listed})" if len(names) <= 5 else "")


def unknown(place: str, word: str, names: Iterable[str]) -> str:
    return f"{place}: no such name; {nearest(word, names)}"


def check_group(group: str, values: Any) -> None:
    """A group has the keys that its members' files have, with values of the same types."""
    if not isinstance(values, dict) or "name" not in values:
        raise ConfigError(f"{group}: none is chosen; take {group}=... of conf/{group}/")
    path = conf_dir() / group / f"{values['name']}.yaml"
    if not path.is_file():
        names = sorted(p.stem for p in path.parent.glob("*.yaml"))
        raise ConfigError(unknown(f"{group}.name", str(values["name"]), names))
    template = _parsed(path.read_text())
    members = [name for name in values if isinstance(values[name], dict) and group == "optimizer"]
    for name in members:
        own = conf_dir() / group / f"{name}.yaml"
        if own.is_file():
            template[name] = _parsed(own.read_text())[name]
    template.pop("defaults", None)
    _check_like(group, values, template)


def _parsed(text: str) -> dict[str, Any]:
    """A file of conf/, of which a sweep of thousands checks the same few again and again."""
    return dict(_parsed_once(text))


@functools.lru_cache(maxsize=256)
def _parsed_once(text: str) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(text)
    return found


def _check_like(place: str, values: dict[str, Any], template: dict[str, Any]) -> None:
    for key in template:
        if key not in values:
            raise ConfigError(f"{place}.{key}: missing; give it a value")
    for key, value in values.items():
        where = f"{place}.{key}"
        if key not in template:
            raise ConfigError(unknown(where, key, template))
        usual = template[key]
        if isinstance(usual, dict) and isinstance(value, dict):
            if place == "optimizer" or key in ("triples", "sha256"):
                _check_like(where, value, usual)
        elif usual is not None and value is not None:
            convert(value, type(usual), where)


def typed(cls: type[Any], values: Mapping[str, Any], place: str) -> Any:
    """An instance of a dataclass from a mapping, with every key and type checked."""
    hints = typing.get_type_hints(cls)
    for key in values:
        if key not in hints:
            names = [name for name in hints if name not in DERIVED]
            raise ConfigError(unknown(_path(place, key), key, names))
    for field in dataclasses.fields(cls):
        if field.name not in values and field.default is dataclasses.MISSING:
            raise ConfigError(f"{_path(place, field.name)}: missing; give it a value")
    return cls(
        **{key: convert(value, hints[key], _path(place, key)) for key, value in values.items()}
    )


def _path(place: str, key: str) -> str:
    return f"{place}.{key}" if place else key


def convert(value: Any, hint: Any, place: str) -> Any:
    """`value` if it is of the type hinted; an integer may stand for a float."""
    allowed = typing.get_args(hint) if isinstance(hint, types.UnionType) else (hint,)
    allowed = tuple(typing.get_origin(kind) or kind for kind in allowed)
    if float in allowed and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if (isinstance(value, bool) and bool not in allowed) or not isinstance(value, allowed):
        wanted = " or ".join(IN_WORDS.get(kind, kind.__name__) for kind in allowed)
        raise ConfigError(f"{place}={value}: expected {wanted}")
    return value
