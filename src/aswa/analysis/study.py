"""One results folder, analysed: everything that the files, the report and the terminal show."""

from __future__ import annotations

import platform
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pandas as pd

from aswa.analysis.comparisons import declared_tests, family, significance_frame
from aswa.analysis.cost_tables import costs_table, decisions_table, method_costs_table
from aswa.analysis.evidence import Evidence, gather
from aswa.analysis.figures import Drawing, learning_curves, paired_differences
from aswa.analysis.long_table import (
    choose_cells,
    costs_frame,
    decisions_frame,
    method_costs_frame,
    results_frame,
    rows_frame,
)
from aswa.analysis.plan import Plan
from aswa.analysis.published import beside_ours, published_folder
from aswa.analysis.query_tables import structures_table
from aswa.analysis.rank_figures import critical_differences, decision_timelines
from aswa.analysis.runs import History, Problem, Run, read_history, read_runs
from aswa.analysis.settings import Choice, choose_settings, select_where
from aswa.analysis.significance import SignificanceRecord, summary_sentence
from aswa.analysis.tables import TextTable, intervals_table, metric_table, significance_table

LIBRARIES = ("numpy", "scipy", "statsmodels", "pandas", "matplotlib")


class NoResults(LookupError):
    """There is nothing to analyse. `problems` are the records that could not be used."""

    def __init__(self, message: str, problems: Sequence[Problem] = ()) -> None:
        super().__init__(message)
        self.problems = tuple(problems)


@dataclass(frozen=True)
class Study:
    """The analysis of one results folder.

    `results` and `costs` hold every readable run; all else rests on the chosen settings.
    `notices` is what a reader has to know before believing a number, the worst first.
    """

    plan: Plan
    results: pd.DataFrame
    costs: pd.DataFrame
    significance: pd.DataFrame
    records: tuple[SignificanceRecord, ...]
    evidence: Evidence
    metric_tables: dict[str, TextTable]  # by metric
    structures: TextTable | None  # of logical queries
    tests: TextTable  # scope all
    tests_by_dataset: TextTable
    decisions: TextTable | None
    intervals: tuple[TextTable, ...]
    cost_table: TextTable
    method_costs: TextTable | None
    drawings: tuple[Drawing, ...]
    environment: tuple[tuple[str, str], ...]
    problems: tuple[Problem, ...]
    notices: tuple[str, ...]
    runs_used: int
    seeds: str

    def answer(self) -> list[str]:
        """Per primary metric: the sentence on the primary comparison, then one on the others."""
        sentences = []
        for metric in self.plan.primary_metrics:
            records = family(self.records, metric)
            if records:
                sentences += [records[0].sentence(), summary_sentence(records[1:])]
        return [sentence for sentence in sentences if sentence]

    def tables(self) -> list[TextTable]:
        """All tables that get files of their own."""
        maybe = (self.structures, self.decisions, self.method_costs)
        optional = [table for table in maybe if table]
        tests = [self.tests, self.tests_by_dataset, *self.intervals]
        return [*self.metric_tables.values(), *optional, self.cost_table, *tests]


