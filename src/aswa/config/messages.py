"""Messages that name the fix: the nearest right name, and Hydra's complaints in our words."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from aswa.config.members import GROUPS, RECIPES, members, template

HYDRA = {"hydra/launcher": "basic, joblib, submitit_local, submitit_slurm", "hydra/sweeper": "grid"}
OTHER_WORDS = {
    "learning_rate": "lr", "embedding_dim": "model.dim", "num_epochs": "epochs",
    "output_dir": "results_dir", "random_seed": "seed",
}  # fmt: skip
FEW, MANY = 5, 20  # names that are listed beside a suggestion, and without one


def nearest(word: str, names: Iterable[str]) -> str:
    """`did you mean X?` for the closest of `names`, or the list of them, of many the nearest."""
    names = list(names)
    listed = f"there are: {', '.join(names)}"
    if close := difflib.get_close_matches(word, names, n=1, cutoff=0.5):
        return f"did you mean {close[0]!r}?" + (f" ({listed})" if len(names) <= FEW else "")
    if len(names) <= MANY:
        return listed
    close = difflib.get_close_matches(word, names, n=FEW, cutoff=0.0)
    return f"the nearest of {len(names)}: {', '.join(close)}"


def explain(error: Exception) -> str:
    """One or two lines: what is wrong, where, and the nearest right name."""
    from hydra.errors import MissingConfigException, OverrideParseException

    first = str(error).strip().splitlines()[0]
    if isinstance(error, MissingConfigException) and error.missing_cfg_file:
        missing = Path(str(error.missing_cfg_file))
        group, word = str(missing.parent), missing.name
        if group == ".":  # `dataset=` without a member
            group, word = word, ""
        if group.startswith("hydra"):
            group, word = (str(missing), "") if group == "hydra" else (group, word)
            there = HYDRA.get(group, "see `aswa-train --cfg hydra`")
            return f"{group}={word}: no such member; there are: {there}"
        return f"{group}={word}: no such {group}; {nearest(word, members(group))}"
    if found := re.match(r"Ambiguous value for argument '([^=]+)=(.*)'$", first):
        words, together = f"{found[1]}={found[2]}: several values", f"'{found[1]}=[{found[2]}]'"
        if found[1] == "tracker":
            return f"{words}; write {together} to have them all"
        rest = f", or write {together} for one run" if found[1] == "optimizer" else ""
        return f"{words}; add -m for a sweep{rest}"
    if "Config group override must be a string" in first:
        return "a group was set to null; name one of its members, or leave the word out"
    if isinstance(error, OverrideParseException):
        return f"{error.override}: cannot be read as key=value; {first}"
    for text in _chain(error):
        if key := re.search(r"Could not override '([^']+)'|Key '([^']+)' is not in struct", text):
            word = key[1] or key[2]
            return f"{word}: no such key; {_elsewhere(word) or _nearest_key(word)}"
    return " ".join(dict.fromkeys(text.splitlines()[0] for text in _chain(error)))


def _elsewhere(word: str) -> str:
    """Which members of the key's group have it, for a key that the chosen member has not."""
    group, _, rest = word.partition(".")
    having = [name for name in members(group) if rest in _dotted(template(group, name))]
    return f"it belongs to {group}={' or '.join(having)}" if having else ""


def _nearest_key(word: str) -> str:
    """The key that `word` ends, or that other projects call so, else the nearest by its letters."""
    keys = known_keys()
    ending = [key for key in keys if key.endswith(f".{word}") and not key.startswith("dataset.")]
    if 0 < len(ending) <= FEW:
        return f"did you mean {' or '.join(map(repr, ending))}?"
    if close := difflib.get_close_matches(word, OTHER_WORDS, n=1, cutoff=0.8):
        return f"did you mean {OTHER_WORDS[close[0]]!r}?"
    return nearest(word, keys)


def known_keys() -> list[str]:
    """Every dotted key of `conf/`, for suggestions."""
    top = [key for key in template("", "config") if key != "hydra"]  # it lies beside the groups
    inner = [
        f"{group}.{key}"
        for group in GROUPS
        if group not in RECIPES
        for name in members(group)
        for key in _dotted(template(group, name))
    ]
    return [*top, *GROUPS, *dict.fromkeys(inner)]


def _dotted(values: dict[str, Any]) -> Iterator[str]:
    for key, value in values.items():
        yield key
        if isinstance(value, dict):
            yield from (f"{key}.{inner}" for inner in _dotted(value))


def _chain(error: BaseException | None) -> Iterator[str]:
    while error is not None:
        yield str(error).strip()
        error = error.__cause__ or error.__context__


def time_text(seconds: float) -> str:
    """`45 s`, `12 min` or `3.5 h`."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
