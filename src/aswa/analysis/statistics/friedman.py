"""All methods at once: Friedman's test on ranks, and which methods cannot be told apart.

After Demšar (2006) and Benavoli et al. (2016): ranks of the methods within each unit, Friedman's
test of whether they differ at all, then Wilcoxon's signed-rank test of every pair with Holm's
correction over all pairs. Exploratory: what was declared in advance is in `comparisons`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from aswa.analysis.records.long_table import UNIT
from aswa.analysis.records.names import Names, listed
from aswa.analysis.statistics.signed_rank import DECIMALS, holm, p_text, signed_rank

RANK_COLUMNS = ["metric", "optimizer", "average_rank", "units", "statistic", "p"]
LEAST_UNITS, LEAST_METHODS = 2, 3


@dataclass(frozen=True)
class MethodRanks:
    """Average ranks of methods over units that have all of them.

    Attributes:
        ranks: method → average rank, 1 the best; ties share their mean rank. In order of rank.
        n: units.
        statistic, p: Friedman's χ² and its p (χ² approximation with len(ranks) − 1 degrees of
            freedom, rough below about ten units); NaN where the test cannot be made.
        pairs: Holm-corrected two-sided p of each pair, symmetric, 1 on the diagonal.
        left_out: units and methods that are not in it, each with the reason.
        alpha: level at which a pair is told apart.
    """

    metric: str
    ranks: dict[str, float]
    n: int
    statistic: float
    p: float
    pairs: pd.DataFrame
    left_out: tuple[str, ...]
    alpha: float
    names: Names = field(repr=False, compare=False)

    @property
    def tested(self) -> bool:
        """Enough methods and units for a test."""
        return not math.isnan(self.p)

    def sentence(self) -> str:
        """The test, the ranks, and the pairs that are told apart."""
        measure, label = f"test {self.names.metric(self.metric).title}", self.names.method
        gone = f" Left out: {listed(self.left_out)}." if self.left_out else ""
        if not self.tested:
            return (
                f"Friedman's test in {measure} cannot be made: it takes {LEAST_METHODS} methods "
                f"and {LEAST_UNITS} units with all of them, here are {len(self.ranks)} and "
                f"{self.n}.{gone}"
            )
        ranked = ", ".join(f"{label(m)} {rank:.2f}" for m, rank in self.ranks.items())
        p_of: Any = self.pairs.to_dict()
        apart = [
            f"{label(a)} and {label(b)} ({p_text(p_of[a][b])})"
            for a, b in combinations(self.ranks, 2)
            if p_of[a][b] <= self.alpha
        ]
        least = 2.0 / 2.0**self.n * math.comb(len(self.ranks), 2)
        told = f"told apart by Holm-corrected signed-rank tests: {listed(apart, 10)}"
        if not apart:
            told = "no pair is told apart by Holm-corrected signed-rank tests"
            if least > self.alpha:
                told += f", and none could be: the smallest corrected p is {min(1.0, least):.2g}"
        return (
            f"Average ranks in {measure} over {self.n} units, 1 the best: {ranked}; Friedman's "
            f"χ² = {self.statistic:.2f}, {p_text(self.p)}; {told}.{gone}"
        )


def rank_methods(table: pd.DataFrame, names: Names, metric: str, alpha: float) -> MethodRanks:
    """Rank all methods of a seed table (index dataset, model, seed; a column per method).

    A unit's value of a method is its mean over seeds. A method that most units lack is left out;
    then every unit that lacks one of the others.
    """
    means = table.groupby(level=UNIT, sort=True).mean().round(DECIMALS)
    has = means.notna()
    rare = [m for m in names.in_order(means.columns) if has[m].sum() <= len(means) / 2]
    methods = [m for m in names.in_order(means.columns) if m not in rare]
    complete = means[methods].dropna()
    left_out = [f"{names.method(m)} (in {has[m].sum()} of {len(means)} units)" for m in rare]
    for unit in means.index.difference(complete.index):
        absent = ", ".join(names.method(m) for m in methods if not has.loc[unit, m])
        left_out.append(f"{' × '.join(unit)} (no {absent})")
    ascending = names.metric(metric).sign < 0
    average = complete.rank(axis=1, ascending=ascending).mean().sort_values(kind="stable")
    statistic = p = math.nan
    if len(methods) >= LEAST_METHODS and len(complete) >= LEAST_UNITS:
        statistic, p = _friedman(complete)
    return MethodRanks(
        metric=metric,
        ranks={str(method): float(rank) for method, rank in average.items()},
        n=len(complete),
        statistic=statistic,
        p=p,
        pairs=pairwise_p(complete),
        left_out=tuple(left_out),
        alpha=alpha,
        names=names,
    )


def _friedman(complete: pd.DataFrame) -> tuple[float, float]:
    if (complete.nunique(axis=1) == 1).all():
        return 0.0, 1.0  # all equal everywhere: scipy divides by zero
    found = stats.friedmanchisquare(*(complete[m].to_numpy() for m in complete.columns))
    return float(found.statistic), float(found.pvalue)


def pairwise_p(complete: pd.DataFrame) -> pd.DataFrame:
    """Holm-corrected p of Wilcoxon's signed-rank test for every pair of columns."""
    methods = list(complete.columns)
    pairs = list(combinations(methods, 2))
    matrix = pd.DataFrame(np.eye(len(methods)), index=methods, columns=methods)
    if complete.empty:
        return matrix
    raw = [signed_rank(complete[a].to_numpy(), complete[b].to_numpy()).p for a, b in pairs]
    for (a, b), p in zip(pairs, holm(raw), strict=True):
        matrix.loc[a, b] = matrix.loc[b, a] = float(p)
    return matrix


def ranks_frame(found: Sequence[MethodRanks]) -> pd.DataFrame:
    """As ranks.csv has them."""
    rows = [
        (r.metric, method, rank, r.n, r.statistic, r.p)
        for r in found
        for method, rank in r.ranks.items()
    ]
    return pd.DataFrame(rows, columns=RANK_COLUMNS)
