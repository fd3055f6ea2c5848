"""How large is a difference over the runs that were made? Paired bootstrap over seeds.

Beside the signed-rank test, which asks whether a difference would be found again in other units
(dataset × model), these intervals ask how well the seeds determine the difference in these units:
each unit's seeds are drawn anew with replacement, both methods of a seed together, and every unit
keeps its weight (stratified, as in Agarwal et al. 2021, Deep RL at the edge of the statistical
precipice). They say nothing about datasets that were not tried.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from aswa.analysis.records.long_table import UNIT
from aswa.analysis.records.names import Names
from aswa.analysis.statistics.compared import Compared

DRAWS = 10_000
EFFECT_COLUMNS = [
    "metric", "optimizer_a", "optimizer_b", "units", "seeds", "mean_difference", "ci_low",
    "ci_high", "improvement", "improvement_low", "improvement_high",
]  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Effect(Compared):
    """Size of one declared comparison, a minus b, over all units with common seeds.

    Attributes:
        units, seeds: how many; seeds counts the pairs of all units.
        mean_difference: mean over units of the mean difference over seeds, units of the metric.
        ci_low, ci_high: its interval; NaN where every unit has one seed.
        improvement: probability of improvement, the mean over units of P(a better than b) for two
            runs drawn from the seeds, a tie counting half; ½ is no difference.
    """

    units: int
    seeds: int
    mean_difference: float
    ci_low: float
    ci_high: float
    improvement: float
    improvement_low: float
    improvement_high: float
    confidence: float

    def sentence(self) -> str:
        """Both sizes with their intervals."""
        a, b = self.first, self.spoken[1]
        if not self.units:
            return f"{a} and {b} have no common seed in any unit."
        percent = f"{100 * self.confidence:g}%"
        interval, likely = "one seed a unit, so no interval", ""
        if not math.isnan(self.ci_low):
            interval = f"{percent} bootstrap interval {self.ci_low:+.4f} to {self.ci_high:+.4f}"
            likely = f" ({self.improvement_low:.2f} to {self.improvement_high:.2f})"
        return (
            f"{a} − {b}, {self.measure}: mean {self.mean_difference:+.4f} "
            f"({interval}); probability of improvement {self.improvement:.2f}{likely}; "
            f"{self.units} units, {self.seeds} pairs of runs."
        )


def effect(
    table: pd.DataFrame, names: Names, metric: str, pair: tuple[str, str], confidence: float = 0.95
) -> Effect:
    """One comparison. The random numbers are fixed: the same table gives the same interval.

    Args:
        table: index (dataset, model, seed), a column per method; see `Cells.seed_table`.
    """
    both = table.reindex(columns=list(pair)).set_axis(["a", "b"], axis=1).dropna().sort_index()
    sign = names.metric(metric).sign
    generator = np.random.default_rng(0)
    most = int(both.groupby(level=UNIT).size().max()) if len(both) else 1
    draws = min(DRAWS, max(200, 2_000_000 // most))  # fewer than DRAWS from 200 seeds on
    means, chances, mean_draws, chance_draws = [], [], [], []
    for _, unit in both.groupby(level=UNIT, sort=True):
        a, b = unit["a"].to_numpy(), unit["b"].to_numpy()
        equal = np.full((1, a.size), 1 / a.size)
        share = generator.multinomial(a.size, equal[0], draws) / a.size
        means.append((a - b).mean())
        chances.append(_improvement(sign * a, sign * b, equal)[0])
        mean_draws.append(share @ (a - b))
        chance_draws.append(_improvement(sign * a, sign * b, share))
    known = len(both) > len(means) > 0  # some unit has two seeds or more
    low, high = _interval(mean_draws, confidence) if known else (math.nan, math.nan)
    likely = _interval(chance_draws, confidence) if known else (math.nan, math.nan)
    return Effect(
        metric=metric, optimizer_a=pair[0], optimizer_b=pair[1], names=names, units=len(means),
        seeds=len(both), mean_difference=float(np.mean(means)) if means else math.nan,
        ci_low=low, ci_high=high, improvement=float(np.mean(chances)) if chances else math.nan,
        improvement_low=likely[0], improvement_high=likely[1], confidence=confidence,
    )  # fmt: skip


def _improvement(
    a: npt.NDArray[np.float64], b: npt.NDArray[np.float64], share: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """P(a > b) + P(a = b) / 2 for seeds drawn with probabilities `share` [draws, seeds]."""
    order = np.argsort(b, kind="stable")
    below = np.pad(np.cumsum(share[:, order], axis=1), ((0, 0), (1, 0)))  # of sorted b, by count
    less, not_more = (np.searchsorted(b[order], a, side) for side in ("left", "right"))
    return (share * (below[:, less] + below[:, not_more]) / 2).sum(axis=1)


def _interval(draws: list[npt.NDArray[np.float64]], confidence: float) -> tuple[float, float]:
    """Percentiles of the mean over units."""
    tail = (1 - confidence) / 2
    low, high = np.quantile(np.mean(draws, axis=0), [tail, 1 - tail])
    return float(low), float(high)
