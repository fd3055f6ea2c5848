"""Local solves of a set of methods on the same parts: each is made once and can be kept.

A *stage* is a local solve of every part (or of the master alone), after an exchange. Methods name
the stages that they need; methods with a common stage share its solves. What is computed is held in
`solutions`, by stage and part: with it put back, a computation goes on where it was.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from aswa.merging.exchange import Exchange, InProcess, Ledger
from aswa.merging.local_solver import Solution, Solver
from aswa.merging.logistic import Floats
from aswa.merging.merge_weights import GRID
from aswa.merging.rows import Rows, SparseVector


@dataclass(frozen=True)
class MergeOptions:
    """What all methods share.

    Attributes:
        l1: λ of every local solve.
        seed: of the merge sample, subsamples and the solver.
        merge_rows: rows of each part in the merge sample; None: a share `merge_share` of them.
        merge_sample: `rows`, which are sent with the first weights, or `projected`: all weights go
            to every part, which sends Wᵀx of its rows.
        lambda2: grid of λ₂; see `merge_weights`.
        selection: of λ₂, by held-out `log_loss` or `accuracy`.
    """

    l1: float
    seed: int = 0
    merge_rows: int | None = None
    merge_share: float = 0.1
    merge_sample: str = "rows"
    lambda2: tuple[float, ...] = GRID
    selection: str = "log_loss"


class Stage(Protocol):
    """A round of local solves.

    Attributes:
        name: of the solves; equal names have equal solves.
        after: stages whose solves it needs.
        master: a single solve, at the master.
    """

    @property
    def name(self) -> str: ...
    @property
    def after(self) -> tuple[Stage, ...]: ...
    @property
    def master(self) -> bool: ...

    def prepare(self, at: Computation, ledger: Ledger) -> Any:
        """The exchange before the solves; what every part knows then."""

    def solve(self, at: Computation, part: int, known: Any) -> Solution:
        """The solve of a part."""
        ...


@dataclass
class Merge:
    """What the master makes of the parts' weights.

    Attributes:
        weights: [d].
        v, lambda2: of learned weights of the parts.
    """

    weights: Floats
    v: Floats | None = None
    lambda2: float | None = None


class Method(Protocol):
    """A way to merge. `stages` are those that it needs itself, not what these need."""

    @property
    def stages(self) -> tuple[Stage, ...]: ...

    def merge(self, at: Computation, ledger: Ledger) -> Merge | None:
        """The result, at the master; all processes call it together."""
        ...


@dataclass
class Merged:
    """The result of a method.

    Attributes:
        weights: [d].
        ledger: all messages, those of its stages included.
        v, lambda2: weights of the parts and their penalty, where they are learned.
        critical_path: seconds with a machine for each part: the slowest part of each stage, and the
            master.
        work: seconds of all parts and the master together.
        kkt: the largest residual of its local solves.
        notes: what the user should know, such as a part of one class.
    """

    weights: Floats
    ledger: Ledger
    v: Floats | None = None
    lambda2: float | None = None
    critical_path: float = 0.0
    work: float = 0.0
    kkt: float = 0.0
    notes: tuple[str, ...] = field(default=())


class Computation:
    """The solves of methods on parts.

    Args:
        parts: checked rows; all of them also where this process computes only some.
        options: of all methods.
        solver: of local problems.
        exchange: the carrier; None is one process.
    """

    def __init__(
        self,
        parts: Sequence[Rows],
        options: MergeOptions,
        solver: Solver | None = None,
        exchange: Exchange | None = None,
    ) -> None:
        self.parts, self.options = parts, options
        self.solver = solver or Solver(seed=options.seed % 2**31)
        self.exchange = exchange or InProcess(len(parts))
        self.solutions: dict[str, dict[int, Solution]] = {}
        self.ledgers: dict[str, Ledger] = {}
        self.master_seconds: dict[str, float] = {}
        self.part_seconds: dict[str, dict[int, float]] = {}
        self._known: dict[str, Any] = {}

    @property
    def features(self) -> int:
        """d."""
        return self.parts[0].X.shape[1]

    def units(self, stages: Iterable[Stage]) -> Iterator[tuple[Stage, int]]:
        """The solves of this process, in an order in which each has what it needs."""
        for stage in ordered(stages):
            for part in self._own(stage):
                yield stage, part

    def _own(self, stage: Stage) -> Sequence[int]:
        if stage.master:
            return [0] if self.exchange.master else []
        return self.exchange.mine

    def compute(self, stage: Stage, part: int) -> Solution:
        """The solve of a part, made now if it is not there."""
        known = self.known(stage)
        found = self.solutions.setdefault(stage.name, {})
        if part not in found:
            found[part] = stage.solve(self, part, known)
        return found[part]

    def known(self, stage: Stage) -> Any:
        """What its exchange gives; all processes ask for it together."""
        if stage.name not in self._known:
            for before in stage.after:
                self.complete(before)
            self.ledgers[stage.name] = Ledger()
            self._known[stage.name] = stage.prepare(self, self.ledgers[stage.name])
        return self._known[stage.name]

    def complete(self, stage: Stage) -> Mapping[int, Solution]:
        """All solves of this process of a stage."""
        self.known(stage)
        return {part: self.compute(stage, part) for part in self._own(stage)}

    def weights_of(self, stage: Stage) -> dict[int, SparseVector]:
        """The weights of this process's parts."""
        return {part: found.weights for part, found in self.complete(stage).items()}

    @contextmanager
    def master_time(self, what: str) -> Iterator[None]:
        """Seconds of the master, counted for a stage or a method."""
        start = time.perf_counter()
        yield
        spent = time.perf_counter() - start
        self.master_seconds[what] = self.master_seconds.get(what, 0.0) + spent

    @contextmanager
    def part_time(self, what: str, part: int) -> Iterator[None]:
        """Seconds of a part besides its solve."""
        start = time.perf_counter()
        yield
        of_parts = self.part_seconds.setdefault(what, {})
        of_parts[part] = of_parts.get(part, 0.0) + time.perf_counter() - start

    def merged(self, method: Method) -> Merged:
        """The result of a method; its solves are made now where they are missing."""
        stages, own = ordered(method.stages), Ledger()
        for stage in stages:
            self.complete(stage)
        start = time.perf_counter()
        made = method.merge(self, own)
        spent = time.perf_counter() - start
        ledger = sum((self.ledgers[s.name] for s in stages), Ledger()) + own
        made, ledger, master = self.exchange.deliver(
            (made, ledger, spent + sum(self.master_seconds.get(s.name, 0.0) for s in stages))
        )
        assert made is not None  # of the master
        measured = [self._measured(stage) for stage in stages]
        return Merged(
            made.weights,
            ledger,
            made.v,
            made.lambda2,
            critical_path=master + sum(max(seconds.values()) for seconds, _ in measured),
            work=master + sum(sum(seconds.values()) for seconds, _ in measured),
            kkt=max((kkt for _, kkt in measured), default=0.0),
            notes=tuple(self._notes(made)),
        )

    def _measured(self, stage: Stage) -> tuple[dict[int, float], float]:
        """Seconds of each part in a stage, and the largest residual; of all processes."""
        found = self.solutions.get(stage.name, {})
        beside = self.part_seconds.get(stage.name, {})
        mine = {p: (s.seconds + beside.get(p, 0.0), s.kkt) for p, s in found.items()}
        every = {p: m for some in self.exchange.share(mine) for p, m in some.items()}
        return {p: m[0] for p, m in every.items()}, max(m[1] for m in every.values())

    def _notes(self, made: Merge) -> Iterator[str]:
        lonely = [str(p) for p, rows in enumerate(self.parts) if len(np.unique(rows.y)) == 1]
        if lonely:
            yield (
                f"parts with rows of one class: {', '.join(lonely)}; fitted as they are, their "
                "weights only say how often a feature occurs"
            )
        if not made.weights.any():
            yield f"l1={self.options.l1:g}: so large that no weight is left; take a smaller one"


def ordered(stages: Iterable[Stage]) -> list[Stage]:
    """The stages and all that they need, each once, what is needed first."""
    found: dict[str, Stage] = {}
    for stage in stages:
        for each in (*ordered(stage.after), stage):
            found.setdefault(each.name, each)
    return list(found.values())
