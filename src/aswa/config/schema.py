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
from collections.abc import Hashable, Mapping, Sequence
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

    `above` and `below` are exclusive, `least` and `most` inclusive; `choices` are words, `keys`
    those of a mapping.
    """

    least: float | None = None
    above: float | None = None
    below: float | None = None
    most: float | None = None
    choices: tuple[str, ...] | None = None
    keys: tuple[str, ...] | None = None

    def check(self, value: Any, place: str) -> None:
        """Raise a ConfigError for a value out of range; null is never out of range."""
        if value is None:
            return
        if self.choices is not None and value not in self.choices:
            raise unknown(f"{place}={value}", str(value), self.choices)
        if self.keys is not None:
            for key in value.keys() - set(self.keys):
                raise unknown(dotted(place, key), key, self.keys)
        if type(value) in (int, float) and not (
            abs(value) < math.inf
            and (self.least is None or value >= self.least)
            and (self.above is None or value > self.above)
            and (self.below is None or value < self.below)
            and (self.most is None or value <= self.most)
        ):
            raise ConfigError(f"{place}={value}: must be {self._words()}")

    def _words(self) -> str:
        lower = self.above if self.least is None else self.least
        if lower is None:
            return "a finite number"
        upper = self.most if self.below is None else self.below
        if upper is not None:
            ends = "(" if self.least is None else "[", "]" if self.below is None else ")"
            return f"a number in {ends[0]}{lower:g}, {upper:g}{ends[1]}"
        return f"a number above {lower:g}" if self.least is None else f"at least {lower:g}"


def setting(
    default: Any = dataclasses.MISSING,
    *,
    neutral: bool = False,
    added: bool = False,
    **rule: Any,
) -> Any:
    """A field of a schema.

    Args:
        default: of the field; none makes the key obligatory.
        neutral: the key says where and how a run is computed, not what: no part of run_id.
        added: the key is younger than recorded runs; with its default it is no part of run_id, so
            that these runs keep theirs.
        rule: of `Rule`: least, above, below, most, choices, keys.
    """
    metadata = {"neutral": neutral, "added": added, "rule": Rule(**rule)}
    return dataclasses.field(default=default, metadata=metadata)


_hints = functools.cache(typing.get_type_hints)


@dataclasses.dataclass(frozen=True)
class NoOptions:
    """Of a task or a method that has none."""


def keys(schema: type[Any]) -> list[str]:
    """The keys of a schema, in order."""
    return [field.name for field in dataclasses.fields(schema)]


def neutral_keys(*schemas: type[Any]) -> set[str]:
    """Keys that cannot change a result."""
    fields = [field for schema in schemas for field in dataclasses.fields(schema)]
    return {field.name for field in fields if field.metadata.get("neutral")}


def relevant(values: Mapping[str, Any], *schemas: type[Any]) -> dict[str, Any]:
    """`values` without neutral keys, and without added ones that have their default."""
    fields = [field for schema in schemas for field in dataclasses.fields(schema)]
    neutral = neutral_keys(*schemas)
    added = {field.name: field.default for field in fields if field.metadata.get("added")}
    return {
        key: value
        for key, value in values.items()
        if key not in neutral and not (key in added and value == added[key])
    }


def checked(
    schemas: Sequence[type[Any]],
    values: Mapping[str, Any],
    place: str,
    template: Mapping[str, Any] = types.MappingProxyType({}),
) -> dict[str, Any]:
    """`values` with every key, type and range checked; whole numbers become floats.

    Args:
        schemas: whose keys are checked by type and range.
        template: the YAML file of a member that brings keys of its own: these are allowed, with
            values of its types.

    Raises:
        ConfigError: a key is unknown or missing, or a value of the wrong type or out of range.
    """
    fields = {field.name: field for schema in schemas for field in dataclasses.fields(schema)}
    hints: dict[str, Any] = {}
    for schema in schemas:
        hints |= _hints(typing.cast(Hashable, schema))
    for key in values:
        if key not in hints and key not in template:
            raise unknown(dotted(place, key), key, {**template, **hints})
    needed = {key for key, field in fields.items() if field.default is dataclasses.MISSING}
    for key in [*fields, *template]:
        if key not in values and (key in needed or key not in fields):
            raise ConfigError(f"{dotted(place, key)}: missing; give it a value")
    found = dict(values)
    for key, value in values.items():
        where = dotted(place, key)
        if key in fields:
            found[key] = convert(value, hints[key], where)
            if (rule := fields[key].metadata.get("rule")) is not None:
                rule.check(value, where)
        elif not isinstance(template[key], (dict, types.NoneType)):
            convert(value, type(template[key]), where)
    return found


def dotted(place: str, key: str) -> str:
    """`place.key`, or `key` at the top."""
    return f"{place}.{key}" if place else key


def convert(value: Any, hint: Any, place: str) -> Any:
    """`value` if it is of the type hinted, else a ConfigError; an integer may stand for a float."""
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
    found = {}
    for key, value in values.items():
        if isinstance(value, Mapping) and value:
            found.update(flat(value, f"{prefix}{key}."))
        else:
            found[f"{prefix}{key}"] = value
    return found
