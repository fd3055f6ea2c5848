"""Studies of the declared regimes, and metrics by the values of a key."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from aswa.analysis.declaration import Declaration, Regime
from aswa.analysis.records.long_table import Cells
from aswa.analysis.records.names import Names
from aswa.analysis.records.paths import path_cells
from aswa.analysis.records.regimes import (
    Best,
    areas,
    best_values,
    choice_of_best,
    choice_of_methods,
    meeting,
    said_of_best,
)
from aswa.analysis.records.runs import Run
from aswa.analysis.records.settings import Choice, choice_within, said_of_settings
from aswa.analysis.records.values import Values, along, aside, choices_by_value
from aswa.analysis.rendering.by_value import by_value, by_value_table, units_of
from aswa.analysis.rendering.drawing import Drawing
from aswa.analysis.rendering.tables import TextTable


class Found(NamedTuple):
    """The runs of a regime."""

    choice: Choice
    note: str  # which they are, in a sentence
    cells: Cells | None = None  # in place of those of the choice
    by_epoch: bool = False  # all methods of a unit are of the same runs


class Regimes:
    """The declared regimes of some runs.

    Args:
        cells: choice → what it gives.
    """

    def __init__(
        self,
        declared: Declaration,
        runs: list[Run],
        names: Names,
        cells: Callable[[Choice], Cells],
    ) -> None:
        self.declared, self.runs, self.names, self._cells = declared, runs, names, cells
        self._values: dict[str, Values] = {}

    def values(self, key: str) -> Values:
        """Runs by the values of a key. Raises ValueError where no run has it."""
        if key not in self._values:
            choices = choices_by_value(self.runs, key)
            cells = {value: self._cells(choice) for value, choice in choices.items()}
            others = (along(self.runs, choices, key), aside(self.runs, choices, key))
            self._values[key] = Values(key, choices, cells, *others)
        return self._values[key]

    def best(self, key: str, of: str) -> Best:
        """Best values on validation, by the first primary metric."""
        return best_values(self.values(key), self.declared.primary_metrics[0], self.names, of)

    def found(self) -> list[tuple[Regime, Found]]:
        """The runs of every regime, in declared order."""
        found: dict[str, Found] = {}
        for regime in self.declared.regimes:
            found[regime.name] = self._find(regime, {n: f.choice for n, f in found.items()})
        return [(regime, found[regime.name]) for regime in self.declared.regimes]

    def _find(self, regime: Regime, others: Mapping[str, Choice]) -> Found:
        if regime.path:
            return self._path(regime)
        if regime.where:
            said = ", ".join(f"{key}={value}" for key, value in regime.where.items())
            choice = choice_within(self.runs, meeting(self.runs, regime.where))
            note = " ".join(filter(None, (f"Runs with {said}.", said_of_settings(choice))))
            return Found(choice, note, by_epoch=True)
        if regime.best:
            best = self.best(regime.best, regime.of)
            note = said_of_best(best, regime.best, bool(regime.of), self.names)
            choice = choice_of_best(self.runs, self.values(regime.best), best)
            return Found(choice, note, by_epoch=bool(regime.of))
        if regime.area:
            values = self.values(regime.area)
            kept = frozenset(pair for choice in values.choices.values() for pair in choice.kept)
            note = f"Means over {regime.area} = {', '.join(map(str, values.choices))}."
            return Found(Choice(kept, frozenset()), note, areas(values, self.names))
        said = "; ".join(f"{self.names.method(m)}: {n}" for m, n in regime.methods.items())
        return Found(choice_of_methods(regime, others), f"Runs of these regimes: {said}.")

    def _path(self, regime: Regime) -> Found:
        """Means over a path, for the methods that are compared."""
        chosen = meeting(self.runs, regime.where) if regime.where else range(len(self.runs))
        pairs = regime.comparisons or self.declared.comparisons
        methods = sorted({method for pair in pairs for method in (pair.a, pair.b)})
        runs = [self.runs[i] for i in chosen]
        cells, ranges = path_cells(runs, self.names, regime, methods)
        kept = {(i, m) for i in chosen for m in self.runs[i].methods if m in methods}
        said = "".join(f", {key}={value}" for key, value in regime.where.items())
        note = f"Means over the common range of {regime.along}{said}: {'; '.join(ranges)}."
        return Found(Choice(frozenset(kept), frozenset()), note, cells)

    def curves(self, key: str, figures: bool) -> tuple[list[Drawing], list[TextTable]]:
        """The primary metrics by the value of a key."""
        values = self.values(key)
        metrics = self.names.judged(self.declared.primary_metrics)
        tables = [by_value_table(values, self.names, metric) for metric in metrics]
        marks = self._marks(values) if figures else {}
        drawn = [by_value(values, self.names, m, marks) for m in metrics] if figures else []
        return drawn, tables

    def _marks(self, values: Values) -> dict[str, dict[tuple[str, str], Any]]:
        """Regime → dataset × model → its value of the key, where all methods share one."""
        marks = {}
        for regime in self.declared.regimes:
            if regime.best == values.key and regime.of:
                best = self.best(regime.best, regime.of)
                marks[regime.title] = {cell[:2]: value for cell, value in best.items()}
            elif values.key in regime.where:
                marks[regime.title] = dict.fromkeys(units_of(values), regime.where[values.key])
        return marks
