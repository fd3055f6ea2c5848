"""The methods, but for the released arithmetic (`released`) and CSL and DANE (`surrogate`)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import cast

import numpy as np
from scipy.sparse import csr_matrix, vstack

from aswa.merging.computation import Computation, Merge, Stage
from aswa.merging.exchange import Ledger
from aswa.merging.logistic import Floats
from aswa.merging.merge_weights import learn_weights
from aswa.merging.rows import Rows, SparseVector, mean_vector, stacked
from aswa.merging.stages import (
    CentroidRound,
    CentroidWeights,
    FirstRound,
    FullSolve,
    SecondRound,
    Subsample,
    Vote,
)

SAMPLES = ("rows", "projected")


def sample_of(at: Computation, part: int) -> Rows:
    """The rows of a part in the merge sample: the same for every method."""
    rows, options = at.parts[part], at.options
    n = rows.X.shape[0]
    size = options.merge_rows or max(1, round(options.merge_share * n))
    random = np.random.default_rng([options.seed, part, 2])
    return rows.taken(np.sort(random.choice(n, min(size, n), replace=False)))


def gathered_sample(
    at: Computation, ledger: Ledger, round: int, weights: Sequence[SparseVector]
) -> tuple[Floats, Floats] | None:
    """A = [Wᵀx_i] in rows [n, P] and labels of the merge sample, at the master.

    Args:
        round: in which the weights were sent.
        weights: of the parts; used at the master alone.
    """
    samples = {part: sample_of(at, part) for part in at.exchange.mine}
    if at.options.merge_sample == "projected":
        sent = tuple(weights) if at.exchange.master else None
        received = cast(
            tuple[SparseVector, ...],
            at.exchange.broadcast(ledger, round + 1, "weights of all parts", sent),
        )
        W = stacked(received)
        projected = {
            part: np.column_stack([np.asarray((rows.X @ W).todense()), rows.y])
            for part, rows in samples.items()
        }
        found = at.exchange.gather(ledger, round + 1, "projected rows", dict(projected))
        if not at.exchange.master:
            return None
        together = np.concatenate(cast(list[Floats], found))
        return together[:, :-1], together[:, -1]
    if at.options.merge_sample != "rows":
        raise ValueError(f"merge_sample={at.options.merge_sample}: take {' or '.join(SAMPLES)}")
    rows = cast(list[Rows], at.exchange.gather(ledger, round, "merge sample", dict(samples)))
    if not at.exchange.master:
        return None
    X = csr_matrix(vstack([each.X for each in rows], format="csr"))
    return np.asarray((X @ stacked(weights)).todense()), np.concatenate([each.y for each in rows])


def learned_merge(at: Computation, ledger: Ledger, round: int, stage: Stage) -> Merge | None:
    """W v with v learned on the merge sample."""
    sent = at.weights_of(stage)
    weights = cast(list[SparseVector], at.exchange.gather(ledger, round, "weights", dict(sent)))
    sample = gathered_sample(at, ledger, round, weights)
    if sample is None:
        return None
    A, y = sample
    order = np.random.default_rng([at.options.seed, 3]).permutation(len(y))
    learned = learn_weights(A[order], y[order], at.options.lambda2, at.options.selection)
    return Merge(np.asarray(stacked(weights) @ learned.v), learned.v, learned.lambda2)


@dataclass(frozen=True)
class FullSolveMethod:
    """The regularised loss minimiser of all rows, which are shipped to the master."""

    stages: tuple[Stage, ...] = (FullSolve(),)

    def merge(self, at: Computation, ledger: Ledger) -> Merge | None:
        """Nothing is merged."""
        if not at.exchange.master:
            return None
        return Merge(at.compute(self.stages[0], 0).weights.dense())


@dataclass(frozen=True)
class OnePart:
    """The solve of the first part alone: what no communication gives."""

    stages: tuple[Stage, ...] = (FirstRound(),)

    def merge(self, at: Computation, ledger: Ledger) -> Merge | None:
        """The first part is at the master; nothing is sent."""
        if not at.exchange.master:
            return None
        return Merge(at.compute(self.stages[0], 0).weights.dense())


@dataclass(frozen=True)
class NaiveAverage:
    """AVGM: the unweighted mean of the parts' solutions."""

    stages: tuple[Stage, ...] = (FirstRound(),)

    def merge(self, at: Computation, ledger: Ledger) -> Merge | None:
        """(1/P) Σ w_p."""
        sent = dict(at.weights_of(self.stages[0]))
        found = cast(list[SparseVector], at.exchange.gather(ledger, 1, "weights", dict(sent)))
        return Merge(mean_vector(found)) if at.exchange.master else None


