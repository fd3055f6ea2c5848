"""Schemas of configurations: dataclasses whose fields carry type, range and neutrality.

A field made by `setting` says in one place which values a key takes and whether the key can change
a result. Knows no kind of problem.
"""

from __future__ import annotations

import dataclasses
import functools
import math
import types
import typing
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any, NamedTuple

from aswa.config.messages import nearest

IN_WORDS = {
    int: "a whole number",
    float: "a number",
    str: "a word",
    bool: "true or false",
    dict: "keys and values",
    list: "a list",
    types.NoneType: "null",
}


class ConfigError(ValueError):
    """A configuration that cannot be run; says which key, why, and what would do."""


class Misfit(ConfigError):
    """A dataset and a model that are not for each other: a sweep leaves the combination out."""


def unknown(place: str, word: str, names: typing.Iterable[str]) -> ConfigError:
    """An error that names the nearest right name."""
    return ConfigError(f"{place}: no such name; {nearest(word, names)}")


class Rule(NamedTuple):
    """What a value may be; None stands for no bound.

    `above` and `below` are exclusive; `choices` are words, `keys` those of a mapping.
    """

    least: float | None = None
    most: float | None = None
    above: float | None = None
    below: float | None = None
    choices: tuple[str, ...] | None = None
    keys: tuple[str, ...] | None = None

    def check(self, value: Any, place: str) -> None:
        """Refuse a value out of range; null is never out of range.

        Raises:
            ConfigError: names the key and the range.
        """
        if value is None:
            return
        if self.choices is not None:
            if value not in self.choices:
                raise unknown(f"{place}={value}", str(value), self.choices)
            return
        if self.keys is not None:
            for key in value.keys() - set(self.keys):
                raise unknown(dotted(place, key), key, self.keys)
            return
        if isinstance(value, (str, bool, dict, list)):
            return
        outside = (
            (self.least is not None and not value >= self.least)
            or (self.most is not None and not value <= self.most)
            or (self.above is not None and not value > self.above)
            or (self.below is not None and not value < self.below)
        )
        if outside or (isinstance(value, float) and not math.isfinite(value)):
            raise ConfigError(f"{place}={value}: must be {self._words()}")

    def _words(self) -> str:
        lower = self.least if self.least is not None else self.above
        upper = self.most if self.most is not None else self.below
        if lower is None and upper is None:
            return "a finite number"
        if upper is None:
            return f"at least {lower:g}" if self.least is not None else f"a number above {lower:g}"
        left = "[" if self.least is not None else "("
        right = "]" if self.most is not None else ")"
        return f"a number in {left}{lower:g}, {upper:g}{right}"


def setting(
    default: Any = dataclasses.MISSING,
    *,
    neutral: bool = False,
    derive: Callable[[Mapping[str, Any]], Any] | None = None,
    before_the_end: bool = False,
    **rule: Any,
) -> Any:
    """A field of a schema.

    Args:
        default: of the field; none makes the key obligatory.
        neutral: the key says where and how a run is computed, not what: no part of run_id.
        derive: for a key of a method that is null, its value from the whole configuration.
        before_the_end: the value has to be below the number of epochs.
        rule: of `Rule`: least, most, above, below, choices, keys.
    """
    facts = {"neutral": neutral, "derive": derive, "before_the_end": before_the_end}
    return dataclasses.field(default=default, metadata={**facts, "rule": Rule(**rule)})


@functools.cache
def _hints(schema: Hashable) -> dict[str, Any]:
    return typing.get_type_hints(schema)


def keys(schema: type[Any]) -> list[str]:
    """The keys of a schema, in order."""
    return [field.name for field in dataclasses.fields(schema)]


def neutral_keys(*schemas: type[Any]) -> set[str]:
    """Keys that cannot change a result."""
    fields = [field for schema in schemas for field in dataclasses.fields(schema)]
    return {field.name for field in fields if field.metadata.get("neutral")}


def checked(schema: type[Any], values: Mapping[str, Any], place: str) -> dict[str, Any]:
    """`values` with every key, type and range of a schema checked; whole numbers become floats.

    Raises:
        ConfigError: a key is unknown or missing, or a value of the wrong type or out of range.
    """
    hints = _hints(typing.cast(Hashable, schema))
    for key in values:
        if key not in hints:
            raise unknown(dotted(place, key), key, hints)
    found = {}
    for field in dataclasses.fields(schema):
        where = dotted(place, field.name)
        if field.name not in values:
            if field.default is dataclasses.MISSING:
                raise ConfigError(f"{where}: missing; give it a value")
            continue
        value = convert(values[field.name], hints[field.name], where)
        if (rule := field.metadata.get("rule")) is not None:
            rule.check(values[field.name], where)
        found[field.name] = value
    return found


def open_checked(
    schemas: Sequence[type[Any]],
    values: Mapping[str, Any],
    template: Mapping[str, Any],
    place: str,
) -> dict[str, Any]:
    """As `checked`, for a group whose members bring keys of their own.

    Args:
        schemas: whose keys are checked by type and range.
        values: of the member, without the keys that the group's own class has.
        template: the member's YAML file: its other keys are allowed, with values of its types.
    """
    known: set[str] = set().union(*map(keys, schemas))
    for key in template.keys() - values.keys() - known:
        raise ConfigError(f"{dotted(place, key)}: missing; give it a value")
    own = {key: value for key, value in values.items() if key not in known}
    for key, value in own.items():
        where = dotted(place, key)
        if key not in template:
            raise unknown(where, key, [*template, *known])
        usual = template[key]
        if usual is not None and value is not None and not isinstance(usual, dict):
            convert(value, type(usual), where)
    found = dict(own)
    for schema in schemas:
        mine = {key: value for key, value in values.items() if key in keys(schema)}
        found |= checked(schema, mine, place)
    return {key: found[key] for key in values}


def dotted(place: str, key: str) -> str:
    """`place.key`, or `key` at the top."""
    return f"{place}.{key}" if place else key


def convert(value: Any, hint: Any, place: str) -> Any:
    """`value` if it is of the type hinted; an integer may stand for a float.

    Raises:
        ConfigError: names the key and the type.
    """
    if hint is Any:
        return value
    allowed = typing.get_args(hint) if isinstance(hint, types.UnionType) else (hint,)
    allowed = tuple(typing.get_origin(kind) or kind for kind in allowed)
    if float in allowed and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if (isinstance(value, bool) and bool not in allowed) or not isinstance(value, allowed):
        wanted = " or ".join(IN_WORDS.get(kind, kind.__name__) for kind in allowed)
        raise ConfigError(f"{place}={value}: expected {wanted}")
    return value


def flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested mapping → {"a.b.c": leaf}. Lists and empty mappings are leaves."""
    found: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, Mapping) and value:
            found.update(flat(value, f"{prefix}{key}."))
        else:
            found[f"{prefix}{key}"] = value
    return found
