"""One trajectory: learners, a mixing between them, and methods that ride on the running model."""

from __future__ import annotations

import contextlib
import dataclasses
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from aswa import distributed
from aswa.config import RunConfig
from aswa.registry import mixings
from aswa.tasks.task import Task
from aswa.training.learner import Learner, global_generators, set_global_generators, tf32
from aswa.training.population import RunningMean, aggregate_rows, branch, build_mixing, described
from aswa.training.record import Judge
from aswa.training.riders import build_riders, offered
from aswa.training.timers import Timed, Timers

CURVE_POINTS = 16  # validation scores on the learning curves of methods that measure none
COLLAPSED = 0.1  # a run whose best validation score is not that part of chance above chance
RUNNING_SCORE = "running_score"
MOST_DESCRIBED = 4  # of an epoch, on one line


class Diverged(RuntimeError):
    """The training loss is no longer a number."""


@dataclass
class Progress:
    """How far an epoch is after its batches."""

    loss: float | None = None  # the mean in training, once the epoch is trained
    updated: int = 0  # riders that have seen the epoch
    score: float | None = None  # of the running model on the validation split, once measured


class Trajectory:
    """The `Work` of training, epoch by epoch, which can stop after any batch or rider and go on.

    The running model, which the methods watch, is the learner's; of several learners it is their
    mean. A resumed run takes exactly the way of one that was not stopped.

    Attributes:
        epoch, epochs: done, and of the whole run.
        pause: called where the state is whole, after every batch and rider; may save, or raise.
        stage: called with what is evaluated at the end.
        interruptible: no state changes at this moment, so an exception may end the run here.
    """

    def __init__(self, config: RunConfig, task: Task) -> None:
        self.config, self.task = config, task
        self.pause: Callable[[], None] = lambda: None
        self.stage: Callable[[str], None] = lambda _: None
        apart, n = distributed.members_apart(), config.population.members
        numbers = [distributed.rank()] if apart else range(n)  # one a process under torchrun
        self.learners = [Learner(config, task, number) for number in numbers]
        self.mixing = build_mixing(mixings()[config.population.name], config)
        self._models = [learner.model for learner in self.learners]
        self._optimizers = [learner.optimizer for learner in self.learners]
        self._active = self.learners[0]  # the learner whose random numbers torch draws now
        self.epoch, self.epochs, self._parted = 0, config.epochs, config.population.common_epochs
        self._mean = RunningMean(self._models, n, self._common)
        self.model = self._mean.module
        self.timers = Timers("train", "mix", "evaluate", "average", "batch_norm")
        batches = task.batch_norm_batches
        self._batches = None if batches is None else Timed(batches, self.timers, "batch_norm")
        self.riders = build_riders(config, self.model, self._batches)
        # A mean that nobody reads between epochs need not be made there.
        self._read_at_steps = any(rider.reads_steps for rider in self.riders.values())
        # By method, its cost besides training; the running model's score has an entry of its own.
        self.method_timers = Timers(RUNNING_SCORE, *self.riders)
        self.first_epoch = 0.0  # seconds of its training, which is slower: code and memory are new
        self.moved = 0  # numbers that members sent to each other
        self.losses: list[float] = []
        self.rates: list[float] = []  # of learning
        self.progress, self.interruptible = Progress(), False

    @property
    def batches(self) -> int:  # of the unfinished epoch
        return self.learners[0].batches

    @property
    def finished(self) -> bool:
        """All epochs are done, or no method wants more."""
        stopped = (rider.averager.should_stop for rider in self.riders.values())
        return self.epoch >= self.epochs or all(stopped)

    def _common(self) -> bool:  # the last batch was of the start that all members have in common
        return 0 < self.epoch + (self.batches > 0) <= self._parted

    @property
    def weights_finite(self) -> bool:
        """The learners' weights are numbers; other weights are no state to go on from."""
        finite = all(bool(torch.isfinite(p).all()) for m in self._models for p in m.parameters())
        return all(distributed.gather_members([finite]))

    @property
    def history(self) -> dict[str, Any]:
        """An entry an epoch; `decisions`, `scores` and `members` of the methods that decide."""
        deciding = {name: rider for name, rider in self.riders.items() if rider.counts}
        return {
            "selection_metric": self.task.selection_metric,
            "epoch": list(range(1, self.epoch + 1)),
            "train_loss": self.losses,
            "lr": self.rates,
            "valid": {name: rider.valid for name, rider in self.riders.items()},
            "decisions": {name: rider.decisions for name, rider in deciding.items()},
            "scores": {name: rider.scores for name, rider in deciding.items()},
            "members": {name: rider.members for name, rider in deciding.items()},
        }

    @property
    def described(self) -> str:
        """Loss, score of the running model, and v*, decision and members of what decides."""
        parts = [f"loss {self.losses[-1]:.4g}"] if self.losses else []
        for name, rider in self.riders.items():
            score, made = (rider.valid or [None])[-1], (rider.decisions or [None])[-1]
            if rider.counts and score is not None:
                parts.append(f"{name} v* {score:.4f} {made} n={rider.averager.n_averaged}")
            elif rider.follows and score is not None:
                parts.append(f"{self.task.selection_metric} {score:.4f}")
        return ", ".join(parts[:MOST_DESCRIBED])

    def advance(self) -> None:
        """Train one epoch, or the rest of it, then let every method look.

        Raises:
            Diverged: the loss is NaN or infinite.
        """
        progress = self.progress
        if progress.loss is None:
            with self.timers.measure("train"), tf32(self.config.precision == "tf32"):
                progress.loss = self._train()
            if self.epoch == 0:
                self.first_epoch = self.timers.seconds["train"]
        if not math.isfinite(progress.loss):
            raise Diverged(
                f"the training loss became {progress.loss} in epoch {self.epoch + 1}; "
                f"a smaller lr than {self.config.lr} usually helps"
            )
        for name, rider in list(self.riders.items())[progress.updated :]:
            with self.timers.measure("average"), self.method_timers.measure(name):
                rider.update(self.model, self._evaluate, self.epoch + 1)
            progress.updated += 1
            self.pause()
        every, epoch = max(1, self.epochs // CURVE_POINTS), self.epoch + 1
        measure = epoch % every == 0 or epoch >= self.epochs
        # An evaluation may be broken off: all of an epoch's end happens, or nothing.
        points = [rider.point(self._evaluate, measure) for rider in self.riders.values()]
        for rider, point in zip(self.riders.values(), points, strict=True):
            rider.valid.append(point)
        self.losses.append(progress.loss)
        self.rates.append(self.learners[0].rates.last(epoch - 1))
        self.epoch, self.progress = epoch, Progress()
        if epoch == self._parted:
            branch(self.learners)
        for learner in self.learners:
            learner.forget()

    def _train(self) -> float:
        training = self.learners if self.epoch >= self._parted else self.learners[:1]
        for learner in training:
            self._activate(learner)
            learner.begin(self.epoch)
        while self._step(training):
            self._mix(self.mixing.step, self._optimizers[0].param_groups[0]["lr"] / self.config.lr)
            with self.timers.measure("average"):
                for name, rider in self.riders.items():
                    with self.method_timers.measure(name):
                        rider.averager.step(self.model)
            self.pause()
        self._mix(self.mixing.epoch, self.epoch + 1, statistics=True)
        losses = distributed.gather_members([learner.loss for learner in training])
        losses = losses[: 1 if self._common() else None]
        return sum(losses) / len(losses)

    def _mix(self, mix: Callable[..., int], when: float, statistics: bool = False) -> None:
        with self.timers.measure("mix"):
            if not self._common():
                self.moved += mix(self._models, self._optimizers, when) or 0  # some count nothing
            if statistics or self._read_at_steps:
                self._mean.refresh(self._batches if statistics else None)

    def _step(self, training: list[Learner]) -> bool:
        """Every learner takes a step; false when the epoch has no more batches."""
        more = True
        for learner in training:
            self._activate(learner)
            more = learner.step() and more
        return more

    def _activate(self, learner: Learner) -> None:
        """Let torch draw the random numbers of `learner`."""
        if learner is not self._active:
            self._active.generators = global_generators(self.task.device)
            set_global_generators(self.task.device, learner.generators)
            self._active = learner

    def _evaluate(self, *members: nn.Module) -> float:
        """Validation score; that of the running model is measured once an epoch."""
        running = members == (self.model,)
        if running and self.progress.score is not None:
            return self.progress.score
        cost = self.method_timers.measure(RUNNING_SCORE) if running else contextlib.nullcontext()
        with cost, self.timers.measure("evaluate"):
            self.interruptible = True
            try:
                if len(members) == 1:
                    score = self.task.score(members[0])
                else:
                    score = self.task.metrics(members, "valid")[self.task.selection_metric]
            finally:
                self.interruptible = False
        if running:
            self.progress.score = score
        return score

    def snapshot(self) -> nn.Module:
        """The running model."""
        return self.model

    def weights(self) -> dict[str, list[nn.Module]]:
        """What each method offers: one module or several, with statistics that belong to them."""
        return {each.name: each.members for each in offered(self.riders, self.config.seed)}

    def record(self) -> dict[str, Any]:
        """What the methods offer, evaluated, on the test split for the only time."""
        if self.epoch < self._parted:  # the run ends within it
            branch(self.learners)
        judge = Judge(self.config, self.task)
        rows = judge.rows
        with self.timers.measure("evaluate"):
            for each in offered(self.riders, self.config.seed):
                self.stage(f"evaluating {each.name}")
                judge.judge(*each)
            of_members: dict[str, Any] = {}
            population = self._mean.population(self._optimizers, self.mixing, self._batches)
            if population is not None:
                self.stage("evaluating members")
                rows += aggregate_rows(self.task, population, self.epoch)
                of_members["population"] = described(population, self.moved)
        selection = ("valid", self.task.selection_metric)
        valid = [row["value"] for row in rows if (row["split"], row["metric"]) == selection]
        seen = [v for rider in self.riders.values() for v in rider.valid if v is not None]
        return {
            **of_members,
            **({"diagrams": judge.diagrams} if judge.diagrams else {}),
            "rows": rows,
            "collapsed": max(valid + seen) < self.task.chance + COLLAPSED * abs(self.task.chance),
            "decisions": {name: r.counts for name, r in self.riders.items() if r.counts},
            "members": {name: r.averager.n_averaged for name, r in self.riders.items()},
            "seconds": {**self.timers.seconds, "first_epoch": self.first_epoch},
            "method_seconds": dict(self.method_timers.seconds),
        }

    def state_dict(self) -> dict[str, Any]:
        """The whole state, as plain numbers and tensors, which `weights_only=True` loads.

        Under torchrun all processes call it together and get the same.
        """
        self._active.generators = global_generators(self.task.device)
        return {
            "epoch": self.epoch,
            "losses": self.losses,
            "progress": dataclasses.asdict(self.progress),
            "learners": distributed.gather_members([one.state_dict() for one in self.learners]),
            "mixing": self.mixing.state_dict(),
            "moved": sum(distributed.gather_members([self.moved])),
            "riders": {name: rider.state_dict() for name, rider in self.riders.items()},
            "seconds": self.timers.seconds,
            "first_epoch": self.first_epoch,
            "method_seconds": self.method_timers.seconds,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on exactly from where `state_dict` was taken."""
        self.epoch, self.losses = state["epoch"], state["losses"]
        self.rates = [self.learners[0].rates.last(epoch) for epoch in range(self.epoch)]
        self.progress = Progress(**state["progress"])
        for learner in self.learners:
            number = learner.number if self.epoch >= self._parted else 0
            learner.load_state_dict(state["learners"][number])
        set_global_generators(self.task.device, self._active.generators)
        self.mixing.load_state_dict(state["mixing"])
        # Younger than 0.1. Of several processes the first goes on counting.
        self.moved = state.get("moved", 0) if self.learners[0].number == 0 else 0
        ended = not self.batches or self.progress.loss is not None  # an epoch's mean, not a step's
        self._mean.refresh(self._batches if ended else None)
        for name, rider in self.riders.items():
            rider.load_state_dict(state["riders"][name])
        self.timers.seconds |= state["seconds"]
        self.first_epoch = state.get("first_epoch", 0.0)
        self.method_timers.seconds = state["method_seconds"]
