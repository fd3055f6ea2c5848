"""The learning rate by epoch, or by optimizer step."""

from __future__ import annotations

import math
from dataclasses import dataclass

from aswa.config import ConfigError, RunConfig, ScheduleConfig
from aswa.registry import load
from aswa.tasks.task import Task

BY_STEP = ("warmup_constant", "warmup_cosine")


@dataclass(frozen=True)
class Rates:
    """The rates of a run.

    Attributes:
        steps: optimizer steps an epoch, for schedules by step; None for those by epoch.
    """

    schedule: ScheduleConfig
    lr: float
    epochs: int
    steps: int | None

    def at(self, epoch: int, batch: int) -> float:
        """The rate of a batch of an epoch, both from 0."""
        if self.steps is None:
            return learning_rate(self.schedule, self.lr, epoch, self.epochs)
        step = epoch * self.steps + batch
        return rate_of_step(self.schedule, self.lr, step, self.epochs * self.steps)

    def last(self, epoch: int) -> float:
        """The rate of the last batch of an epoch."""
        return self.at(epoch, (self.steps or 1) - 1)


def rates(config: RunConfig, task: Task) -> Rates:
    """Those of a configuration.

    Raises:
        ConfigError: the schedule goes by steps, and the task does not count its steps, or the run
            ends before the warm-up does.
    """
    schedule, steps = config.schedule, None
    if schedule.name in BY_STEP:
        count = config.kind.tasks[config.task.name].steps
        if count is None:
            raise ConfigError(
                f"schedule={schedule.name}: task={config.task.name} does not say how many steps an "
                "epoch has; take a schedule by epoch, such as cosine"
            )
        steps = int(load(count)(task))
        if (schedule.warmup or 0) >= config.epochs * steps:
            raise ConfigError(
                f"schedule.warmup={schedule.warmup}: the run has only {config.epochs * steps} "
                "steps; take a smaller one"
            )
    return Rates(schedule, config.lr, config.epochs, steps)


def rate_of_step(schedule: ScheduleConfig, lr: float, step: int, steps: int) -> float:
    """The rate of one optimizer step.

    Args:
        schedule: `warmup_constant` or `warmup_cosine`.
        lr: the highest rate, reached after `schedule.warmup` steps.
        step: from 0.
        steps: of the whole run.
    """
    warmup = schedule.warmup or 0
    if step < warmup:
        return lr * (step + 1) / (warmup + 1)
    if schedule.name == "warmup_constant":
        return lr
    last, t = schedule.last or 0.0, (step - warmup) / max(1, steps - 1 - warmup)
    return lr * (last + (1 - last) * (1 + math.cos(math.pi * t)) / 2)


def learning_rate(schedule: ScheduleConfig, lr: float, epoch: int, epochs: int) -> float:
    """The rate of one epoch.

    Args:
        schedule: `constant`; `swa`, from `lr` to `swa_lr` (None: half of it), flat to half of
            `start` (None: three quarters of the run), linear to nine tenths, then flat, as in the
            code of Izmailov et al. 2018;
            `fair`, the same with numbers that follow from the method; or `cosine`, to zero.
        lr: the initial rate.
        epoch: from 0.
        epochs: of the whole run.
    """
    if schedule.name == "cosine":
        return lr * (1 + math.cos(math.pi * epoch / epochs)) / 2
    if schedule.name in ("swa", "fair"):
        swa_lr = lr / 2 if schedule.swa_lr is None else schedule.swa_lr
        start = epochs * 3 // 4 if schedule.start is None else schedule.start
        t = epoch / max(1, start)
        fraction = min(max((t - 0.5) / 0.4, 0.0), 1.0)
        return lr + (swa_lr - lr) * fraction
    return lr
