"""Methods that ride on a trajectory: each watches the running model and changes nothing in it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from torch import nn

from aswa.averaging import Averager, Decision
from aswa.config import ConfigError, RunConfig
from aswa.registry import load, methods


class Rider:
    """One method, and what became of it epoch by epoch.

    Attributes:
        changed: the epoch, from 1, that last changed the offered weights; 0 for none.
        valid: validation score an epoch; None where it is not known.
        decisions: `hard`, `soft`, `reject` or None an epoch.
        scores: [v, v̂] of the running model and of the candidate an epoch, NaN for the one that
            the method did not measure, None if it measured neither.
        counts: decision → how often; empty for a method that decides nothing.
    """

    def __init__(self, averager: Averager) -> None:
        self.averager = averager
        self.changed, self._version = 0, averager.version
        self.valid: list[float | None] = []
        self.decisions: list[str | None] = []
        self.scores: list[list[float] | None] = []
        self.counts: dict[str, int] = {}

    def update(self, model: nn.Module, evaluate: Callable[[nn.Module], float], epoch: int) -> None:
        """Let the method look at `model` at the end of `epoch`."""
        measured = {True: math.nan, False: math.nan}
        calls = 0

        def noted(module: nn.Module) -> float:
            nonlocal calls
            calls += 1
            measured[module is model] = score = evaluate(module)
            return score

        self.averager.update(model, noted)
        # Compared across the whole epoch: some methods move with every optimizer step.
        if self.averager.version != self._version:
            self.changed, self._version = epoch, self.averager.version
        decision = self.averager.decision
        if decision is not None:
            self.counts = self.counts or {each.value: 0 for each in Decision}
            self.counts[decision.value] += 1
        self.decisions.append(decision and decision.value)
        self.scores.append([measured[True], measured[False]] if calls else None)

    def point(
        self, model: nn.Module, score: Callable[[Sequence[nn.Module]], float], measure: bool
    ) -> float | None:
        """The validation score of the offered weights: known, measured if `measure`, or None."""
        averager = self.averager
        if averager.score is not None:
            return averager.score
        if averager.module is model:
            return score([model])
        if not measure or averager.n_averaged == 0:
            return None
        return score(averager.members())

    def state_dict(self) -> dict[str, Any]:
        kept = {key: value for key, value in vars(self).items() if key != "averager"}
        return {**kept, "averager": self.averager.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.averager.load_state_dict(state["averager"])
        for key in vars(self).keys() - {"averager"}:
            setattr(self, key, state[key])


def build_riders(
    config: RunConfig, model: nn.Module, batches: Iterable[Any] | None
) -> dict[str, Rider]:
    """The methods of a configuration, in its order.

    Raises:
        ConfigError: a method refuses its options.
    """
    riders = {}
    for name, options in config.methods.items():
        given = {key: value for key, value in options.items() if value is not None}
        try:
            averager = load(methods()[name].path)(model, batches=batches, **given)
        except ValueError as error:
            raise ConfigError(f"optimizer.{name}: {error}") from None
        riders[name] = Rider(averager)
    return riders
