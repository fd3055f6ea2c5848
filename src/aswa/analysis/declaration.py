"""The analysis declared in advance: which metrics, which comparisons, which level."""

from __future__ import annotations

import difflib
import math
from dataclasses import MISSING, dataclass, fields
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from aswa.files import conf_dir

LISTS = ("metrics", "primary_metrics", "comparisons", "scopes")
SCOPES = ("all", "dataset")
COLLAPSED = ("leave_out", "keep")


@dataclass(frozen=True)
class Comparison:
    """Two methods, compared as a minus b."""

    a: str
    b: str


@dataclass(frozen=True)
class Declaration:
    """`conf/analysis/<name>.yaml`, checked. The fields are explained in that file."""

    metrics: tuple[str, ...]
    primary_metrics: tuple[str, ...]
    comparisons: tuple[Comparison, ...]
    scopes: tuple[str, ...]
    alpha: float
    confidence: float
    collapsed: str
    rope: float = 0.0
    about: str = ""


def load_declaration(name: str = "default") -> Declaration:
    """Read a declaration by name (conf/analysis/<name>.yaml) or by the path of a YAML file.

    Raises:
        FileNotFoundError: no such file; the message lists those there are.
        ValueError: a key is misspelt or missing, or a value is out of range.
    """
    path = Path(name)
    if path.suffix not in (".yaml", ".yml"):
        path = conf_dir() / "analysis" / f"{name}.yaml"
    if not path.is_file():
        stems = sorted((p.stem for p in path.parent.glob("*.yaml")), key=lambda s: s != "default")
        known = ", ".join(stems) or "none"
        raise FileNotFoundError(f"no declared analysis {path}; declared there: {known}")
    try:
        content = OmegaConf.to_container(OmegaConf.load(path))
    except (YAMLError, OmegaConfBaseException) as error:
        raise ValueError(f"{path}: not valid YAML ({error}); correct it there") from None
    if not isinstance(content, dict):
        raise ValueError(f"{path}: not a mapping; start from conf/analysis/default.yaml")
    return parse_declaration({str(key): value for key, value in content.items()}, str(path))


def parse_declaration(content: dict[str, Any], where: str) -> Declaration:
    """Check the content of a file. `where` names it in errors. Raises ValueError."""
    known = {f.name: f.default is MISSING for f in fields(Declaration)}
    _check_keys(content, known, where)
    for key in LISTS:
        if not isinstance(content[key], list) or not content[key]:
            raise ValueError(f"{where}: {key} is {content[key]!r}, not a list of at least one")
    for number, pair in enumerate(content["comparisons"], start=1):
        place = f"{where}: comparison {number}"
        if not isinstance(pair, dict):
            raise ValueError(f"{place} is {pair!r}; write {{a: aswa, b: sgd}}")
        _check_keys(pair, {"a": True, "b": True}, place)
    limits = {"alpha": 1.0, "confidence": 1.0} | ({"rope": math.inf} if content.get("rope") else {})
    for key, limit in limits.items():
        value = content[key]
        number = isinstance(value, (int, float)) and not isinstance(value, bool)
        if not number or not 0.0 < value < limit:
            raise ValueError(f"{where}: {key} is {value!r}, not a number between 0 and {limit:g}")
    members = [(scope, SCOPES, "scopes") for scope in content["scopes"]]
    members += [(m, content["metrics"], "primary_metrics") for m in content["primary_metrics"]]
    for value, allowed, key in [*members, (content["collapsed"], COLLAPSED, "collapsed")]:
        if value not in allowed:
            raise ValueError(f"{where}: {key}: {value!r} is not one of {', '.join(allowed)}")
    pairs = tuple(Comparison(str(pair["a"]), str(pair["b"])) for pair in content["comparisons"])
    lists = {key: tuple(content[key]) for key in LISTS}
    return Declaration(**{**content, **lists, "comparisons": pairs})


def _check_keys(content: dict[str, Any], known: dict[str, bool], where: str) -> None:
    """`known` says of each key whether it has to be there."""
    for key in content:
        if key not in known:
            near = difflib.get_close_matches(str(key), known, n=1, cutoff=0.0)
            raise ValueError(f"{where}: unknown key {key!r}; did you mean {near[0]!r}?")
    missing = [key for key, needed in known.items() if needed and key not in content]
    if missing:
        raise ValueError(f"{where}: lacks {', '.join(missing)}; see conf/analysis/default.yaml")
