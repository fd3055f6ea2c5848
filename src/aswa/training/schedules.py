"""Learning rate by epoch."""

from __future__ import annotations

import math

from aswa.config import ScheduleConfig


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
