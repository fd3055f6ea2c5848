"""One paired comparison of two methods: the test, the effect, the interval, the sentence.

Everything that a table, the report or the terminal says about a comparison comes from one
`SignificanceRecord`, so no two places can disagree.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import stats

from aswa.analysis.records.names import listed
from aswa.analysis.statistics.compared import Compared

COLUMNS = [
    "metric", "scope", "optimizer_a", "optimizer_b", "n", "zeros", "wins", "ties", "losses",
    "statistic", "p", "p_holm", "rank_biserial", "median_difference", "ci_low", "ci_high",
    "smallest_p",
]  # fmt: skip

# Differences are rounded here before ranking: 0.75 − 0.70 and 0.65 − 0.60 are a tie, though
# their floats are not. Far below what any metric resolves.
DECIMALS = 12

EXACT_UP_TO = 50  # nonzero units; beyond, the normal approximation is as good


@dataclass(frozen=True)
class SignedRank:
    """The numbers of one comparison, a minus b over n units. NaN where undefined, as without units.

    Attributes:
        n: units with a value of both methods; zeros: those with equal values (also `ties`).
        wins: units in which a is better (lower, for a loss); losses: in which b is.
        statistic: min(W+, W−), the smaller sum of signed ranks of the nonzero differences.
        p: two-sided p of Wilcoxon's signed-rank test; exact: not a normal approximation.
        rank_biserial: matched-pairs rank-biserial correlation, (W_a − W_b) / (W_a + W_b) where
            W_a sums the ranks of the units in which a is better: +1 a always better, −1 b.
        median_difference: median of the n differences a − b, in the units of the metric.
        ci_low, ci_high: interval for that median from order statistics.
        smallest_p: the least p that n − zeros units can reach, 2 / 2^(n − zeros), at most 1.
    """

    n: int = 0
    zeros: int = 0
    wins: int = 0
    ties: int = 0
    losses: int = 0
    statistic: float = math.nan
    p: float = math.nan
    rank_biserial: float = math.nan
    median_difference: float = math.nan
    ci_low: float = math.nan
    ci_high: float = math.nan
    smallest_p: float = math.nan
    exact: bool = True


def signed_rank(
    a: npt.ArrayLike, b: npt.ArrayLike, lower_is_better: bool = False, confidence: float = 0.95
) -> SignedRank:
    """Compare two methods over paired units; `a` and `b` have shape (n,), finite.

    Zeros are dropped before ranking (Wilcoxon's own treatment) and counted: a unit in which both
    methods are equal says nothing about direction, with it out the null distribution stays exact,
    and Pratt's variant has only a normal approximation in scipy. p is exact up to EXACT_UP_TO
    nonzero units, with ties among |differences| too; beyond, scipy's normal approximation. All
    zeros: p = 1. No units: NaN.

    The interval is the order-statistic interval of the median (the inverted sign test,
    `scipy.stats.quantile_test`): distribution-free, exact, no random numbers, so conservative; for
    fewer than 6 units no two-sided 95% interval exists and both ends are NaN.

    Raises:
        ValueError: shapes differ or a value is not finite.
    """
    x, y = np.asarray(a, dtype=float), np.asarray(b, dtype=float)
    if x.shape != y.shape or x.ndim != 1 or not np.isfinite([x, y]).all():
        raise ValueError("a and b have to be finite and of one length; drop incomplete pairs first")
    if not x.size:
        return SignedRank()
    difference = np.round(x - y, DECIMALS)
    moved = difference[difference != 0.0]
    gain = -moved if lower_is_better else moved
    zeros = difference.size - moved.size
    statistic, p, exact = _wilcoxon(moved)
    ranks = stats.rankdata(np.abs(gain))
    balance = float(ranks[gain > 0].sum() - ranks[gain < 0].sum())
    interval: Any = stats.quantile_test(difference, q=0, p=0.5).confidence_interval(confidence)
    ends = float(interval.low), float(interval.high)
    low, high = ends if all(map(math.isfinite, ends)) else (math.nan, math.nan)
    return SignedRank(
        n=difference.size,
        zeros=zeros,
        wins=int((gain > 0).sum()),
        ties=zeros,
        losses=int((gain < 0).sum()),
        statistic=statistic,
        p=p,
        rank_biserial=balance / float(ranks.sum()) if moved.size else 0.0,
        median_difference=float(np.median(difference)),
        ci_low=low,
        ci_high=high,
        smallest_p=min(1.0, 2.0 / 2.0**moved.size),
        exact=exact,
    )


def _wilcoxon(moved: npt.NDArray[np.float64]) -> tuple[float, float, bool]:
    """Statistic, two-sided p and whether p is exact, of nonzero differences."""
    if not moved.size:
        return 0.0, 1.0, True
    exact = moved.size <= EXACT_UP_TO
    method: Any = "exact" if exact else "asymptotic"
    result: Any = stats.wilcoxon(moved, method=method)
    tied = np.unique(np.abs(moved)).size < moved.size
    # scipy's exact distribution knows no ties, and its permutation test calls Python 2^n times.
    p = tied_p(moved) if exact and tied else float(result.pvalue)
    return float(result.statistic), min(1.0, p), exact


def tied_p(moved: npt.NDArray[np.float64]) -> float:
    """Exact two-sided p with tied ranks: counts all 2^n sign assignments by their rank sum."""
    doubled = np.rint(2 * stats.rankdata(np.abs(moved))).astype(int)  # midranks are halves
    counts = np.ones(1)
    for rank in doubled:
        counts = np.append(counts, np.zeros(rank)) + np.append(np.zeros(rank), counts)
    seen = int(doubled[moved > 0].sum())
    tail = min(counts[: seen + 1].sum(), counts[seen:].sum())
    return float(2.0 * tail / counts.sum())


@dataclass(frozen=True, kw_only=True)
class SignificanceRecord(Compared, SignedRank):
    """One declared comparison: a row of significance.csv and the sentence about it.

    Beyond the columns: `alpha` and `confidence` of the declaration, `family` (number of comparisons
    in the Holm family), `unpaired` (units without a pair, named) and `partial` (units in which only
    the seeds common to both methods were used, named). `p_holm` is NaN until `correct_family` has
    seen the other comparisons.
    """

    scope: str
    alpha: float
    confidence: float
    p_holm: float = math.nan
    family: int = 1
    unpaired: tuple[str, ...] = ()
    partial: tuple[str, ...] = ()

    @property
    def verdict(self) -> str:
        """One of `untested`, `equal`, `better`, `worse` (than b), `not shown`."""
        if self.n == 0:
            return "untested"
        if self.zeros == self.n:
            return "equal"
        if self.p_holm <= self.alpha and self.rank_biserial != 0:
            return "better" if self.rank_biserial > 0 else "worse"
        return "not shown"

    @property
    def measure(self) -> str:
        """What was compared where: `test MRR`, `test MRR on umls`."""
        where = f" on {self.scope.partition(':')[2]}" if ":" in self.scope else ""
        return f"{super().measure}{where}"

    def sentence(self) -> str:
        """One sentence: the verdict, the size, the test, and what the test could not see."""
        first, (a, b) = self.first, self.spoken
        if self.verdict == "untested":
            gone = f" ({listed(self.unpaired)})" if self.unpaired else ""
            return f"{first} and {b} cannot be compared in {self.measure}: no unit has both{gone}."
        if self.verdict == "equal":
            opening = f"{first} and {b} are equal in {self.measure} in every unit"
            return f"{opening} (n = {self.n}), so there is nothing to test{self._caveats()}."
        if self.verdict == "not shown":
            opening = f"No difference between {a} and {b} is shown in {self.measure}"
        else:
            opening = f"{first} is {self.verdict} than {b} in {self.measure}"
        return f"{opening}: {self.evidence()}{self._caveats()}."

    def evidence(self) -> str:
        """The numbers behind the verdict, as a phrase."""
        kind = "exact" if self.exact else "approximate"
        units = "models" if ":" in self.scope else "dataset × model units"
        return (
            f"median difference {self.size()}, {_count(self.wins, 'win')}, "
            f"{_count(self.ties, 'tie')}, {_count(self.losses, 'loss')} over {self.n} {units}; "
            f"Wilcoxon signed-rank {p_text(self.p)} ({kind}), {p_text(self.p_holm)} after Holm's "
            f"correction over {_count(self.family, 'comparison')}, rank-biserial effect "
            f"{self.rank_biserial:+.2f}"
        )

    def size(self) -> str:
        """Median difference with its interval: `+0.0110 (95% interval +0.0020 to +0.0200)`."""
        percent = f"{100 * self.confidence:g}%"
        if math.isnan(self.ci_low):
            return f"{self.median_difference:+.4f} (too few units for a {percent} interval)"
        ends = f"{self.ci_low:+.4f} to {self.ci_high:+.4f}"
        return f"{self.median_difference:+.4f} ({percent} interval {ends})"

    def _caveats(self) -> str:
        parts = []
        if self.verdict == "not shown" and self.smallest_p <= self.alpha:
            parts.append(f"the smallest p possible here is {self.smallest_p:.2g}")
        elif self.verdict == "not shown":
            parts.append(
                f"with {self.n - self.zeros} untied units no p below {self.smallest_p:.3g} is "
                f"possible, so this test could not have shown one"
            )
        if self.unpaired:
            parts.append(f"without a pair and left out: {listed(self.unpaired)}")
        if self.partial:
            parts.append(f"common seeds only: {listed(self.partial)}")
        return "".join(f"; {part}" for part in parts)


def correct_family(records: Sequence[SignificanceRecord]) -> list[SignificanceRecord]:
    """Holm's step-down correction over one family; all declared comparisons count.

    A comparison that could not be made enters with p = 1 (and keeps NaN as its own p_holm), so
    that a missing method never makes the remaining ones look more significant.
    """
    p = [1.0 if math.isnan(record.p) else record.p for record in records]
    return [
        replace(r, p_holm=math.nan if math.isnan(r.p) else float(q), family=len(records))
        for r, q in zip(records, holm(p), strict=True)
    ]


def holm(p: Sequence[float]) -> npt.NDArray[np.float64]:
    """Holm-corrected p, in the order of `p`.

    As statsmodels' `multipletests` has it, which collects garbage at every call: a tenth of a
    second each where there are many objects.
    """
    raw = np.asarray(p, dtype=float)
    order = np.argsort(raw)
    corrected = np.empty_like(raw)
    stepped = np.maximum.accumulate(raw[order] * np.arange(raw.size, 0, -1))
    corrected[order] = np.minimum(stepped, 1.0)
    return corrected


def summary_sentence(records: Sequence[SignificanceRecord]) -> str:
    """The remaining comparisons of a family in one sentence; empty if there are none."""
    if not records:
        return ""
    phrases = []
    for record in records:
        a, b = record.spoken
        text = {
            "untested": f"{a} and {b} cannot be compared",
            "equal": f"{a} and {b} are equal",
            "not shown": f"no difference is shown between {a} and {b}",
        }.get(record.verdict, f"{a} is {record.verdict} than {b}")
        if record.verdict not in ("untested", "equal"):
            numbers = f"{record.median_difference:+.4f}, Holm-corrected {p_text(record.p_holm)}"
            text += f" (median difference {numbers})"
        phrases.append(text)
    return f"In {records[0].measure}, {'; '.join(phrases)}."


def p_text(p: float) -> str:
    """`p = 0.0156`, `p < 0.0001`, or `p undefined`."""
    if math.isnan(p):
        return "p undefined"
    return "p < 0.0001" if p < 1e-4 else f"p = {p:.3g}"


def _count(number: int, noun: str) -> str:
    plural = noun + ("es" if noun.endswith("s") else "s")
    return f"{number} {noun if number == 1 else plural}"