def analyse(
    results_dir: Path, plan: Plan, where: Iterable[str] = (), figures: bool = True
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
    if not any(run.keys for run in runs):
        raise NoResults(
            f"no finished run under {results_dir / 'runs'}; make some with `make reproduce`, or "
            "`aswa-train dataset=umls model=keci optimizer=all seed=0`",
            problems,
        )
    chosen = select_where(runs, where)
    choice = choose_settings(chosen)
    rows = rows_frame(runs)
    chosen_rows = rows if chosen is runs else rows_frame(chosen)
    cells = choose_cells(chosen_rows, chosen, choice, keep_collapsed=plan.collapsed == "keep")
    used = [run for i, run in enumerate(chosen) if any((i, m) in choice.kept for m in run.methods)]
    histories, broken = _histories(chosen, choice)
    records = declared_tests(cells.table, plan)
    evidence = gather(cells.table, plan, records)
    drawings: list[Drawing] = []
    if figures:
        drawings += [*learning_curves(histories), *decision_timelines(histories)]
        drawings += [*paired_differences(cells.table, plan), *critical_differences(evidence.ranks)]
        drawings += _beside_published(cells.table, results_dir)
    significance = significance_frame(records)
    costs = costs_frame(runs)
    reference = plan.comparisons[0].a
    metric_tables = {
        metric: metric_table(cells.table, metric, reference, plan.confidence)
        for metric in plan.metrics
    }
    left_out = [item.sentence() for item in choice.left_out]
    filtered = [f"--where {condition}" for condition in where]
    return Study(
        plan=plan,
        results=results_frame(rows),
        costs=costs,
        significance=significance,
        records=tuple(records),
        evidence=evidence,
        metric_tables={m: table for m, table in metric_tables.items() if table},
        structures=structures_table(cells.table, used),
        tests=significance_table(
            significance[significance["scope"] == "all"],
            "significance",
            "Declared comparisons over all dataset × model units",
        ),
        tests_by_dataset=significance_table(
            significance[significance["scope"] != "all"],
            "significance_by_dataset",
            "Declared comparisons within each dataset, over its models",
        ),
        decisions=decisions_table(decisions_frame(chosen, choice)),
        intervals=tuple(
            intervals_table(table, metric, reference, plan.confidence)
            for metric, table in evidence.tables.items()
        ),
        method_costs=method_costs_table(method_costs_frame(used)),
        cost_table=costs_table(costs[costs["run_id"].isin({run.run_id for run in used})]),
        drawings=tuple(drawings),
        environment=tuple(_environment(used)),
        problems=(*problems, *broken),
        notices=(
            *filtered,
            *cells.notices,
            *left_out,
            *_several_commits(used),
            *_several_budgets(used),
        ),
        runs_used=len(used),
        seeds=_seeds(cells.table),
    )


def _beside_published(cells: pd.DataFrame, results_dir: Path) -> list[Drawing]:
    """Nothing where the published figures are not at hand, or no unit is in both."""
    try:
        drawing = beside_ours(cells, published_folder(results_dir))
    except FileNotFoundError:
        return []
    return [drawing] if drawing else []


def _histories(
    runs: list[Run], choice: Choice
) -> tuple[list[tuple[History, frozenset[str]]], list[Problem]]:
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
    counts: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    for run in runs:
        counts["device"][run.device] += 1
        counts["git commit"][_commit(run)] += 1
        for name, number in run.versions.items():
            counts[str(name)][str(number)] += 1
    entries = []
    for name, values in counts.items():
        several = len(values) > 1
        texts = [f"{v} ({n} runs)" if several else v for v, n in sorted(values.items())]
        entries.append((name, ", ".join(texts)))
    analysed = ", ".join(f"{name} {version(name)}" for name in LIBRARIES)
    return [*entries, ("analysed with", f"Python {platform.python_version()}, {analysed}")]


def _commit(run: Run) -> str:
    sha = run.git.get("sha")
    return f"{sha}{' with local changes' if run.git.get('dirty') else ''}" if sha else "unknown"


def _several_commits(runs: list[Run]) -> list[str]:
    commits = sorted({_commit(run) for run in runs})
    if len(commits) < 2:
        return []
    return [f"the runs were made by {len(commits)} states of the code: {', '.join(commits)}"]


def _several_budgets(runs: list[Run]) -> list[str]:
    """Units of one test that were trained by different budgets or rules."""
    notices = []
    for key in ("epochs", "batch_size", "precision", "model.dim", "base_optimizer", "schedule"):
        units: dict[str, set[str]] = defaultdict(set)
        for run in runs:
            value: Any = run.config
            for part in key.split("."):
                value = value.get(part) if isinstance(value, dict) else None
            if value is not None:
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
    low, high = int(counts.min()), int(counts.max())
    number = str(low) if low == high else f"{low} to {high}"
    return f"{number} seed" if number == "1" else f"{number} seeds"
