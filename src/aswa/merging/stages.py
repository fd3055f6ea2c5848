"""The stages of the methods: the first round, with and without centroids, and the second ones."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, cast

import numpy as np
from scipy.sparse import csr_matrix, vstack

from aswa.merging.computation import Computation, Stage
from aswa.merging.exchange import Centroids, Ledger, Support
from aswa.merging.local_solver import Solution
from aswa.merging.logistic import Floats
from aswa.merging.rows import Rows, SparseVector

CLASSES = (-1.0, 1.0)


@dataclass(frozen=True)
class FullSolve:
    """All rows travel to the master, which solves the whole problem."""

    name: str = "full"
    after: tuple[Stage, ...] = ()
    master: bool = True

    def prepare(self, at: Computation, ledger: Ledger) -> Rows | None:
        sent = {part: at.parts[part] for part in at.exchange.mine}
        found = cast(list[Rows], at.exchange.gather(ledger, 1, "rows", sent))
        if not at.exchange.master:
            return None
        with at.master_time(self.name):
            X = found[0].X if len(found) == 1 else vstack([rows.X for rows in found], format="csr")
            return Rows(csr_matrix(X), np.concatenate([rows.y for rows in found]))

    def solve(self, at: Computation, part: int, known: Rows) -> Solution:
        return at.solver.solve(known, at.options.l1)


@dataclass(frozen=True)
class FirstRound:
    """Every part solves its own problem."""

    name: str = "first"
    after: tuple[Stage, ...] = ()
    master: bool = False

    def prepare(self, at: Computation, ledger: Ledger) -> None:
        """Nothing is sent."""

    def solve(self, at: Computation, part: int, known: None) -> Solution:
        return at.solver.solve(at.parts[part], at.options.l1)


@dataclass(frozen=True)
class Subsample:
    """Every part solves its problem on a share of its rows, drawn without replacement."""

    share: float = 0.1
    after: tuple[Stage, ...] = ()
    master: bool = False

    @property
    def name(self) -> str:
        return f"subsample {self.share:g}"

    def prepare(self, at: Computation, ledger: Ledger) -> None:
        """Nothing is sent."""

    def solve(self, at: Computation, part: int, known: None) -> Solution:
        rows = at.parts[part]
        n = rows.X.shape[0]
        size = max(1, round(self.share * n))
        chosen = np.random.default_rng([at.options.seed, part, 1]).choice(n, size, replace=False)
        return at.solver.solve(rows.taken(np.sort(chosen)), at.options.l1)


@dataclass(frozen=True)
class CentroidWeights:
    """How much a centroid counts in a local problem.

    Attributes:
        alpha: times the number of its rows; 0 leaves centroids out.
        last: the same for those of the last part; None is alpha.
        ones: each counts as one row, whatever alpha is.
    """

    alpha: float = 0.1
    last: float | None = None
    ones: bool = False

    def of(self, counts: Floats) -> Floats:
        """Weights of all centroids [2P], two a part, from the numbers of their rows [2P]."""
        if self.ones:
            return np.ones(len(counts))
        alphas = np.full(len(counts), self.alpha)
        if self.last is not None:
            alphas[-2:] = self.last
        return alphas * counts

    def __str__(self) -> str:
        last = "" if self.last is None else f" last {self.last:g}"
        return "ones" if self.ones else f"{self.alpha:g}{last}"


def centroids_of(rows: Rows) -> Centroids:
    """Mean rows of a part by class."""
    counts = np.array([float(np.sum(rows.y == label)) for label in CLASSES])
    scale = 1.0 / np.maximum(counts, 1.0)
    number = np.searchsorted(CLASSES, rows.y)
    shape = (2, rows.X.shape[0])
    chooser = csr_matrix((scale[number], (number, np.arange(len(rows.y)))), shape=shape)
    means = csr_matrix(chooser @ rows.X)
    means.sort_indices()
    return Centroids(means, counts)


@dataclass(frozen=True)
class AllCentroids:
    """The centroids of all parts as labelled rows, without those of absent classes."""

    X: csr_matrix
    y: Floats
    counts: Floats  # all, two a part
    there: Any  # which of them have rows

    def beside(self, rows: Rows, weights: CentroidWeights) -> Rows:
        """A part's problem: its rows, and the weighted centroids of all parts, its own included."""
        return rows.with_rows(self.X, self.y, weights.of(self.counts)[self.there])


