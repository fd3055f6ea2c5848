"""Messages that name the fix: the nearest right name, and Hydra's complaints in our words."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import yaml

from aswa.config.members import GROUPS, folders_of_members, members, template
from aswa.files import conf_dir


def nearest(word: str, names: Iterable[str]) -> str:
    """`did you mean X?` for the closest of `names`, or the list of them."""
    names = list(names)
    close = difflib.get_close_matches(word, names, n=1, cutoff=0.5)
    listed = f"there are: {', '.join(names)}"
    if not close:
        return listed
    return f"did you mean {close[0]!r}?" + (f" ({listed})" if len(names) <= 5 else "")


def explain(error: Exception) -> str:
    """One or two lines: what is wrong, where, and the nearest right name."""
    from hydra.errors import MissingConfigException, OverrideParseException

    first = str(error).strip().splitlines()[0]
    if isinstance(error, MissingConfigException) and error.missing_cfg_file:
        missing = Path(str(error.missing_cfg_file))
        group, word = str(missing.parent), missing.name
        if group == ".":  # `dataset=` without a member
            group, word = word, ""
        return f"{group}={word}: no such {group}; {nearest(word, members(group))}"
    if found := re.match(r"Ambiguous value for argument '([^=]+)=(.*)'$", first):
        words = f"{found[1]}={found[2]}: several values; add -m for a sweep"
        together = f", or write 'optimizer=[{found[2]}]' for one run"
        return words + (together if found[1] == "optimizer" else "")
    if "Config group override must be a string" in first:
        return "a group was set to null; name one of its members, or leave the word out"
    if isinstance(error, OverrideParseException):
        return f"{error.override}: cannot be read as key=value; {first}"
    for text in _chain(error):
        key = re.search(r"Could not override '([^']+)'|Key '([^']+)' is not in struct", text)
        if key:
            word = key[1] or key[2]
            return f"{word}: no such key; {_elsewhere(word) or nearest(word, known_keys())}"
    return " ".join(dict.fromkeys(text.splitlines()[0] for text in _chain(error)))


def _elsewhere(word: str) -> str:
    """Which members of the key's group have it, for a key that the chosen member has not."""
    group, _, rest = word.partition(".")
    names = members(group) if rest else []
    having = [name for name in names if rest in list(_dotted(template(group, name)))]
    return f"it belongs to {group}={' or '.join(having)}" if having else ""


def known_keys() -> list[str]:
    """Every dotted key of `conf/`, for suggestions."""
    top = [
        str(key) for key in _read(conf_dir() / "config.yaml") if key not in ("defaults", "hydra")
    ]
    inner = [
        f"{group}.{key}"
        for group in GROUPS[:-1]
        for folder in folders_of_members()
        for path in sorted((folder / group).glob("*.yaml"))
        for key in _dotted(_read(path))
    ]
    return [*top, *GROUPS, *dict.fromkeys(inner)]


def _dotted(values: dict[str, Any]) -> Iterator[str]:
    for key, value in values.items():
        if key == "defaults":
            continue
        yield key
        if isinstance(value, dict):
            yield from (f"{key}.{inner}" for inner in _dotted(value))


def _read(path: Path) -> dict[str, Any]:
    return yaml.safe_load(path.read_text()) or {}


def _chain(error: BaseException | None) -> Iterator[str]:
    while error is not None:
        yield str(error).strip()
        error = error.__cause__ or error.__context__
