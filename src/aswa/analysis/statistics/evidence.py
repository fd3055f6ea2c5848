"""Beside the declared tests: sizes, ranks, posterior, and what could be shown at all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec

import pandas as pd

from aswa.analysis.declaration import Declaration
from aswa.analysis.records.long_table import Cells
from aswa.analysis.statistics.bayesian import LEAST_UNITS, Posterior, posterior
from aswa.analysis.statistics.comparisons import family, pair_units
from aswa.analysis.statistics.friedman import MethodRanks, rank_methods
from aswa.analysis.statistics.power import power_note
from aswa.analysis.statistics.resampling import Effect, effect
from aswa.analysis.statistics.signed_rank import SignificanceRecord


@dataclass(frozen=True)
class Evidence:
    """Of the primary metrics of known direction, over all units.

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


def gather(cells: Cells, declared: Declaration, records: Sequence[SignificanceRecord]) -> Evidence:
    """All of it; `records` are the declared tests, from which the power notes are made."""
    names = cells.names
    judged = names.judged(declared.primary_metrics)
    tables = {m: table for m in judged if not (table := cells.seed_table(m)).empty}
    notes = [power_note(family(records, metric)[0]) for metric in tables]
    posteriors, missing = _posteriors(tables, cells, declared) if declared.rope > 0 else ([], [])
    return Evidence(
        tables=tables,
        effects=tuple(
            effect(table, names, metric, (comparison.a, comparison.b), declared.confidence)
            for metric, table in tables.items()
            for comparison in declared.comparisons
        ),
        ranks=tuple(rank_methods(t, names, m, declared.alpha) for m, t in tables.items()),
        posteriors=tuple(posteriors),
        power=tuple(note for note in notes if note),
        missing=tuple(missing),
    )


def _posteriors(
    tables: dict[str, pd.DataFrame], cells: Cells, declared: Declaration
) -> tuple[list[Posterior], list[str]]:
    """Of each declared comparison, and what is not there and why."""
    if find_spec("baycomp") is None:
        return [], ["no Bayesian signed-rank test: it takes `pip install 'aswa[bayes]'`"]
    found, few = [], []
    for metric, table in tables.items():
        said = cells.names.metric(metric)
        for a, b in ((comparison.a, comparison.b) for comparison in declared.comparisons):
            pairs = pair_units(table, a, b)
            if len(pairs.units) < LEAST_UNITS:
                few.append(f"{cells.names.method(a)} − {cells.names.prose(b)} in test {said.title}")
                continue
            shares = posterior(pairs.a, pairs.b, declared.rope, said.sign < 0)
            found.append(
                Posterior(
                    metric=metric, optimizer_a=a, optimizer_b=b, names=cells.names,
                    n=len(pairs.units), rope=declared.rope, **shares,
                )
            )  # fmt: skip
    gone = f"no Bayesian signed-rank test with fewer than {LEAST_UNITS} units: {', '.join(few)}"
    return found, [gone] if few else []