def exchange_centroids(at: Computation, stage: str, ledger: Ledger) -> AllCentroids:
    """Round 0: centroids of every part to every part."""
    sent = {}
    for part in at.exchange.mine:
        with at.part_time(stage, part):
            sent[part] = centroids_of(at.parts[part])
    found = cast(list[Centroids], at.exchange.all_gather(ledger, 0, "centroids", dict(sent)))
    counts = np.concatenate([each.counts for each in found])
    there = counts > 0
    X = csr_matrix(vstack([each.means for each in found], format="csr"))[there]
    return AllCentroids(csr_matrix(X), np.tile(CLASSES, len(found))[there], counts, there)


@dataclass(frozen=True)
class CentroidRound:
    """Round 0 and the first round of ACOWA: rows beside the centroids of all parts.

    Attributes:
        free: the last feature is not penalised: a defect of the released code.
    """

    weights: CentroidWeights = CentroidWeights()
    free: bool = False
    after: tuple[Stage, ...] = ()
    master: bool = False

    @property
    def name(self) -> str:
        return f"centroids {self.weights}{' free' if self.free else ''}"

    def prepare(self, at: Computation, ledger: Ledger) -> AllCentroids:
        return exchange_centroids(at, self.name, ledger)

    def solve(self, at: Computation, part: int, known: AllCentroids) -> Solution:
        rows = at.parts[part]
        if self.weights.alpha > 0:
            rows = known.beside(rows, self.weights)
        return at.solver.solve(rows, at.options.l1, freed(at.features) if self.free else None)


FREE = 1e4  # a factor that makes the penalty of a feature nothing beside its loss


def freed(features: int, factors: Floats | None = None) -> Floats:
    """Factors [d] with which the last feature is not penalised."""
    found = np.ones(features) if factors is None else factors.copy()
    found[-1] = FREE
    return found


@dataclass(frozen=True)
class Vote:
    """f_j = 1 + κ s_j, s_j the share of parts whose weight of feature j is not 0.

    Attributes:
        kappa: κ.
        whole: weights are sent, of which the support alone is used: as the released code does.
    """

    kappa: float = 10.0
    whole: bool = False

    def exchange(self, at: Computation, ledger: Ledger, stage: Stage) -> Floats:
        """Supports to the master, factors to every part; f, [d]."""
        weights = at.weights_of(stage)
        if self.whole:
            found: Any = at.exchange.gather(ledger, 1, "weights", dict(weights))
        else:
            supports = {p: Support(w.indices, w.size) for p, w in weights.items()}
            found = at.exchange.gather(ledger, 1, "supports", dict(supports))
        beyond = None
        if at.exchange.master:
            with at.master_time(stage.name):
                votes = np.zeros(at.features)
                for each in found:
                    votes[each.indices] += 1
                beyond = SparseVector.of(self.kappa * votes / len(found))
        sent = cast(SparseVector, at.exchange.broadcast(ledger, 1, "factors", beyond))
        return 1.0 + sent.dense()


def rescaled_l1(l1: float, factors: Floats) -> float:
    """λ' = λ d / Σ 1/f_j, at which the mean penalty λ'/f_j of a feature is λ."""
    return l1 * len(factors) / float(np.sum(1.0 / factors))


@dataclass(frozen=True)
class SecondRound:
    """The problem of an earlier stage with penalties by feature, from the vote on its weights.

    Attributes:
        before: `FirstRound`, or `CentroidRound` whose rows and centroids are used again.
        weights: of the centroids in this round; None: as before.
    """

    before: FirstRound | CentroidRound
    vote: Vote = Vote()
    weights: CentroidWeights | None = None
    master: bool = False
    after: tuple[Stage, ...] = field(init=False, default=())

    def __post_init__(self) -> None:
        object.__setattr__(self, "after", (self.before,))

    @property
    def name(self) -> str:
        centroids = "" if self.weights is None else f" centroids {self.weights}"
        whole = " whole" if self.vote.whole else ""
        return f"vote {self.vote.kappa:g}{whole} on {self.before.name}{centroids}"

    def prepare(self, at: Computation, ledger: Ledger) -> tuple[Floats, Any]:
        """f, and the centroids of the stage before."""
        return self.vote.exchange(at, ledger, self.before), at.known(self.before)

    def solve(self, at: Computation, part: int, known: tuple[Floats, Any]) -> Solution:
        factors, centroids = known
        rows, l1 = at.parts[part], rescaled_l1(at.options.l1, factors)
        if centroids is not None:
            assert isinstance(self.before, CentroidRound)
            weights = self.weights or self.before.weights
            if weights.alpha > 0 or weights.ones:
                rows = centroids.beside(rows, weights)
            if self.before.free:
                factors = freed(len(factors), factors)
        return at.solver.solve(rows, l1, factors)
