"""The analysis declared in advance: which metrics, which comparisons, which level."""

from __future__ import annotations

import difflib
import math
from dataclasses import MISSING, dataclass, field, fields
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
class Regime:
    """Runs that are analysed by themselves: never pooled with those of another regime.

    Exactly one of `where`, `best`, `area`, `path` and `methods` says which runs; `where` may stand
    beside `path`.

    Attributes:
        name: ending of its files, and its column in significance.csv.
        title: begins its sentences, such as `At lr 0.1`.
        where: dotted key of the configuration → value.
        best: a key; for each dataset × model the value with the best mean validation score.
        of: the method whose score that is; empty: every method at its own best value.
        area: a key; the mean of a metric over its values, by trapezoids on a logarithmic scale.
        path: a key whose values make a path from sparse to dense, such as an L1 penalty's; the mean
            of a metric over the common range of `along`, a metric on train, on a logarithmic scale.
            Of the methods of the comparisons.
        along: see `path`.
        units: keys whose values make units of one dataset.
        methods: method → name of the regime that its runs are taken from.
        comparisons: in place of the declaration's own.
    """

    name: str
    title: str
    where: dict[str, Any] = field(default_factory=dict)
    best: str = ""
    of: str = ""
    area: str = ""
    path: str = ""
    along: str = "nonzeros"
    units: tuple[str, ...] = ()
    methods: dict[str, str] = field(default_factory=dict)
    comparisons: tuple[Comparison, ...] = ()


@dataclass(frozen=True)
class Condition:
    """Runs whose methods are methods of their own: CONDITION_METHOD.

    Attributes:
        name: beginning of their names.
        label: beginning of what tables call them.
        where: dotted key of the configuration → value, or several with commas.
        rows: method → rest of what tables call it; others are not used.
    """

    name: str
    label: str
    where: dict[str, Any]
    rows: dict[str, str]

    def method(self, row: str) -> str:
        """The name of a method under this condition."""
        return f"{self.name}_{row}"


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
    regimes: tuple[Regime, ...] = ()
    curve: str = ""  # a key of the configuration: metrics are drawn by its values
    conditions: tuple[Condition, ...] = ()  # runs of none of them are left out
    registration: str = ""  # text that the report prints first; in the YAML its file, beside it


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
        stems = sorted(
            (p.stem for p in path.parent.glob("*.yaml")), key=lambda s: (s != "default", s)
        )
        known = ", ".join(stems) or "none"
        raise FileNotFoundError(f"no declared analysis {path}; declared there: {known}")
    try:
        content = OmegaConf.to_container(OmegaConf.load(path))
    except (YAMLError, OmegaConfBaseException) as error:
        raise ValueError(f"{path}: not valid YAML ({error}); correct it there") from None
    if not isinstance(content, dict):
        raise ValueError(f"{path}: not a mapping; start from conf/analysis/default.yaml")
    plain: dict[str, Any] = {str(key): value for key, value in content.items()}
    if registered := plain.get("registration"):
        try:
            plain["registration"] = (path.parent / str(registered)).read_text("utf-8")
        except OSError as error:
            raise ValueError(f"{path}: registration: {registered}: {error.strerror}") from None
    return parse_declaration(plain, str(path))


def parse_declaration(content: dict[str, Any], where: str) -> Declaration:
    """Check the content of a file. `where` names it in errors. Raises ValueError."""
    known = {f.name: f.default is MISSING for f in fields(Declaration)}
    _check_keys(content, known, where)
    for key in LISTS:
        if not isinstance(content[key], list) or not content[key]:
            raise ValueError(f"{where}: {key} is {content[key]!r}, not a list of at least one")
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
    lists = {key: tuple(content[key]) for key in LISTS}
    lists["comparisons"] = _comparisons(content["comparisons"], where)
    conditions = _conditions(content, where)
    _check_compared(lists["comparisons"], conditions, where)
    found = {"regimes": _regimes(content, where), "conditions": conditions}
    return Declaration(**{**content, **lists, **found})


def _comparisons(pairs: Any, where: str) -> tuple[Comparison, ...]:
    for number, pair in enumerate(pairs, start=1):
        place = f"{where}: comparison {number}"
        if not isinstance(pair, dict):
            raise ValueError(f"{place} is {pair!r}; write {{a: aswa, b: sgd}}")
        _check_keys(pair, {"a": True, "b": True}, place)
    return tuple(Comparison(str(pair["a"]), str(pair["b"])) for pair in pairs)


def _conditions(content: dict[str, Any], where: str) -> tuple[Condition, ...]:
    found: list[Condition] = []
    known = {f.name: True for f in fields(Condition)}
    for number, said in enumerate(content.get("conditions") or (), start=1):
        place = f"{where}: condition {number}"
        if not isinstance(said, dict):
            raise ValueError(f"{place} is {said!r}; write {{name: ..., label: ..., where: ...}}")
        _check_keys(said, known, place)
        for key in ("where", "rows"):
            if not isinstance(said[key], dict) or not said[key]:
                raise ValueError(f"{place}: {key} is {said[key]!r}; write keys and values")
        found.append(Condition(**said))
    return tuple(found)


def _check_compared(
    pairs: tuple[Comparison, ...], conditions: tuple[Condition, ...], where: str
) -> None:
    """With conditions, what is compared is a method of one."""
    known = [each.method(row) for each in conditions for row in each.rows]
    for name in (name for pair in pairs for name in (pair.a, pair.b)):
        if known and name not in known:
            near = difflib.get_close_matches(name, known, n=1, cutoff=0.0)[0]
            raise ValueError(f"{where}: {name!r} is of no condition; did you mean {near!r}?")


def _regimes(content: dict[str, Any], where: str) -> tuple[Regime, ...]:
    found: list[Regime] = []
    known = {f.name: f.name in ("name", "title") for f in fields(Regime)}
    for number, said in enumerate(content.get("regimes") or (), start=1):
        place = f"{where}: regime {number}"
        if not isinstance(said, dict):
            raise ValueError(f"{place} is {said!r}; write {{name: ..., title: ..., where: ...}}")
        _check_keys(said, known, place)
        ways = [key for key in ("where", "best", "area", "path", "methods") if said.get(key)]
        if len(ways) != 1 and ways != ["where", "path"]:
            raise ValueError(f"{place}: says {', '.join(ways) or 'nothing'}; give one of where, "
                             "best, area, path, methods")  # fmt: skip
        before = [regime.name for regime in found]
        for other in (said.get("methods") or {}).values():
            if other not in before:
                raise ValueError(f"{place}: methods: {other!r} is no regime declared before it")
        pairs = _comparisons(said.get("comparisons") or (), place)
        units = tuple(map(str, said.get("units") or ()))
        found.append(Regime(**{**said, "comparisons": pairs, "units": units}))
    return tuple(found)


def _check_keys(content: dict[str, Any], known: dict[str, bool], where: str) -> None:
    """`known` says of each key whether it has to be there."""
    for key in content:
        if key not in known:
            near = difflib.get_close_matches(str(key), known, n=1, cutoff=0.0)
            raise ValueError(f"{where}: unknown key {key!r}; did you mean {near[0]!r}?")
    missing = [key for key, needed in known.items() if needed and key not in content]
    if missing:
        raise ValueError(f"{where}: lacks {', '.join(missing)}; see conf/analysis/default.yaml")
