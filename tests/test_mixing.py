"""The protocol of operators on populations, held by its control and by a toy."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import pytest
import torch
from torch import nn
from torch.optim import SGD, Optimizer

from aswa.averaging import SWA
from aswa.averaging.mixing import Independent, Mixing
from drifting_model import bits, drift, small_model


class Toy:
    """Every second step pulls members to their mean; an epoch counts."""

    def __init__(self) -> None:
        self.n_steps = self.n_epochs = 0

    def step(
        self, members: Sequence[nn.Module], optimizers: Sequence[Optimizer], rate: float
    ) -> None:
        self.n_steps += 1
        if self.n_steps % 2:
            return
        with torch.no_grad():
            for tensors in zip(*(member.parameters() for member in members), strict=True):
                mean = torch.stack([t.detach() for t in tensors]).mean(0)
                for tensor in tensors:
                    tensor.lerp_(mean, rate)

    def epoch(
        self, members: Sequence[nn.Module], optimizers: Sequence[Optimizer], epoch: int
    ) -> None:
        self.n_epochs = epoch

    def state_dict(self) -> dict[str, Any]:
        return {"n_steps": self.n_steps, "n_epochs": self.n_epochs}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.n_steps, self.n_epochs = state["n_steps"], state["n_epochs"]


def train(mixing: Mixing, members: list[nn.Module], epochs: range) -> None:
    """Two steps an epoch, whose noise follows from the number of the epoch."""
    optimizers = [SGD(member.parameters(), lr=0.1) for member in members]
    for epoch in epochs:
        torch.manual_seed(epoch)
        for _ in range(2):
            for member in members:
                drift(member)
            mixing.step(members, optimizers, 0.5)
        mixing.epoch(members, optimizers, epoch)


def test_independent_members_are_runs_alone() -> None:
    members = [small_model(), small_model()]
    alone = copy.deepcopy(members)
    mixing = Independent()
    before = [bits(member) for member in members]
    mixing.step(members, [], 1.0)
    mixing.epoch(members, [], 1)
    assert [bits(member) for member in members] == before
    mixing.load_state_dict(mixing.state_dict())
    train(mixing, members, range(1, 3))
    for epoch in (1, 2):
        torch.manual_seed(epoch)
        for _ in range(2):
            for member in alone:
                drift(member)
    assert [bits(member) for member in members] == [bits(member) for member in alone]


@pytest.mark.parametrize("cls", [Independent, Toy])
def test_a_mixing_resumes_exactly(cls: type) -> None:
    straight: Mixing = cls()
    members = [small_model(), small_model()]
    train(straight, members, range(1, 3))
    resumed: Mixing = cls()
    resumed.load_state_dict(straight.state_dict())
    copies = copy.deepcopy(members)
    train(straight, members, range(3, 5))
    train(resumed, copies, range(3, 5))
    assert [bits(member) for member in members] == [bits(member) for member in copies]
    assert straight.state_dict() == resumed.state_dict()


def test_an_average_rides_on_a_member_that_is_mixed() -> None:
    """Averagers only watch, mixing only writes into members: neither knows the other."""
    members = [small_model(), small_model()]
    swa, mixing = SWA(members[0]), Toy()
    train(mixing, members, range(1, 2))
    swa.update(members[0], lambda _: 0.0)
    assert bits(swa.module) == bits(members[0])
    train(mixing, members, range(2, 3))
    assert bits(swa.module) != bits(members[0])
