"""One results folder, analysed: everything that the files, the report and the terminal show."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

import pandas as pd

from aswa.analysis.declaration import Declaration, Regime
from aswa.analysis.made_with import made_with, several_budgets, several_commits
from aswa.analysis.published.files import published_folder
from aswa.analysis.published.images import beside_ours
from aswa.analysis.records.conditions import by_condition
from aswa.analysis.records.long_table import (
    Cells,
    choose_cells,
    costs_frame,
    decisions_frame,
    method_costs_frame,
    results_frame,
    rows_frame,
)
from aswa.analysis.records.names import Names, merged
from aswa.analysis.records.runs import History, Problem, Run, read_history, read_runs
from aswa.analysis.records.settings import (
    Choice,
    choose_settings,
    said_of_settings,
    select_where,
)
from aswa.analysis.records.unfinished import read_unfinished, said_of_unfinished
from aswa.analysis.records.varying import column, runs_frame, varying_settings
from aswa.analysis.regimes import Regimes
from aswa.analysis.rendering.calibration import calibration_figures
from aswa.analysis.rendering.cost_tables import (
    costs_table,
    decisions_table,
    method_costs_table,
    runs_table,
)
from aswa.analysis.rendering.curves import Histories, decision_timelines, learning_curves
from aswa.analysis.rendering.differences import critical_differences, paired_differences
from aswa.analysis.rendering.drawing import Drawing
from aswa.analysis.rendering.report import Report, Study
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


class NoResults(LookupError):
    """There is nothing to analyse. `problems` are the records that could not be used."""

    def __init__(self, message: str, problems: Sequence[Problem] = ()) -> None:
        super().__init__(message)
        self.problems = tuple(problems)


def analyse(
    results_dir: Path,
    declared: Declaration,
    where: Iterable[str] = (),
    figures: bool = True,
    by: Sequence[str] = (),
) -> Report:
    """Read and analyse `results_dir/runs`; writes nothing.

    Args:
        where: `key=value` conditions on the config of the runs that tables and tests use.
        figures: draw them; they take most of the time of a small study.
        by: dotted keys by whose values the primary metrics are given; none: the declared one.

    Raises:
        NoResults: no readable finished run, or none with a row.
        ValueError: a condition of `where` or of a regime cannot be met, or no run has a key.
    """
    runs, problems = read_runs(results_dir)
    unfinished = read_unfinished(results_dir, [run.path for run in runs])
    if not any(run.methods for run in runs):
        lines = [
            f"no finished run under {results_dir / 'runs'}; make some with `make reproduce`, or "
            "`aswa-train dataset=umls model=keci optimizer=all seed=0`",
            *said_of_unfinished(unfinished, len(runs)),
        ]
        raise NoResults("\n".join(lines), problems)
    if declared.conditions:
        runs = by_condition(runs, declared.conditions)
        if not runs:
            raise NoResults(f"{results_dir}: no run meets a declared condition", problems)
    chosen = select_where(runs, where)
    names, contradictions = merged(run.names for run in runs)
    folder = Folder(results_dir, declared, runs, chosen, names, figures)
    regimes = Regimes(declared, chosen, names, folder.cells)
    studies = [
        folder.study(found.choice, regime, found.note, found.cells, found.by_epoch)
        for regime, found in regimes.found()
    ]
    settings = varying_settings(runs)
    by = by or ([declared.curve] if declared.curve else [])
    curves = [regimes.curves(key, figures) for key in by]
    if not studies:
        choice = choose_settings(chosen)
        studies = [folder.study(choice, note=said_of_settings(choice))]
    runs_found = runs_frame(runs, settings, unfinished)
    return Report(
        studies=tuple(studies),
        results=results_frame(folder.rows, {k: column(v) for k, v in settings.items()}),
        runs=runs_found,
        run_list=runs_table(runs_found, settings),
        made=made_with(runs, settings, unfinished),
        unfinished=tuple(said_of_unfinished(unfinished, len(runs), settings)),
        costs=costs_frame(runs),
        by=tuple(by),
        curves=tuple(drawing for drawings, _ in curves for drawing in drawings),
        curve_tables=tuple(table for _, tables in curves for table in tables),
        problems=(*problems, *folder.broken),
        notices=(
            *(f"--where {condition}" for condition in where),
            *contradictions,
            *several_commits(chosen),
        ),
    )


@dataclass
class Folder:
    """The runs of a folder, and one study of some of them after another."""

    results_dir: Path
    declared: Declaration
    runs: list[Run]
    chosen: list[Run]  # by `where`
    names: Names
    figures: bool
    broken: list[Problem] = field(default_factory=list)

    @cached_property
    def rows(self) -> pd.DataFrame:
        """Of all runs."""
        return rows_frame(self.runs)

    @cached_property
    def chosen_rows(self) -> pd.DataFrame:
        """Of the chosen runs."""
        return self.rows if self.chosen is self.runs else rows_frame(self.chosen)

    def cells(self, choice: Choice) -> Cells:
        """What a choice among the chosen runs gives."""
        keep = self.declared.collapsed == "keep"
        return choose_cells(self.chosen_rows, self.chosen, choice, self.names, keep)

    def study(
        self,
        choice: Choice,
        regime: Regime | None = None,
        note: str = "",
        cells: Cells | None = None,
        by_epoch: bool = True,
    ) -> Study:
        """The study of a choice.

        Args:
            note: which runs these are, in a sentence.
            cells: in place of those of the choice.
            by_epoch: with curves and decisions by epoch.
        """
        declared, names, chosen = self.declared, self.names, self.chosen
        if regime is not None and regime.comparisons:
            declared = replace(declared, comparisons=regime.comparisons)
        cells = cells or self.cells(choice)
        methods = [any((i, m) in choice.kept for m in run.methods) for i, run in enumerate(chosen)]
        used = [run for run, is_used in zip(chosen, methods, strict=True) if is_used]
        records = declared_tests(cells, declared)
        evidence = gather(cells, declared, records)
        tests = frame(records, COLUMNS)
        metric_tables, unknown = _metric_tables(cells, declared)
        whole = tests["scope"] == "all"
        histories, broken = _histories(chosen, choice) if by_epoch else ([], [])
        self.broken += [problem for problem in broken if problem not in self.broken]
        drawings: list[Drawing] = []
        if self.figures:
            drawings = _drawings(cells, declared, evidence, histories, self.results_dir)
            asked = {m for pair in declared.comparisons for m in (pair.a, pair.b)}
            drawings += calibration_figures(chosen, choice, names, asked)
        costs = costs_frame(used)
        return Study(
            declared=declared,
            regime=regime.name if regime else "",
            title=regime.title if regime else "",
            note=note,
            names=names,
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
            cost_table=costs_table(costs),
            drawings=tuple(drawings),
            notices=(*unknown, *cells.notices, *choice.left_out, *several_budgets(used)),
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


def _seeds(cells: pd.DataFrame) -> str:
    """`10 seeds`, or `3 to 10 seeds` where units differ."""
    counts = cells.groupby(["dataset", "model", "optimizer"])["seed"].nunique()
    if counts.empty:
        return "no seed"
    low, high = counts.min(), counts.max()
    if low == high:
        return f"{low} seed{'' if low == 1 else 's'}"
    return f"{low} to {high} seeds"
