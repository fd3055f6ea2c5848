"""Methods that ride on a trajectory: each watches the running model and changes nothing in it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from torch import nn

from aswa.averaging import Averager, Decision
from aswa.config import ConfigError, RunConfig
from aswa.registry import load, mean_of, methods

DERIVED = {"averager", "follows", "reads_steps"}


class Rider:
    """One method, and what became of it epoch by epoch.

    Attributes:
        follows: it offers the running model itself.
        reads_steps: it looks at the running model after every optimizer step.
        changed: the epoch, from 1, that last changed the offered weights; 0 for none.
        valid: validation score an epoch; None where it is not known.
        decisions: `hard`, `soft`, `reject` or None an epoch.
        scores: [v, v̂] behind the decision an epoch, or None.
        members: models in the average an epoch.
        counts: decision → how often; empty for a method that decides nothing.
    """

    def __init__(self, averager: Averager, model: nn.Module) -> None:
        self.averager = averager
        self.follows = averager.module is model
        self.reads_steps = type(averager).step is not Averager.step
        self.changed, self._version = 0, averager.version
        self.valid: list[float | None] = []
        self.decisions: list[str | None] = []
        self.scores: list[list[float] | None] = []
        self.members: list[int | None] = []
        self.counts: dict[str, int] = {}

    def update(self, model: nn.Module, evaluate: Callable[..., float], epoch: int) -> None:
        """Let the method look at `model` at the end of `epoch`."""
        self.averager.update(model, evaluate)
        # Compared across the whole epoch: some methods move with every optimizer step.
        if self.averager.version != self._version:
            self.changed, self._version = epoch, self.averager.version
        decision, scores = self.averager.decision, self.averager.last_scores
        if decision is not None:
            self.counts = self.counts or {each.value: 0 for each in Decision}
            self.counts[decision.value] += 1
        self.decisions.append(None if decision is None else decision.value)
        self.scores.append(None if scores is None else list(scores))
        self.members.append(self.averager.n_averaged)

    def point(self, evaluate: Callable[..., float], measure: bool) -> float | None:
        """The validation score of the offered weights: known, measured if `measure`, or None."""
        if self.averager.score is not None:
            return self.averager.score
        if self.follows or (measure and self.averager.n_averaged):
            return evaluate(*self.averager.members())
        return None

    def state_dict(self) -> dict[str, Any]:
        kept = {key: value for key, value in vars(self).items() if key not in DERIVED}
        return {**kept, "averager": self.averager.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.averager.load_state_dict(state["averager"])
        # Checkpoints of a version that did not count them have no members.
        state = {"members": [None] * len(state["decisions"]), **state}
        for key in vars(self).keys() - DERIVED:
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
        riders[name] = Rider(averager, model)
    return riders


class Offered(NamedTuple):
    """What a method offers under a name of rows."""

    name: str
    members: list[nn.Module]
    epoch: int  # that last changed them
    drawn: bool  # they are samples of a distribution, as many as the method was asked for


def offered(riders: Mapping[str, Rider], seed: int) -> Iterator[Offered]:
    """Of every method its members; of one with a distribution its samples, then its mean."""
    for name, rider in riders.items():
        samples = rider.averager.posterior(seed)
        if samples is not None:
            yield Offered(name, samples, rider.changed, True)
            name = mean_of(name)
        yield Offered(name, rider.averager.members(), rider.changed, False)
