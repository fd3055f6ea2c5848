"""CSL (Jordan, Lee, Yang 2016) and DANE (Shamir, Srebro, Zhang 2014) with L1, from AVGM on.

An update solves `proximal_solver`'s subproblem at the first part (CSL), or at every part followed
by a mean (DANE). A line search between the old and the new weights keeps the objective from rising:
every part sends its loss at a few points. Without it the methods are those of the papers, which
diverge where a part knows too little of the whole.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import cast

import numpy as np

from aswa.merging.computation import Computation, Merge, Stage
from aswa.merging.exchange import Ledger
from aswa.merging.local_solver import Solution
from aswa.merging.logistic import Floats, gradient, mean_loss
from aswa.merging.proximal_solver import solve_shifted
from aswa.merging.rows import SparseVector, mean_vector
from aswa.merging.stages import FirstRound


@dataclass(frozen=True)
class Surrogate:
    """One update.

    Attributes:
        number: of the update, from 1.
        everywhere: every part solves (DANE), else the first alone (CSL).
        proximal: α; None is 1/n_p, the order of the curvature of a feature that one row has.
        points: of the line search, 0 for none: steps 1, 1/2, 1/4, …
        before: the update before; None starts from AVGM.
    """

    number: int
    everywhere: bool
    proximal: float | None = None
    points: int = 8
    before: Surrogate | None = None
    after: tuple[Stage, ...] = field(init=False, default=())

    def __post_init__(self) -> None:
        object.__setattr__(self, "after", (self.before or FirstRound(),))

    @property
    def name(self) -> str:
        proximal = "" if self.proximal is None else f" proximal {self.proximal:g}"
        kind = "dane" if self.everywhere else "csl"
        return f"{kind} {self.number} points {self.points}{proximal}"

    @property
    def master(self) -> bool:
        return not self.everywhere

    def prepare(self, at: Computation, ledger: Ledger) -> tuple[Floats, Floats]:
        """w and ∇f(w), both [d]."""
        if self.before is None:
            sent = dict(at.weights_of(self.after[0]))
            found = cast(list[SparseVector], at.exchange.gather(ledger, 1, "weights", dict(sent)))
            start = mean_vector(found) if at.exchange.master else None
        else:
            start = self.before.result(at, ledger)
        round = self.number + 1
        message = None if start is None else SparseVector.of(start)
        w = cast(SparseVector, at.exchange.broadcast(ledger, round, "weights", message)).dense()
        slopes = {}
        for part in at.exchange.mine:
            with at.part_time(self.name, part):
                rows = at.parts[part]
                slopes[part] = SparseVector.of(gradient(rows.X, rows.y, w))
        gathered = cast(
            list[SparseVector], at.exchange.gather(ledger, round, "gradients", dict(slopes))
        )
        mean = None
        if at.exchange.master:
            with at.master_time(self.name):
                sizes = [rows.X.shape[0] / total_rows(at) for rows in at.parts]
                pairs = zip(sizes, gathered, strict=True)
                mean = sum((share * g.dense() for share, g in pairs), np.zeros(at.features))
        if self.everywhere:
            message = None if mean is None else SparseVector.of(mean)
            sent_down = at.exchange.broadcast(ledger, round, "gradient", message)
            mean = cast(SparseVector, sent_down).dense()
        return w, np.zeros(0) if mean is None else mean

    def solve(self, at: Computation, part: int, known: tuple[Floats, Floats]) -> Solution:
        w, whole = known
        rows = at.parts[part]
        alpha = 1.0 / rows.X.shape[0] if self.proximal is None else self.proximal
        shift = whole - gradient(rows.X, rows.y, w)
        shift[np.abs(shift) < 1e-15] = 0.0  # of one part: f and f_p are the same
        return solve_shifted(rows, at.options.l1, shift, w, alpha)

    def result(self, at: Computation, ledger: Ledger) -> Floats | None:
        """The weights after the update, at the master."""
        round = self.number + 1
        solved = at.weights_of(self)
        if self.everywhere:
            found = cast(
                list[SparseVector], at.exchange.gather(ledger, round, "weights", dict(solved))
            )
            new = mean_vector(found) if at.exchange.master else None
        else:
            new = solved[0].dense() if at.exchange.master else None
        if not self.points:
            return new
        old = at.known(self)[0]
        message = None if new is None else SparseVector.of(new)
        sent = cast(SparseVector, at.exchange.broadcast(ledger, round, "candidate", message))
        new = sent.dense()
        steps = [0.0, *(0.5**number for number in range(self.points - 1))]
        losses = {part: self._losses(at, part, old, new, steps) for part in at.exchange.mine}
        every = cast(list[Floats], at.exchange.gather(ledger, round, "losses", dict(losses)))
        if not at.exchange.master:
            return None
        ends = [old + step * (new - old) for step in steps]
        penalties = [at.options.l1 * float(np.abs(end).sum()) for end in ends]
        totals = sum(every, np.zeros(len(steps))) / total_rows(at) + np.array(penalties)
        return ends[int(np.argmin(totals))]

    @staticmethod
    def _losses(at: Computation, part: int, old: Floats, new: Floats, steps: list[float]) -> Floats:
        """The sum of the losses of a part's rows at each step."""
        rows = at.parts[part]
        here, there = rows.y * (rows.X @ old), rows.y * (rows.X @ new)
        n = rows.X.shape[0]
        return np.array([mean_loss(here + step * (there - here)) * n for step in steps])


def total_rows(at: Computation) -> int:
    """n."""
    return sum(rows.X.shape[0] for rows in at.parts)


@dataclass(frozen=True)
class SurrogateMethod:
    """Some updates.

    Attributes:
        updates: how many.
        everywhere, proximal, points: see `Surrogate`.
    """

    updates: int = 2
    everywhere: bool = False
    proximal: float | None = None
    points: int = 8
    stages: tuple[Stage, ...] = field(init=False, default=())

    def __post_init__(self) -> None:
        if self.updates < 1:
            raise ValueError(f"updates={self.updates}: must be at least 1")
        last: Surrogate | None = None
        for number in range(1, self.updates + 1):
            last = Surrogate(number, self.everywhere, self.proximal, self.points, last)
        assert last is not None
        object.__setattr__(self, "stages", (last,))

    def merge(self, at: Computation, ledger: Ledger) -> Merge | None:
        """The weights after the last update."""
        last = cast(Surrogate, self.stages[0])
        found = last.result(at, ledger)
        return Merge(found) if at.exchange.master and found is not None else None


@dataclass(frozen=True)
class CSL(SurrogateMethod):
    """The first part solves."""

    everywhere: bool = False


@dataclass(frozen=True)
class DANE(SurrogateMethod):
    """Every part solves; then the mean."""

    everywhere: bool = True
