"""What the runs of a folder were made with, and what of that a reader has to know."""

from __future__ import annotations

import math
import platform
import shlex
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

from aswa.analysis.records.long_table import optimizer_set
from aswa.analysis.records.runs import Run
from aswa.analysis.records.settings import configured
from aswa.analysis.records.unfinished import Unfinished, read_plan
from aswa.analysis.records.varying import Columns, common_settings

LIBRARIES = ("numpy", "scipy", "pandas", "matplotlib")
BUDGETS = ("epochs", "batch_size", "precision", "model.dim", "base_optimizer", "schedule")
COMMANDS = 12  # that a page shows


@dataclass(frozen=True)
class MadeWith:
    """What was run, as pairs of a name and a text.

    Attributes:
        varying: who, and settings with more than one value.
        common: settings with one value, by their group.
        commands: that plan these runs, finished or not; empty where no plan is beside them.
    """

    varying: tuple[tuple[str, str], ...]
    common: tuple[tuple[str, str], ...]
    commands: tuple[str, ...]
    environment: tuple[tuple[str, str], ...]


def made_with(
    runs: list[Run], settings: Columns, unfinished: Sequence[Unfinished] = ()
) -> MadeWith:
    """Of all runs of a folder; `settings` are those that vary."""
    who: Columns = {
        "dataset": [run.dataset for run in runs],
        "model": [run.model for run in runs],
        "optimizer": [optimizer_set(run) for run in runs],
        "seed": [run.seed for run in runs],
    }
    common: dict[str, list[str]] = defaultdict(list)
    for key, value in common_settings(runs).items():
        group, _, own = key.rpartition(".")
        common[group].append(f"{own}={_text(value)}")
    plans = [read_plan(run.path.parent).get("overrides") or () for run in runs]
    return MadeWith(
        tuple((key, _values(values)) for key, values in (who | settings).items()),
        tuple((group or "run", ", ".join(texts)) for group, texts in sorted(common.items())),
        tuple(commands([*plans, *(run.overrides for run in unfinished)])),
        tuple(environment(runs)),
    )


def _text(value: Any) -> str:
    """As the configuration has it."""
    return "null" if value is None else str(value)


def _values(column: list[Any]) -> str:
    """Distinct values in order, each with its number of runs; None is a run without the key."""
    counts = Counter(value for value in map(_hashable, column) if value is not None)
    found = sorted(counts, key=lambda v: (isinstance(v, str), v))
    if len(set(counts.values())) <= 1:
        each = f" ({_runs(counts[found[0]])} each)" if len(found) > 1 else ""
        return ", ".join(map(str, found)) + each
    return ", ".join(f"{value} ({_runs(counts[value])})" for value in found)


def _runs(n: int) -> str:
    return f"{n} run{'' if n == 1 else 's'}"


def _hashable(value: Any) -> Any:
    return value if value is None or isinstance(value, (int, float, str)) else str(value)


def commands(plans: Iterable[Sequence[str]]) -> list[str]:
    """The fewest `aswa-train` commands that mean the overrides of these runs and of no others."""
    alike: dict[tuple[str, ...], dict[tuple[str, ...], None]] = defaultdict(dict)
    for overrides in filter(None, plans):
        pairs = [word.partition("=") for word in overrides]
        ordered = sorted(pairs, key=lambda pair: pair[0] != "experiment")
        alike[tuple(k for k, _, _ in ordered)][tuple(v for _, _, v in ordered)] = None
    return [line for keys, rows in alike.items() for line in _grids(keys, list(rows))]


def _grids(keys: tuple[str, ...], rows: list[tuple[str, ...]]) -> list[str]:
    """One command where the rows are a whole grid; else of parts by the key of fewest values."""
    values = [sorted(set(column), key=_by_number) for column in zip(*rows, strict=True)]
    if math.prod(map(len, values)) != len(rows):
        several = [i for i, found in enumerate(values) if len(found) > 1]
        i = min(several, key=lambda place: len(values[place]))
        parts = ([row for row in rows if row[i] == value] for value in values[i])
        return [line for part in parts for line in _grids(keys, part)]
    words = [f"{key}={','.join(found)}" for key, found in zip(keys, values, strict=True)]
    sweep = ["-m"] if len(rows) > 1 else []
    return [shlex.join(["aswa-train", *sweep, *words])]


def _by_number(text: str) -> tuple[float, str]:
    try:
        return float(text), text
    except ValueError:
        return math.inf, text


def environment(runs: list[Run]) -> list[tuple[str, str]]:
    """Where the runs were made and what analysed them; each distinct value with its runs."""
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for run in runs:
        counts["device"][run.device] += 1
        counts["git commit"][_commit(run)] += 1
        if run.hardware:
            counts["hardware"][", ".join(f"{k} {v}" for k, v in run.hardware.items() if v)] += 1
        for name, number in run.versions.items():
            counts[str(name)][str(number)] += 1
    entries = []
    for name, values in counts.items():
        texts = [f"{value} ({_runs(n)})" for value, n in sorted(values.items())]
        entries.append((name, ", ".join(texts if len(values) > 1 else values)))
    analysed = ", ".join(f"{name} {version(name)}" for name in LIBRARIES)
    return [*entries, ("analysed with", f"Python {platform.python_version()}, {analysed}")]


def _commit(run: Run) -> str:
    sha = run.git.get("sha")
    return f"{sha}{' with local changes' if run.git.get('dirty') else ''}" if sha else "unknown"


def several_commits(runs: list[Run]) -> list[str]:
    made = sorted({_commit(run) for run in runs})
    several = f"the runs were made by {len(made)} states of the code: {', '.join(made)}"
    return [several] if len(made) > 1 else []


def several_budgets(runs: list[Run]) -> list[str]:
    """Units of one test that were trained by different budgets or rules."""
    notices = []
    for key in BUDGETS:
        units: dict[str, set[str]] = defaultdict(set)
        for run in runs:
            if (value := configured(run, key)) is not None:
                units[str(value)].add(f"{run.dataset} × {run.model}")
        if len(units) > 1:
            listed = "; ".join(f"{v}: {', '.join(sorted(u))}" for v, u in sorted(units.items()))
            notices.append(f"the units differ in {key} ({listed}); --where picks one")
    return notices
