"""How probable is it that a method is better, equal in practice, or worse? (baycomp, optional)

The Bayesian signed-rank test of Benavoli et al. (2014) with a region of practical equivalence, the
declaration's `rope`. The posterior is about the unit means of the same pairs that the signed-rank
test has. The test needs `pip install 'aswa[bayes]'`; without it nothing else changes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy.typing as npt

from aswa.analysis.statistics.compared import Compared

SAMPLES = 10_000
LEAST_UNITS = 5  # with fewer it is the prior that one sees
POSTERIOR_COLUMNS = [
    "metric", "optimizer_a", "optimizer_b", "n", "rope", "p_better", "p_equivalent", "p_worse",
]  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Posterior(Compared):
    """Probabilities that a is better than b by more than `rope`, that they are within it, or worse.

    Each is the part of the posterior's samples in which this is the largest of the three.
    """

    n: int
    rope: float
    p_better: float
    p_equivalent: float
    p_worse: float

    def sentence(self) -> str:
        """The three probabilities."""
        a, b = self.first, self.spoken[1]
        return (
            f"Bayesian signed-rank, {self.measure}, {self.n} units: {a} better "
            f"than {b} by more than {self.rope:g} with probability {self.p_better:.2f}, within "
            f"±{self.rope:g} {self.p_equivalent:.2f}, worse {self.p_worse:.2f}."
        )


def posterior(
    a: npt.NDArray[Any], b: npt.NDArray[Any], rope: float, lower_is_better: bool = False
) -> dict[str, float]:
    """The three probabilities by name, over paired units, shape (n,). The same each time."""
    from baycomp import SignedRankTest

    x, y = (b, a) if lower_is_better else (a, b)
    sample = SignedRankTest(x, y, rope, nsamples=SAMPLES, random_state=0)
    shares = map(float, sample.probs(True))
    return dict(zip(("p_better", "p_equivalent", "p_worse"), shares, strict=True))
