"""One results folder, analysed: everything that the files, the report and the terminal show."""

from __future__ import annotations

import platform
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from importlib.metadata import version
from pathlib import Path

import pandas as pd

from aswa.analysis.declaration import Declaration
from aswa.analysis.published import beside_ours, published_folder
from aswa.analysis.records.long_table import (
    Cells,
    choose_cells,
    costs_frame,
    decisions_frame,
    method_costs_frame,
    results_frame,
    rows_frame,
)
from aswa.analysis.records.names import merged
from aswa.analysis.records.runs import History, Problem, Run, read_history, read_runs
from aswa.analysis.records.settings import Choice, choose_settings, configured, select_where
from aswa.analysis.rendering.cost_tables import costs_table, decisions_table, method_costs_table
from aswa.analysis.rendering.curves import Histories, decision_timelines, learning_curves
from aswa.analysis.rendering.differences import critical_differences, paired_differences
from aswa.analysis.rendering.drawing import Drawing
from aswa.analysis.rendering.report import Study
from aswa.analysis.rendering.tables import (
    TextTable,
    intervals_table,
    metric_table,
    significance_table,
    structures_table,
)
from aswa.analysis.statistics.compared import frame
from aswa.analysis.statistics.comparisons import declared_tests
from aswa.analysis.statistics.evidence import Evidence, gather
from aswa.analysis.statistics.signed_rank import COLUMNS

LIBRARIES = ("numpy", "scipy", "pandas", "matplotlib")
BUDGETS = ("epochs", "batch_size", "precision", "model.dim", "base_optimizer", "schedule")


class NoResults(LookupError):
    """There is nothing to analyse. `problems` are the records that could not be used."""

    def __init__(self, message: str, problems: Sequence[Problem] = ()) -> None:
        super().__init__(message)
        self.problems = tuple(problems)


def analyse(
    results_dir: Path, declared: Declaration, where: Iterable[str] = (), figures: bool = True
) -> Study:
    """Read and analyse `results_dir/runs`; writes nothing.

    Args:
        where: `key=value` conditions on the config of the runs that tables and tests use.
        figures: draw them; they take most of the time of a small study.

    Raises:
        NoResults: no readable finished run, or none with a row.
        ValueError: a condition of `where` cannot be met.
    """
    runs, problems = read_runs(results_dir)
    if not any(run.methods for run in runs):
        raise NoResults(
            f"no finished run under {results_dir / 'runs'}; make some with `make reproduce`, or "
            "`aswa-train dataset=umls model=keci optimizer=all seed=0`",
            problems,
        )
    chosen = select_where(runs, where)
    choice = choose_settings(chosen)
    rows = rows_frame(runs)
    chosen_rows = rows if chosen is runs else rows_frame(chosen)
    names, contradictions = merged(run.names for run in runs)
    cells = choose_cells(chosen_rows, chosen, choice, names, declared.collapsed == "keep")
    used = [run for i, run in enumerate(chosen) if any((i, m) in choice.kept for m in run.methods)]
    histories, broken = _histories(chosen, choice)
    records = declared_tests(cells, declared)
    evidence = gather(cells, declared, records)
    costs, tests = costs_frame(runs), frame(records, COLUMNS)
    metric_tables, unknown = _metric_tables(cells, declared)
    whole = tests["scope"] == "all"
    drawings = _drawings(cells, declared, evidence, histories, results_dir) if figures else []
    return Study(
        declared=declared,
        names=names,
        results=results_frame(rows),
        costs=costs,
        records=tuple(records),
        significance=tests,
        evidence=evidence,
        metric_tables=metric_tables,
        structures=structures_table(cells),
        tests=significance_table(
            tests[whole], names, "significance",
            "Declared comparisons over all dataset × model units",
        ),
        tests_by_dataset=significance_table(
            tests[~whole], names, "significance_by_dataset",
            "Declared comparisons within each dataset, over its models",
        ),
        decisions=decisions_table(decisions_frame(chosen, choice), names),
        intervals=tuple(
            intervals_table(table, names, m, declared.comparisons[0].a, declared.confidence)
            for m, table in evidence.tables.items()
        ),
        method_costs=method_costs_table(method_costs_frame(used), names),
        cost_table=costs_table(costs[costs["run_id"].isin({run.run_id for run in used})]),
        drawings=tuple(drawings),
        environment=tuple(_environment(used)),
        problems=(*problems, *broken),
        notices=(
            *(f"--where {condition}" for condition in where),
            *contradictions,
            *unknown,
            *cells.notices,
            *choice.left_out,
            *_several_commits(used),
            *_several_budgets(used),
        ),
        runs_used=len(used),
        seeds=_seeds(cells.table),
    )  # fmt: skip


