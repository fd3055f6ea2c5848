"""The protocol that all methods share."""

from __future__ import annotations

import enum
import warnings
from collections.abc import Callable
from typing import Any, ClassVar, TypedDict

import torch
from torch import nn

from aswa.averaging.batch_norm import (
    Batches,
    Forward,
    forward_inputs,
    has_batch_norm,
    recompute_batch_norm,
)
from aswa.averaging.weights import AveragedWeights, Build, is_sharded, unwrapped

Evaluate = Callable[[nn.Module], float]
"""Validation score of a module. Must not train it."""


class Decision(enum.Enum):
    """What an epoch did to an ensemble."""

    HARD = "hard"
    SOFT = "soft"
    REJECT = "reject"


class Options(TypedDict, total=False):
    """The keyword options of every method: see `Averager`."""

    batches: Batches | None
    forward: Forward
    device: torch.device | str | None
    build: Build | None


class Averager:
    """Watches a model being trained and offers other weights for it.

    A method overrides `step` or `update`, and moves its weights with `_restart` and `_average`.
    Prefixes of `torch.compile` and DDP are seen through: wrapped and bare models are one.
    Parameters that are frozen (`requires_grad` false) at construction share their storage with the
    running model and are no part of the state.

    Args:
        model: the running model; never changed, only read and copied.
        batches: training inputs from which batch-norm statistics of averaged weights are
            recomputed (see `recompute_batch_norm`). Models without batch-norm never use them.
        forward: runs one element of `batches` through a module.
        device: where the average is kept, such as "cpu"; None: where the running model is.
        build: makes a model like the running one, for models that cannot be copied, such as those
            under FSDP2: `lambda: fully_shard(Net())`. See `AveragedWeights`.

    Attributes:
        n_averaged: models in the average. 0 before the first: `module` then shows the running
            model as it was at the last update.
        version: grows whenever the offered weights change, in `step` or in `update`.
        decision: what the last update decided; None where nothing was decided.
        last_scores: (v, v̂) behind that decision; None where nothing was decided.
    """

    _counters: ClassVar[tuple[str, ...]] = (
        "n_averaged",
        "version",
        "last_scores",
    )  # saved beside the weights

    def __init__(
        self,
        model: nn.Module,
        *,
        batches: Batches | None = None,
        forward: Forward = forward_inputs,
        device: torch.device | str | None = None,
        build: Build | None = None,
    ) -> None:
        self._running = unwrapped(model)
        sharded = build is not None or any(map(is_sharded, self._running.parameters()))
        if sharded and device is not None:
            raise ValueError(
                "the average of a sharded model is kept where its shards are; leave device= out, "
                "and for an average on the CPU give fully_shard a CPUOffloadPolicy"
            )
        self._frozen = frozenset(
            name for name, p in self._running.named_parameters() if not p.requires_grad
        )
        self._batches, self._forward = batches, forward
        self._device = None if device is None else torch.device(device)
        self._build = build
        self._copy: AveragedWeights | None = None
        self._begun = self._warned = False
        self._statistics = 0  # the version to which the batch-norm statistics belong
        self.n_averaged = self.version = 0
        self.decision: Decision | None = None
        self.last_scores: tuple[float, float] | None = None

    @property
    def module(self) -> nn.Module:
        """The offered weights: one object for life, which later updates change in place.

        With batch-norm, `members()` brings its statistics up to date.
        """
        if self._stale:
            self._warn_of_statistics(stacklevel=3)
        return self._weights.module

    @property
    def score(self) -> float | None:
        """Validation score of the offered weights, where the method measured it."""
        return None

    @property
    def should_stop(self) -> bool:
        """Whether the method asks for the end of training."""
        return False

    def members(self) -> list[nn.Module]:
        """What is to be evaluated or deployed, with batch-norm statistics of its own weights.

        They are recomputed from `batches` where the weights have changed since the last time.
        Under synchronised batch-norm that is a collective call, for all ranks.
        """
        module = self._weights.module
        if self._stale and self._batches is not None:
            recompute_batch_norm(module, self._batches, self._forward)
            self._statistics = self.version
        elif self._stale:
            self._warn_of_statistics(stacklevel=3)
        return [module]

    def step(self, model: nn.Module) -> None:
        """Call after each optimizer step. Most methods have nothing to do then."""

    def update(self, model: nn.Module, evaluate: Evaluate) -> Decision | None:
        """Call after each epoch; the decision, or None from methods that decide nothing."""
        raise NotImplementedError

    def state_dict(self) -> dict[str, Any]:
        """All that is needed to go on exactly, as plain numbers and copied tensors.

        With `build=` the tensors are shards, and are there from the beginning, so that
        `torch.distributed.checkpoint` has something to load into, with any number of ranks.
        """
        kept = self._begun or self._build is not None
        return {
            "method": type(self).__name__,
            "weights": self._weights.state_dict() if kept else None,
            "begun": self._begun,
            "decision": None if self.decision is None else self.decision.value,
            "statistics": self._statistics,
            **{name: getattr(self, name) for name in self._counters},
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from what `state_dict` gave.

        Raises:
            ValueError: the state is another method's, or another model's, or lacks an entry.
        """
        if state.get("method") != type(self).__name__:
            raise ValueError(
                f"this is the state of {state.get('method')}, not {type(self).__name__}"
            )
        if missing := self.state_dict().keys() - {"begun"} - state.keys():
            raise ValueError(
                f"this state lacks {sorted(missing)}: another version of aswa wrote it"
            )
        if state["weights"] is not None:
            self._weights.load_state_dict(state["weights"])
        elif self._copy is not None:
            self._copy.assign(self._running)
        self._begun = state.get("begun", state["weights"] is not None)  # younger than 0.1
        self._statistics = state["statistics"]
        self.decision = None if state["decision"] is None else Decision(state["decision"])
        for name in self._counters:
            setattr(self, name, state[name])

    @property
    def _weights(self) -> AveragedWeights:
        """The weights behind `module`, which are made when they are first needed."""
        if self._copy is None:
            self._copy = AveragedWeights(self._running, self._frozen, self._device, self._build)
        return self._copy

    def _restart(self, model: nn.Module) -> None:
        """Θ_avg ← Θ, n ← 1."""
        self._weights.assign(unwrapped(model))
        self._begun, self.n_averaged = True, 1
        self.version += 1

    def _average(self, model: nn.Module, weight: float) -> None:
        """Θ_avg ← Θ_avg + weight · (Θ − Θ_avg), n ← n + 1; from nothing, Θ_avg ← Θ."""
        if not self._begun:
            self._restart(model)
            return
        self._weights.lerp(unwrapped(model), weight)
        self.n_averaged += 1
        self.version += 1

    def _wait(self, model: nn.Module) -> None:
        """An update without a turn: until the average begins, `module` shows Θ."""
        if not self._begun:
            self._running = unwrapped(model)
            if self._copy is not None:
                self._copy.assign(self._running)
            self.version += 1

    @property
    def _stale(self) -> bool:
        """Whether batch-norm statistics, where there are any, belong to other weights."""
        return self._begun and self._statistics != self.version

    def _warn_of_statistics(self, stacklevel: int) -> None:
        """Say once that averaged statistics of batch-norm are about to be used."""
        if self._warned or not has_batch_norm(self._running):
            return
        self._warned = True
        method = type(self).__name__
        fix = "read members()" if self._batches is not None else f"give {method} batches=loader"
        warnings.warn(
            f"the batch-norm statistics that {method} uses are averages of statistics, not those "
            f"of the averaged weights; {fix}, so that forward passes recompute them",
            stacklevel=stacklevel,
        )


def check_turns(method: str, start: int, every: int) -> None:
    """Raise ValueError unless `start` and `every` count epochs."""
    if start < 0 or every < 1 or int(start) != start or int(every) != every:
        raise ValueError(
            f"{method} needs whole numbers start >= 0 and every >= 1, not {start} and {every}"
        )


def has_turn(epoch: int, start: int, every: int) -> bool:
    """Whether `epoch`, from 0, is one of start, start + every, start + 2·every, …"""
    return epoch >= start and (epoch - start) % every == 0
