"""Beside the declared tests: sizes, ranks, posterior, and what could be shown at all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from aswa.analysis.bayesian import LEAST_UNITS, Posterior, available, posterior
from aswa.analysis.comparisons import family, pair_units, seed_table
from aswa.analysis.friedman import MethodRanks, rank_methods
from aswa.analysis.naming import lower_is_better, method_label, metric_label, prose_label
from aswa.analysis.plan import Plan
from aswa.analysis.power import power_note
from aswa.analysis.resampling import Effect, declared_effects
from aswa.analysis.significance import SignificanceRecord


@dataclass(frozen=True)
class Evidence:
    """Of the primary metrics, over all units.

    Attributes:
        tables: metric → seed table (index dataset, model, seed; a column per method).
        effects: of the declared comparisons, in their order.
        ranks: of all methods, one a metric.
        posteriors: of the declared comparisons; empty without baycomp or without a rope.
        power: a sentence a metric: what the primary comparison could have shown.
        missing: what is not there and why, in words.
    """

    tables: dict[str, pd.DataFrame]
    effects: tuple[Effect, ...]
    ranks: tuple[MethodRanks, ...]
    posteriors: tuple[Posterior, ...]
    power: tuple[str, ...]
    missing: tuple[str, ...]


def gather(cells: pd.DataFrame, plan: Plan, records: Sequence[SignificanceRecord]) -> Evidence:
    """All of it; `records` are the declared tests, from which the power notes are made."""
    tables = {metric: seed_table(cells, metric) for metric in plan.primary_metrics}
    tables = {metric: table for metric, table in tables.items() if not table.empty}
    notes = [power_note(family(records, metric)[0]) for metric in tables]
    posteriors, missing = _posteriors(tables, plan) if plan.rope > 0 else ([], [])
    return Evidence(
        tables=tables,
        effects=tuple(declared_effects(tables, plan)),
        ranks=tuple(rank_methods(table, metric, plan.alpha) for metric, table in tables.items()),
        posteriors=tuple(posteriors),
        power=tuple(note for note in notes if note),
        missing=tuple(missing),
    )


def _posteriors(tables: dict[str, pd.DataFrame], plan: Plan) -> tuple[list[Posterior], list[str]]:
    """Of each declared comparison, and what is not there and why."""
    if not available():
        return [], ["no Bayesian signed-rank test: it takes `pip install 'aswa[bayes]'`"]
    found, few = [], []
    for metric, table in tables.items():
        for comparison in plan.comparisons:
            pairs = pair_units(table, comparison.a, comparison.b)
            who = (metric, comparison.a, comparison.b, len(pairs.units), plan.rope)
            if len(pairs.units) < LEAST_UNITS:
                few.append(
                    f"{method_label(comparison.a)} − {prose_label(comparison.b)} in test "
                    f"{metric_label(metric)}"
                )
                continue
            shares = posterior(pairs.a, pairs.b, plan.rope, lower_is_better(metric))
            found.append(Posterior(*who, *shares))
    gone = f"no Bayesian signed-rank test with fewer than {LEAST_UNITS} units: {', '.join(few)}"
    return found, [gone] if few else []