@dataclass(frozen=True)
class SubsampledAverage:
    """SAVGM (Zhang, Duchi, Wainwright 2012): the mean, less its bias as a subsample shows it.

    Attributes:
        share: r, of a part's rows.
    """

    share: float = 0.1
    stages: tuple[Stage, ...] = field(init=False, default=())

    def __post_init__(self) -> None:
        if not 0 < self.share < 1:
            raise ValueError(f"share={self.share}: must be in (0, 1)")
        object.__setattr__(self, "stages", (FirstRound(), Subsample(self.share)))

    def merge(self, at: Computation, ledger: Ledger) -> Merge | None:
        """(w̄ − r ū) / (1 − r)."""
        means = []
        for stage, what in zip(self.stages, ("weights", "subsample weights"), strict=True):
            sent = dict(at.weights_of(stage))
            found = cast(list[SparseVector], at.exchange.gather(ledger, 1, what, dict(sent)))
            means.append(mean_vector(found) if at.exchange.master else None)
        whole, part = means
        if whole is None or part is None:
            return None
        return Merge((whole - self.share * part) / (1 - self.share))


@dataclass(frozen=True)
class OWA:
    """Optimal weighted average: W v, v learned on held-out rows; nothing else is sent."""

    stages: tuple[Stage, ...] = (FirstRound(),)

    def merge(self, at: Computation, ledger: Ledger) -> Merge | None:
        """A logistic regression on Wᵀx."""
        return learned_merge(at, ledger, 1, self.stages[0])


@dataclass(frozen=True)
class CentroidsOnly:
    """OWA whose first round sees the centroids of all parts: ACOWA without its second round."""

    centroid_weight: float = 0.1
    stages: tuple[Stage, ...] = field(init=False, default=())

    def __post_init__(self) -> None:
        weights = CentroidWeights(self.centroid_weight)
        object.__setattr__(self, "stages", (CentroidRound(weights),))

    def merge(self, at: Computation, ledger: Ledger) -> Merge | None:
        """As OWA."""
        return learned_merge(at, ledger, 1, self.stages[0])


@dataclass(frozen=True)
class VotesOnly:
    """OWA after a second round with penalties from the vote: ACOWA without centroids."""

    kappa: float = 10.0
    stages: tuple[Stage, ...] = field(init=False, default=())

    def __post_init__(self) -> None:
        object.__setattr__(self, "stages", (SecondRound(FirstRound(), Vote(self.kappa)),))

    def merge(self, at: Computation, ledger: Ledger) -> Merge | None:
        """As OWA."""
        return learned_merge(at, ledger, 2, self.stages[0])


@dataclass(frozen=True)
class ACOWA:
    """Centroids in the first round, penalties from the vote in the second, then OWA's merge.

    The consistent form: centroids weigh the same in both rounds, and the merge is made of the
    weights of the original features. With κ = 0 and no centroids it is OWA.

    Attributes:
        centroid_weight: α of a centroid, times the number of its rows.
        kappa: κ; the penalty of a feature that all parts keep is 1 + κ times smaller than that of
            one that no part keeps.
    """

    centroid_weight: float = 0.1
    kappa: float = 10.0
    stages: tuple[Stage, ...] = field(init=False, default=())

    def __post_init__(self) -> None:
        first = CentroidRound(CentroidWeights(self.centroid_weight))
        object.__setattr__(self, "stages", (SecondRound(first, Vote(self.kappa)),))

    def merge(self, at: Computation, ledger: Ledger) -> Merge | None:
        """As OWA, of the second round's weights."""
        return learned_merge(at, ledger, 2, self.stages[0])