def _metric_tables(cells: Cells, declared: Declaration) -> tuple[dict[str, TextTable], list[str]]:
    """Of the declared metrics, then of every other metric on test that is not about a part.

    And a notice for each metric of which no record says the direction.
    """
    names, table = cells.names, cells.table
    there = sorted(map(str, table.loc[table["split"] == "test", "metric"].unique()))
    whole = [m for m in [*names.metrics, *there] if not names.metric(m).part]
    tables = {
        m: metric_table(cells, m, declared.comparisons[0].a, declared.confidence)
        for m in dict.fromkeys([*declared.metrics, *whole])
        if m in there
    }
    unknown = [
        f"no record says whether a higher {m} is better: its table marks no best method, and it "
        "is in no test"
        for m in there
        if m not in names.judged(there)
    ]
    return tables, unknown


def _drawings(
    cells: Cells, declared: Declaration, evidence: Evidence, histories: Histories, folder: Path
) -> list[Drawing]:
    reference = declared.comparisons[0].a
    drawings = learning_curves(histories, cells.names)
    drawings += decision_timelines(histories, cells.names, reference)
    drawings += [*paired_differences(cells, declared), *critical_differences(evidence.ranks)]
    try:
        beside = beside_ours(cells, published_folder(folder))
    except FileNotFoundError:
        return drawings
    return [*drawings, beside] if beside else drawings


def _histories(runs: list[Run], choice: Choice) -> tuple[Histories, list[Problem]]:
    """Each history with the methods to draw from it: every seed of a method once."""
    seen: set[tuple[str, str, str, int]] = set()
    histories: list[tuple[History, frozenset[str]]] = []
    problems: list[Problem] = []
    for index, run in sorted(enumerate(runs), key=lambda pair: (pair[1].run_id, pair[0])):
        cells = {m: (run.dataset, run.model, m, run.seed) for m in run.methods}
        new = {m for m, cell in cells.items() if cell not in seen and (index, m) in choice.kept}
        history = read_history(run) if new else None
        if isinstance(history, Problem):
            problems.append(history)
        elif history is not None:
            drawn = frozenset(new & history.valid.keys())
            seen.update(cells[m] for m in drawn)
            histories.append((history, drawn))
    return histories, problems


def _environment(runs: list[Run]) -> list[tuple[str, str]]:
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


def _several_commits(runs: list[Run]) -> list[str]:
    made = sorted({_commit(run) for run in runs})
    several = f"the runs were made by {len(made)} states of the code: {', '.join(made)}"
    return [several] if len(made) > 1 else []


def _several_budgets(runs: list[Run]) -> list[str]:
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


def _seeds(cells: pd.DataFrame) -> str:
    """`10 seeds`, or `3 to 10 seeds` where units differ."""
    counts = cells.groupby(["dataset", "model", "optimizer"])["seed"].nunique()
    if counts.empty:
        return "no seed"
    low, high = counts.min(), counts.max()
    if low == high:
        return f"{low} seed{'' if low == 1 else 's'}"
    return f"{low} to {high} seeds"
