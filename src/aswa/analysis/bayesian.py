"""How probable is it that a method is better, equal in practice, or worse? (baycomp, optional)

The Bayesian signed-rank test of Benavoli et al. (2014) with a region of practical equivalence, as
the plan's `rope` says. The posterior is about the unit means of the same pairs that the signed-rank
test has. It needs `pip install 'aswa[bayes]'`; without it nothing else changes.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

import numpy.typing as npt
import pandas as pd

from aswa.analysis.naming import method_label, metric_label, prose_label

SAMPLES = 10_000
LEAST_UNITS = 5  # with fewer it is the prior that one sees
POSTERIOR_COLUMNS = [
    "metric", "optimizer_a", "optimizer_b", "n", "rope", "p_better", "p_equivalent", "p_worse",
]  # fmt: skip


@dataclass(frozen=True)
class Posterior:
    """Probabilities that a is better than b by more than `rope`, that they are within it, or worse.

    Each is the part of the posterior's samples in which this is the largest of the three.
    """

    metric: str
    optimizer_a: str
    optimizer_b: str
    n: int
    rope: float
    p_better: float
    p_equivalent: float
    p_worse: float

    def sentence(self) -> str:
        """The three probabilities."""
        a, b = method_label(self.optimizer_a), prose_label(self.optimizer_b)
        return (
            f"Bayesian signed-rank, test {metric_label(self.metric)}, {self.n} units: {a} better "
            f"than {b} by more than {self.rope:g} with probability {self.p_better:.2f}, within "
            f"±{self.rope:g} {self.p_equivalent:.2f}, worse {self.p_worse:.2f}."
        )

    def row(self) -> dict[str, object]:
        """A row of posterior.csv, in the order of POSTERIOR_COLUMNS."""
        return {column: getattr(self, column) for column in POSTERIOR_COLUMNS}


def available() -> bool:
    """Whether baycomp is installed."""
    return find_spec("baycomp") is not None


def posterior(
    a: npt.NDArray[Any], b: npt.NDArray[Any], rope: float, lower_is_better: bool = False
) -> tuple[float, float, float]:
    """P(a better), P(equivalent), P(b better) over paired units, shape (n,). The same each time."""
    from baycomp import SignedRankTest

    x, y = (b, a) if lower_is_better else (a, b)
    sample = SignedRankTest(x, y, rope, nsamples=SAMPLES, random_state=0)
    better, equivalent, worse = sample.probs(True)
    return float(better), float(equivalent), float(worse)


def posterior_frame(found: Iterable[Posterior]) -> pd.DataFrame:
    """As posterior.csv has them."""
    return pd.DataFrame([record.row() for record in found], columns=POSTERIOR_COLUMNS)
