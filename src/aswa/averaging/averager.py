"""The protocol that all methods share."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from aswa.averaging.weights import AveragedWeights

Evaluate = Callable[[nn.Module], float]
"""Validation score of a module, higher is better. Must not train it."""


class Averager:
    """Watches a model being trained and offers other weights for it.

    Args:
        model: the running model; never changed, only read and copied.

    Attributes:
        n_averaged: models in the average; 0 before the first.
    """

    def __init__(self, model: nn.Module) -> None:
        self._running = model
        self._weights: AveragedWeights | None = None
        self.n_averaged = 0

    @property
    def module(self) -> nn.Module:
        """The weights to evaluate or deploy: the running model until the first update."""
        return self._running if self._weights is None else self._weights.module

    def step(self, model: nn.Module) -> None:
        """Call after each optimizer step. Most methods have nothing to do then."""

    def update(self, model: nn.Module, evaluate: Evaluate) -> Any:
        """Call after each epoch."""
        raise NotImplementedError

    def state_dict(self) -> dict[str, Any]:
        """All that is needed to go on exactly, as plain numbers and copied tensors."""
        weights = None if self._weights is None else self._weights.state_dict()
        return {"method": type(self).__name__, "weights": weights, **self._counters()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from what `state_dict` gave.

        Raises:
            ValueError: the state is another method's, or another model's.
        """
        if state.get("method") != type(self).__name__:
            raise ValueError(
                f"this is the state of {state.get('method')}, not {type(self).__name__}"
            )
        self._weights = None
        if state["weights"] is not None:
            self._restart(self._running)
            assert self._weights is not None
            self._weights.load_state_dict(state["weights"])
        for name in self._counters():
            setattr(self, name, state[name])

    def _counters(self) -> dict[str, Any]:
        """The attributes beside the weights that make up the state."""
        return {"n_averaged": self.n_averaged}

    def _restart(self, model: nn.Module) -> None:
        """Θ_avg ← Θ."""
        if self._weights is None:
            self._weights = AveragedWeights(model)
        else:
            self._weights.assign(model)
        self.n_averaged = 1


def score(module: nn.Module, evaluate: Evaluate) -> float:
    """`evaluate(module)`, without gradients and without a trace: modes and random state as before.

    Raises:
        TypeError: `evaluate` gave something that is not one number.
    """
    with _undisturbed(module), torch.no_grad():
        value = evaluate(module)
    try:
        return float(value)
    except (TypeError, ValueError):
        raise TypeError(
            f"evaluate(module) must return one number, higher is better; got {type(value).__name__}"
        ) from None


def better(a: float, b: float) -> bool:
    """a > b, where NaN is worse than every number."""
    return a > b or (b != b and a == a)


@contextmanager
def _undisturbed(module: nn.Module) -> Iterator[None]:
    """Put back training modes and random state, whatever the block does to them."""
    modes = [(part, part.training) for part in module.modules()]
    cuda = {t.device for t in module.parameters() if t.is_cuda}
    random_state = torch.get_rng_state()
    cuda_state = {device: torch.cuda.get_rng_state(device) for device in cuda}
    try:
        yield
    finally:
        torch.set_rng_state(random_state)
        for device, state in cuda_state.items():
            torch.cuda.set_rng_state(state, device)
        for part, training in modes:
            part.training = training
