"""One trajectory of a running model, and any number of averagers riding on it."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import math
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import torch
from torch import nn

from aswa import distributed
from aswa.averaging import ASWA, Averager, Decision, has_batch_norm, recompute_batch_norm
from aswa.config import ConfigError, RunConfig
from aswa.registry import AVERAGERS, load
from aswa.tasks.task import Task
from aswa.training.optimizers import build_optimizer
from aswa.training.schedules import learning_rate, swa_start
from aswa.training.timers import Stopwatch
from aswa.training.unfinished_epoch import (
    UnfinishedEpoch,
    global_generators,
    seed_global_generators,
    set_global_generators,
)

CURVE_POINTS = (
    16  # validation scores on the learning curves of methods that do not score themselves
)


RUNNING_SCORE = "running_score"


class Diverged(RuntimeError):
    """The training loss is no longer a number."""


class Trajectory:
    """Model, update rule, averagers and their history, from one epoch to the next.

    Everything random in an epoch follows from (seed, epoch) and from the state of the global
    generators, which is saved, so a run that is continued from a checkpoint after any batch or
    averager takes exactly the way of one that was not stopped.

    Args:
        pause: called within an epoch where the state is whole, after every batch and every
            averager. It may save a checkpoint, or raise to end the run.
    """

    def __init__(
        self, config: RunConfig, task: Task, pause: Callable[[], None] = lambda: None
    ) -> None:
        self.config, self.task, self.pause = config, task, pause
        self.model = task.build_model(self._generator("initial weights"))
        self.optimizer = build_optimizer(config.base_optimizer, self.model, config.lr)
        # fp16 gradients are scaled, so that small ones do not vanish; otherwise this does nothing.
        fp16 = config.precision == "fp16"
        self.scaler = torch.amp.GradScaler(task.device.type, enabled=fp16)
        self.watch = Stopwatch("train", "evaluate", "average", "batch_norm")
        self.averagers = {name: self._averager(name) for name in config.methods}
        # By method, what it costs besides training; the running model's score is asked for by
        # several and measured once, so it has an entry of its own.
        self.method_watch = Stopwatch(RUNNING_SCORE, *self.averagers)
        self.epoch = 0
        self.history: dict[str, Any] = {
            "epoch": [],
            "train_loss": [],
            "valid": {name: [] for name in self.averagers},
            "decision": [],
            "scores": [],  # (v, v̂) of ASWA
        }
        self.decisions = {decision.value: 0 for decision in Decision}
        self.last_change = dict.fromkeys(self.averagers, 0)
        self.begun = self._new_epoch()
        self.scoring = False  # a run may be ended by an exception now, as nothing changes

    @property
    def finished(self) -> bool:
        """All epochs done, or no averager wants more."""
        stopped = [getattr(averager, "should_stop", False) for averager in self.averagers.values()]
        return self.epoch >= self.config.epochs or all(stopped)

    @property
    def sound(self) -> bool:
        """The running weights are numbers; those that are not are no state to go on from."""
        return all(bool(torch.isfinite(p).all()) for p in self.model.parameters())

    def run_epoch(self) -> None:
        """Train one epoch, or the rest of it, then let every averager look.

        Raises:
            Diverged: the loss is NaN or infinite.
        """
        rate = learning_rate(self.config.schedule, self.config.lr, self.epoch, self.config.epochs)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        if self.begun.loss is None:
            with self.watch.measure("train"), _tf32(self.config.precision == "tf32"):
                self.begun.loss = self._train()
        loss = self.begun.loss
        if not math.isfinite(loss):
            raise Diverged(
                f"the training loss became {loss} in epoch {self.epoch + 1}; a smaller lr than "
                f"{self.config.lr} usually helps"
            )
        for name in list(self.averagers)[self.begun.averaged :]:
            self._update(name)
            self.pause()
        self._record(loss)
        self.epoch += 1
        self.begun = self._new_epoch()

    def _train(self) -> float:
        """Mean training loss of one epoch."""
        self.model.train()
        begun, generator = self.begun, self._generator(f"epoch {self.epoch}")
        seed = int(torch.randint(2**62, (), generator=generator))
        if begun.batches == 0:
            seed_global_generators(self.task.device, seed + distributed.rank())
        losses = self.task.losses(self.model, generator, begun.batches)
        while True:
            with self._autocast():
                batch = next(losses, None)
            if batch is None:
                break
            loss, n = batch
            self.optimizer.zero_grad()
            self.scaler.scale(loss).backward()
            self.scaler.step(self.optimizer)
            self.scaler.update()
            begun.total += loss.detach() * n
            begun.n_examples += n
            begun.batches += 1
            with self.watch.measure("average"):
                for name, averager in self.averagers.items():
                    with self.method_watch.measure(name):
                        averager.step(self.model)
            self.pause()
        total = float(distributed.sum_over(begun.total.clone()))
        return total / distributed.world_size() / begun.n_examples

    def _update(self, name: str) -> None:
        """One averager looks at the running model."""
        averager = self.averagers[name]
        before = _counters(averager)
        with self.watch.measure("average"), self.method_watch.measure(name):
            outcome = averager.update(self.model, self._evaluate)
        if isinstance(outcome, Decision) and self.begun.decision is None:
            self.begun.decision = outcome.value
            self.decisions[outcome.value] += 1
        if averager.module is self.model or _counters(averager) != before:
            self.last_change[name] = self.epoch + 1
        self.begun.averaged += 1

    def _new_epoch(self) -> UnfinishedEpoch:
        return UnfinishedEpoch(torch.zeros((), device=self.task.device))

    def _evaluate(self, module: nn.Module) -> float:
        """Validation score; that of the running model is measured once an epoch."""
        if module is self.model and self.begun.score is not None:
            return self.begun.score
        if module is not self.model:
            return self._score(module)
        with self.method_watch.measure(RUNNING_SCORE):
            self.begun.score = self._score(module)
        return self.begun.score

    def _score(self, module: nn.Module) -> float:
        with self.watch.measure("evaluate"):
            self.scoring = True
            try:
                return self.task.score(module)
            finally:
                self.scoring = False

    def _record(self, loss: float) -> None:
        """One more entry of the history, all of it or nothing."""
        points = {name: self._curve_point(name, a) for name, a in self.averagers.items()}
        self.history["epoch"].append(self.epoch + 1)
        self.history["train_loss"].append(loss)
        self.history["decision"].append(self.begun.decision)
        aswa = self.averagers.get("aswa")
        self.history["scores"].append(list(aswa.last_scores) if isinstance(aswa, ASWA) else None)
        for name, point in points.items():
            self.history["valid"][name].append(point)

    def _curve_point(self, name: str, averager: Averager) -> float | None:
        """The method's validation score: known, measured now and then, or None."""
        if hasattr(averager, "best_score"):
            return averager.best_score
        if averager.module is self.model:
            return self._evaluate(self.model) if name == "sgd" else None
        every, epoch = max(1, self.config.epochs // CURVE_POINTS), self.epoch + 1
        if epoch % every and epoch < self.config.epochs:
            return None
        return self._evaluate(self.weights(name))

    def weights(self, name: str) -> nn.Module:
        """The weights that a method offers, with batch-norm statistics that belong to them."""
        module = self.averagers[name].module
        averaged = module is not self.model and not hasattr(self.averagers[name], "best_score")
        if averaged and self._batches is not None and has_batch_norm(module):
            recompute_batch_norm(module, self._batches)
        return module

    @property
    def _batches(self) -> Iterable[Any] | None:
        """The task's batches for batch-norm statistics; passes through them are timed."""
        batches = self.task.batch_norm_batches
        return None if batches is None else _Timed(batches, self.watch)

    def _averager(self, name: str) -> Averager:
        arguments = {k: v for k, v in self.config.methods[name].items() if v is not None}
        cls = load(AVERAGERS[name])
        if name == "swa":
            arguments["start"] = swa_start(arguments.get("start"), self.config.epochs)
        if issubclass(cls, ASWA):
            arguments["batches"] = self._batches
        try:
            averager = cls(self.model, **arguments)
        except ValueError as error:
            raise ConfigError(f"optimizer.{name}: {error}") from None
        assert isinstance(averager, Averager)
        return averager

    def _generator(self, purpose: str) -> torch.Generator:
        """Random numbers that depend on the seed and the purpose, and on nothing else."""
        text = f"{self.config.seed} {purpose}".encode()
        seed = int.from_bytes(hashlib.sha256(text).digest()[:8]) >> 1
        return torch.Generator().manual_seed(seed)

    def _autocast(self) -> contextlib.AbstractContextManager[Any]:
        half = {"bf16": torch.bfloat16, "fp16": torch.float16}.get(self.config.precision)
        if half is not None:
            return torch.autocast(self.task.device.type, half)
        return contextlib.nullcontext()

    def state_dict(self) -> dict[str, Any]:
        """All of it, as plain numbers and tensors, which `weights_only=True` loads.

        Under torchrun all processes call it together and get the same.
        """
        total = distributed.sum_over(self.begun.total.clone()) / distributed.world_size()
        return {
            "epoch": self.epoch,
            "begun": {**dataclasses.asdict(self.begun), "total": total},
            "generators": distributed.gather(global_generators(self.task.device)),
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "scaler": self.scaler.state_dict(),
            "averagers": {name: a.state_dict() for name, a in self.averagers.items()},
            "history": self.history,
            "decisions": self.decisions,
            "last_change": self.last_change,
            "seconds": self.watch.seconds,
            "method_seconds": self.method_watch.seconds,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on exactly from where `state_dict` was taken."""
        self.epoch = state["epoch"]
        self.begun = UnfinishedEpoch(**state["begun"])
        mine = min(distributed.rank(), len(state["generators"]) - 1)  # if there are more of us now
        set_global_generators(self.task.device, state["generators"][mine])
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.scaler.load_state_dict(state["scaler"])
        for name, averager in self.averagers.items():
            averager.load_state_dict(state["averagers"][name])
        self.history, self.decisions = state["history"], state["decisions"]
        self.last_change, self.watch.seconds = state["last_change"], state["seconds"]
        self.method_watch.seconds = state["method_seconds"]


class _Timed:
    """Batches that may be passed through again and again, each pass on the watch."""

    def __init__(self, batches: Iterable[Any], watch: Stopwatch) -> None:
        self._batches, self._watch = batches, watch

    def __iter__(self) -> Iterator[Any]:
        with self._watch.measure("batch_norm"):
            yield from self._batches


def _counters(averager: Averager) -> tuple[int, Any]:
    """What changes when the weights of an averager do."""
    return averager.n_averaged, getattr(averager, "best_score", None)


@contextlib.contextmanager
def _tf32(on: bool) -> Iterator[None]:
    """fp32 products and convolutions by TF32 units, where a GPU has them; scores stay fp32."""
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("high" if on else "highest")
    torch.backends.cudnn.allow_tf32 = on  # torch's default is true
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)
        torch.backends.cudnn.allow_tf32 = False
