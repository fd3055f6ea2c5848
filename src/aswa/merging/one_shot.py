"""One run: the local solves of all its methods, each made once, then the merges.

Imports torch for the state of a checkpoint alone.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import torch
from threadpoolctl import threadpool_limits

from aswa import distributed
from aswa.config import ConfigError, RunConfig
from aswa.merging.computation import Computation, Merged, MergeOptions, Stage, ordered
from aswa.merging.exchange import Exchange, InProcess
from aswa.merging.local_solver import Solution, Solver
from aswa.merging.merge_weights import GRID
from aswa.merging.rows import SparseVector
from aswa.merging.stages import FullSolve
from aswa.merging.task import SPLITS, SparseClassification
from aswa.registry import load, methods

SHARED = ("merge_rows", "merge_share", "merge_sample", "selection")


class OneShot:
    """The `Work` of merging; its unit is the solve of one part in one stage.

    Under torchrun a unit is one solve in each process. The solution on all rows is computed in
    every run: distances to it are metrics. See `aswa.training.work.Work` for the attributes.
    """

    def __init__(self, config: RunConfig, task: SparseClassification) -> None:
        self.task, self.config = task, config
        self.pause: Callable[[], None] = lambda: None
        self.stage: Callable[[str], None] = lambda _: None
        self._limits = threadpool_limits(config.threads)
        options = config.model.options
        grid = tuple(options["lambda2"] or GRID)
        shared = {key: options[key] for key in SHARED}
        seed = config.seed % 2**31
        solver = Solver(options["tolerance"], options["iterations"], seed)
        self.exchange = _carrier(len(task.parts))
        at = MergeOptions(task.l1, seed=seed, lambda2=grid, **shared)
        self.computation = Computation(task.parts, at, solver, self.exchange)
        self.methods = {name: _method(name, given) for name, given in config.methods.items()}
        self._reference = FullSolve()
        wanted = [self._reference, *(s for m in self.methods.values() for s in m.stages)]
        self.stages: list[Stage] = ordered(wanted)
        each = -(-len(task.parts) // distributed.world_size())
        self._units = [(s, i) for s in self.stages for i in range(1 if s.master else each)]
        self.epoch, self.epochs = 0, len(self._units)
        self._done: list[tuple[str, int, float, float]] = []  # stage, part, kkt, seconds
        self._merged: dict[str, Merged] = {}

    @property
    def batches(self) -> int:
        return 0

    @property
    def finished(self) -> bool:
        return self.epoch >= self.epochs

    @property
    def interruptible(self) -> bool:
        """A solve that is broken off is made again; but no process may leave the others waiting."""
        return distributed.world_size() == 1

    @property
    def weights_finite(self) -> bool:
        return True

    @property
    def described(self) -> str:
        if not self._done:
            return ""
        stage, part, kkt, _ = self._done[-1]
        return f"{stage}, part {part + 1} of {len(self.task.parts)}, KKT {kkt:.1e}"

    @property
    def history(self) -> dict[str, Any]:
        names = ("stage", "part", "kkt", "seconds")
        columns = {name: [unit[i] for unit in self._done] for i, name in enumerate(names)}
        return {
            "selection_metric": self.task.selection_metric,
            "epoch": list(range(1, len(self._done) + 1)),
            "train_loss": [None] * len(self._done),
            "valid": {},
            "decisions": {},
            "scores": {},
            **columns,
        }

    def advance(self) -> None:
        """One solve; it comes from the state where it was made before."""
        stage, number = self._units[self.epoch]
        mine = range(1) if stage.master else self.exchange.mine
        self.computation.known(stage)  # all processes together
        if number < len(mine) and (self.exchange.master or not stage.master):
            part = mine[number]
            found = self.computation.compute(stage, part)
            self._done.append((stage.name, part, found.kkt, found.seconds))
        else:
            self._done.append((stage.name, number, 0.0, 0.0))
        self.epoch += 1
        self.pause()

    def record(self) -> dict[str, Any]:
        at, task = self.computation, self.task
        whole = at.complete(self._reference)
        found = whole[0].weights.dense() if self.exchange.master else None
        reference = self.exchange.deliver(found)
        rows: list[dict[str, Any]] = []
        for name, method in self.methods.items():
            self.stage(f"merging {name}")
            merged = self._merged[name] = at.merged(method)
            values = {split: task.metrics([merged.weights], split) for split in SPLITS}
            values["train"] |= task.fit(merged.weights, reference) | _sent(merged)
            rows += [
                {"optimizer": name, "split": split, "metric": metric, "value": value, "epoch": 1}
                for split in SPLITS
                for metric, value in values[split].items()
            ]
        made = self._merged.values()
        solving = sum(seconds for *_, seconds in self._done)
        return {
            "rows": rows,
            "collapsed": not any(merged.weights.any() for merged in made),
            "decisions": {},
            "members": dict.fromkeys(self.methods, len(task.parts)),
            "seconds": {"train": solving, "average": 0.0, "evaluate": 0.0},
            "method_seconds": {name: m.critical_path for name, m in self._merged.items()},
            "merging": {name: self._described(merged) for name, merged in self._merged.items()},
            "words": list(dict.fromkeys(note for merged in made for note in merged.notes)),
        }

    def _described(self, merged: Merged) -> dict[str, Any]:
        return {
            "l1": self.task.l1,
            "ledger": merged.ledger.plain(),
            "critical_path": merged.critical_path,
            "work": merged.work,
            "kkt": merged.kkt,
            "lambda2": merged.lambda2,
            "v": None if merged.v is None else merged.v.tolist(),
            "notes": list(merged.notes),
        }

    def weights(self) -> dict[str, list[Any]]:
        return {name: [_Weights(merged)] for name, merged in self._merged.items()}

    def state_dict(self) -> dict[str, Any]:
        at = self.computation
        solved: dict[str, dict[int, Any]] = {}
        for some in distributed.gather_shards(at.solutions):
            for stage, parts in some.items():
                solved.setdefault(stage, {}).update({p: _plain(s) for p, s in parts.items()})
        return {
            "epoch": self.epoch,
            "done": [list(unit) for unit in self._done],
            "solved": solved,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        for stage, parts in state["solved"].items():
            found = {part: _solution(values) for part, values in parts.items()}
            self.computation.solutions[stage] = found
        # With another number of processes the units are others; those that are made cost nothing.
        same = sum(map(len, state["solved"].values())) == state["epoch"]
        if same and distributed.world_size() == 1:
            self.epoch = state["epoch"]
            self._done = [(s, int(p), k, t) for s, p, k, t in state["done"]]


class _Weights:
    """Weights as a file holds them."""

    def __init__(self, merged: Merged) -> None:
        self._weights = merged.weights

    def state_dict(self) -> dict[str, torch.Tensor]:
        return {"weight": torch.from_numpy(self._weights)}


def _carrier(parts: int) -> Exchange:
    if distributed.world_size() == 1:
        return InProcess(parts)
    from aswa.merging.gloo import Gloo

    return Gloo(parts)


def _method(name: str, options: dict[str, Any]) -> Any:
    try:
        return load(methods()[name].path)(**options)
    except ValueError as error:
        raise ConfigError(f"optimizer.{name}: {error}") from None


def _sent(merged: Merged) -> dict[str, float]:
    ledger = merged.ledger
    return {
        "bytes": float(ledger.total()),
        "bytes_round_0": float(ledger.total(round=0)),
        "bytes_dense": float(ledger.total("dense")),
    }


def _plain(solution: Solution) -> dict[str, Any]:
    weights = solution.weights
    return {
        "indices": torch.from_numpy(weights.indices),
        "values": torch.from_numpy(weights.values),
        "size": weights.size,
        **{key: getattr(solution, key) for key in ("kkt", "iterations", "seconds")},
    }


def _solution(values: dict[str, Any]) -> Solution:
    given = dict(values)
    weights = SparseVector(given.pop("indices").numpy(), given.pop("values").numpy(), given["size"])
    del given["size"]
    return dataclasses.replace(Solution(weights, 0.0, 0, 0.0), **given)
