"""What the runs of a study were made with, and what of that a reader has to know."""

from __future__ import annotations

import platform
from collections import Counter, defaultdict
from importlib.metadata import version

from aswa.analysis.records.runs import Run
from aswa.analysis.records.settings import configured

LIBRARIES = ("numpy", "scipy", "pandas", "matplotlib")
BUDGETS = ("epochs", "batch_size", "precision", "model.dim", "base_optimizer", "schedule")


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
        texts = [f"{value} ({n} runs)" for value, n in sorted(values.items())]
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
