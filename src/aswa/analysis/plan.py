"""The analysis declared in advance: which metrics, which comparisons, which level."""

from __future__ import annotations

import difflib
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from aswa.files import conf_dir

SCOPES = ("all", "dataset")
COLLAPSED = ("leave_out", "keep")


@dataclass(frozen=True)
class Comparison:
    """Two methods, compared as a minus b."""

    a: str
    b: str


@dataclass(frozen=True)
class Plan:
    """`conf/analysis/<name>.yaml`, checked. The fields are explained in that file."""

    metrics: tuple[str, ...]
    primary_metrics: tuple[str, ...]
    comparisons: tuple[Comparison, ...]
    scopes: tuple[str, ...]
    alpha: float
    confidence: float
    collapsed: str
    rope: float = 0.0


def load_plan(name: str = "default") -> Plan:
    """Read a plan by name (`default`: conf/analysis/default.yaml) or by the path of a YAML file.

    Raises:
        FileNotFoundError: no such plan; the message lists those there are.
        ValueError: a key is misspelt or missing, or a value is out of range.
    """
    path = Path(name)
    if path.suffix not in (".yaml", ".yml"):
        path = conf_dir() / "analysis" / f"{name}.yaml"
    if not path.is_file():
        stems = sorted(
            (p.stem for p in path.parent.glob("*.yaml")), key=lambda s: (s != "default", s)
        )
        known = ", ".join(stems) or "none"
        raise FileNotFoundError(f"no analysis plan {path}; plans there: {known}")
    try:
        content = OmegaConf.to_container(OmegaConf.load(path))
    except (YAMLError, OmegaConfBaseException) as error:
        raise ValueError(f"{path}: not valid YAML ({error}); correct it there") from None
    if not isinstance(content, dict):
        raise ValueError(f"{path}: a plan is a mapping; start from conf/analysis/default.yaml")
    return parse_plan({str(key): value for key, value in content.items()}, str(path))


def parse_plan(content: dict[str, Any], where: str) -> Plan:
    """Check the content of a plan. `where` names it in errors. Raises ValueError."""
    _check_keys(content, [field.name for field in fields(Plan)], where)
    comparisons = []
    for number, pair in enumerate(_list(content, "comparisons", where), start=1):
        place = f"{where}: comparison {number}"
        if not isinstance(pair, dict):
            raise ValueError(f"{place} is {pair!r}; write {{a: aswa, b: sgd}}")
        _check_keys(pair, ["a", "b"], place)
        comparisons.append(Comparison(str(pair["a"]), str(pair["b"])))
    plan = Plan(
        metrics=tuple(_list(content, "metrics", where)),
        primary_metrics=tuple(_list(content, "primary_metrics", where)),
        comparisons=tuple(comparisons),
        scopes=tuple(_list(content, "scopes", where)),
        alpha=_fraction(content, "alpha", where),
        confidence=_fraction(content, "confidence", where),
        collapsed=str(content["collapsed"]),
        rope=_rope(content, where),
    )
    for scope in plan.scopes:
        _check_member(scope, SCOPES, f"{where}: scopes")
    for metric in plan.primary_metrics:
        _check_member(metric, plan.metrics, f"{where}: primary_metrics")
    _check_member(plan.collapsed, COLLAPSED, f"{where}: collapsed")
    return plan


def _rope(content: dict[str, Any], where: str) -> float:
    value = content.get("rope", 0.0)
    if isinstance(value, bool) or not isinstance(value, (int, float)) or value < 0:
        raise ValueError(f"{where}: rope is {value!r}; it has to be a number of at least 0")
    return float(value)


def _check_keys(content: dict[str, Any], known: list[str], where: str) -> None:
    for key in content:
        if key not in known:
            near = difflib.get_close_matches(str(key), known, n=1, cutoff=0.0)
            raise ValueError(f"{where}: unknown key {key!r}; did you mean {near[0]!r}?")
    missing = [key for key in known if key not in content and key != "rope"]
    if missing:
        raise ValueError(f"{where}: lacks {', '.join(missing)}; see conf/analysis/default.yaml")


def _list(content: dict[str, Any], key: str, where: str) -> list[Any]:
    value = content[key]
    if not isinstance(value, list) or not value:
        raise ValueError(f"{where}: {key} is {value!r}; it has to be a list of at least one")
    return value


def _fraction(content: dict[str, Any], key: str, where: str) -> float:
    value = content[key]
    if not isinstance(value, (int, float)) or not 0.0 < value < 1.0:
        raise ValueError(f"{where}: {key} is {value!r}; it has to be between 0 and 1, say 0.05")
    return float(value)


def _check_member(value: str, known: tuple[str, ...], where: str) -> None:
    if value not in known:
        raise ValueError(f"{where}: {value!r} is not one of {', '.join(known)}")
