"""Models that train side by side, for a loop of one's own."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from aswa.averaging.averager import Evaluate
from aswa.averaging.batch_norm import Batches, Forward, forward_inputs, recompute_batch_norm
from aswa.averaging.mixing.mixing import Mixing, Optimizers
from aswa.averaging.undisturbed import undisturbed
from aswa.averaging.weights import AveragedWeights, unwrapped

Combine = Callable[[Tensor], Tensor]
"""Outputs of all members [N, ...] → one output."""


def mean_probability(logits: Tensor) -> Tensor:
    """log of the mean softmax over members: [N, B, classes] → [B, classes]."""
    return logits.log_softmax(-1).logsumexp(0) - math.log(len(logits))


def mean_logit(logits: Tensor) -> Tensor:
    """Mean over members: [N, ...] → [...]."""
    return logits.mean(0)


class Population:
    """Members, their optimizers, and a mixing between them.

        population = Population(models, optimizers, Shuffle(p=0.01))
        aswa = ASWA(population.module)
        for epoch in range(epochs):
            for batches in zip(*loaders):
                for model, optimizer, batch in zip(models, optimizers, batches):
                    train_one_batch(model, batch, optimizer)
                population.step()
            population.epoch()
            aswa.update(population.module, evaluate)

    Args:
        members: models with the same tensors, trained by the caller.
        optimizers: one for each.
        mixing: the operator.
        batches: training inputs, from which the batch-norm statistics of means are recomputed.
        forward: runs one element of `batches` through a module.

    Raises:
        ValueError: no members, or not as many optimizers.
    """

    def __init__(
        self,
        members: Sequence[nn.Module],
        optimizers: Optimizers,
        mixing: Mixing,
        *,
        batches: Batches | None = None,
        forward: Forward = forward_inputs,
    ) -> None:
        if not members or len(members) != len(optimizers):
            raise ValueError(
                f"a population needs an optimizer for each of its members, not {len(optimizers)} "
                f"for {len(members)}"
            )
        self.members, self.optimizers, self.mixing = list(members), list(optimizers), mixing
        self.epochs = self.moved = 0
        self._batches, self._forward = batches, forward
        self._mean = AveragedWeights(unwrapped(self.members[0]))
        self._stale = True

    def step(self, rate: float = 1.0) -> None:
        """Call after every member made an optimizer step; `rate` is lr_t / lr_0."""
        self.moved += self.mixing.step(self.members, self.optimizers, rate)
        self._stale = True

    def epoch(self) -> None:
        """Call after every member ended an epoch."""
        self.epochs += 1
        self.moved += self.mixing.epoch(self.members, self.optimizers, self.epochs)
        self._stale = True

    @property
    def module(self) -> nn.Module:
        """The uniform soup: the members' mean, one module for life, made anew where it is old.

        With `batches` the first look after a `step` or `epoch` runs them all through it.
        """
        if self._stale:
            self._take_mean(self._mean, self.members)
            self._stale = False
        return self._mean.module

    def best(self, evaluate: Evaluate) -> nn.Module:
        """The member with the highest score; the first of equals. Not a copy."""
        scores = self._scores(evaluate)
        return self.members[scores.index(max(scores))]

    def greedy(self, evaluate: Evaluate) -> tuple[nn.Module, int]:
        """The greedy soup (Wortsman et al., ICML 2022), and how many members it has.

        From the best member on, each next one in the order of scores stays in the mean if the mean
        then scores strictly higher. On the split of `evaluate` it is at least the best member.
        """
        scores = self._scores(evaluate)
        order = sorted(range(len(scores)), key=lambda m: -scores[m])
        chosen, score = [self.members[order[0]]], scores[order[0]]
        best = copy.deepcopy(unwrapped(chosen[0]))
        for number in order[1:]:
            tried = AveragedWeights(unwrapped(chosen[0]))
            self._take_mean(tried, [*chosen, self.members[number]])
            found = self._score(tried.module, evaluate)
            if found > score:
                chosen.append(self.members[number])
                best, score = tried.module, found
        return best, len(chosen)

    def ensemble(self, combine: Combine = mean_probability) -> nn.Module:
        """A module that gives the members' outputs, combined."""
        return _Ensemble(self.members, combine)

    def state_dict(self) -> dict[str, Any]:
        """What mixing needs to go on exactly; members and optimizers are saved by the caller."""
        return {"epochs": self.epochs, "moved": self.moved, "mixing": self.mixing.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from what `state_dict` gave, after members and optimizers were restored."""
        self.epochs, self.moved = state["epochs"], state["moved"]
        self.mixing.load_state_dict(state["mixing"])
        self._stale = True

    def _take_mean(self, mean: AveragedWeights, members: Sequence[nn.Module]) -> None:
        mean.assign_mean([unwrapped(member) for member in members])
        if len(members) > 1 and self._batches is not None:
            recompute_batch_norm(mean.module, self._batches, self._forward)

    def _scores(self, evaluate: Evaluate) -> list[float]:
        return [self._score(member, evaluate) for member in self.members]

    def _score(self, module: nn.Module, evaluate: Evaluate) -> float:
        with undisturbed(module), torch.no_grad():
            score = float(evaluate(module))
        return score if score == score else -float("inf")


class _Ensemble(nn.Module):
    def __init__(self, members: Sequence[nn.Module], combine: Combine) -> None:
        super().__init__()
        self.members, self._combine = nn.ModuleList(members), combine

    def forward(self, *args: Any, **kwargs: Any) -> Tensor:
        """The combination of what every member gives."""
        return self._combine(torch.stack([member(*args, **kwargs) for member in self.members]))
