"""The mixing of a run, and its members beside the methods that ride on their mean."""

from __future__ import annotations

import copy
import statistics
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from aswa import distributed
from aswa.averaging import recompute_batch_norm
from aswa.averaging.batch_norm import Batches
from aswa.averaging.mixing import Carrier, Mixing, Population, Processes
from aswa.averaging.weights import AveragedWeights
from aswa.config import ConfigError, RunConfig
from aswa.registry import AGGREGATES, load
from aswa.tasks.task import Task
from aswa.training.learner import Learner
from aswa.training.record import method_rows

MEAN, BEST, GREEDY, ENSEMBLE = AGGREGATES


def build_mixing(path: str, config: RunConfig) -> Mixing:
    """The operator at a dotted path with the run's options; `seed: null` is the run's seed.

    Raises:
        ConfigError: it refuses its options, or cannot reach members in other processes.
    """
    name, options = config.population.name, dict(config.population.options)
    if "seed" in options and options["seed"] is None:
        options["seed"] = config.seed
    try:
        mixing: Mixing = load(path)(**options)
    except ValueError as error:
        raise ConfigError(f"population={name}: {error}") from None
    if distributed.members_apart():
        if not isinstance(mixing, Mixing) or not mixing.distributes:
            raise ConfigError(
                f"population={name}: {type(mixing).__name__} reads members of other processes "
                "without its carrier; run all members in one process"
            )
        mixing.carrier = Processes()
    return mixing


def branch(learners: Sequence[Learner]) -> None:
    """End a common start: every learner goes on from the state of number 0."""
    first = distributed.gather_members([learner.state_dict() for learner in learners])[0]
    for learner in learners:
        if learner.number:
            learner.load_state_dict(copy.deepcopy(first))


class RunningMean:
    """The mean of all members, which the methods watch; of one member the member itself.

    Args:
        models: the members that this process trains.
        members: how many there are.
        common: whether the first model, with batch-norm statistics of its own, is all of them now.
    """

    def __init__(
        self, models: Sequence[nn.Module], members: int, common: Callable[[], bool]
    ) -> None:
        self._models, self._common = models, common
        self.carrier = Processes() if distributed.members_apart() else Carrier()
        self._mean = AveragedWeights(models[0]) if members > 1 else None
        self.module = models[0] if self._mean is None else self._mean.module
        self.refresh()

    def refresh(self, batches: Batches | None = None) -> None:
        """Take the members as they are now, with batch-norm statistics from `batches`."""
        if self._mean is None:
            return
        members, common = self.carrier.modules(self._models), self._common()
        self._mean.assign_mean(members[:1] if common else members)
        if batches is not None and not common:
            recompute_batch_norm(self.module, batches)

    def population(
        self, optimizers: Sequence[Optimizer], mixing: Mixing, batches: Batches | None
    ) -> Population | None:
        """All members, to be evaluated; None of one."""
        if self._mean is None:
            return None
        members = self.carrier.modules(self._models)
        # Nothing steps the optimizers any more, and those of other processes are not here.
        return Population(members, [optimizers[0]] * len(members), mixing, batches=batches)


def described(population: Population, moved: int) -> dict[str, Any]:
    """What a record says of a population: how far members are apart, and the numbers they sent."""
    sent = sum(distributed.gather_members([moved]))
    return {"relative_distance": relative_distance(population), "numbers_sent": sent}


def aggregate_rows(task: Task, population: Population, epoch: int) -> list[dict[str, Any]]:
    """Every metric of the mean member, the best one by validation, the greedy soup, the ensemble.

    The test split is read after the choices are made, on validation alone.
    """
    known = {member: task.score(member) for member in population.members}

    def score(module: nn.Module) -> float:
        return known[module] if module in known else task.score(module)

    chosen, (greedy, n_greedy) = population.best(score), population.greedy(score)
    of_members = [method_rows(task, BEST, [member], epoch) for member in population.members]
    best = of_members[population.members.index(chosen)]
    mean = [
        {**row, "optimizer": MEAN, "value": statistics.fmean(each["value"] for each in same)}
        for row, same in zip(of_members[0], zip(*of_members, strict=True), strict=True)
    ]
    soup = [{**row, "optimizer": GREEDY} for row in best]
    if n_greedy > 1:
        soup = method_rows(task, GREEDY, [greedy], epoch)
    return [*mean, *best, *soup, *method_rows(task, ENSEMBLE, population.members, epoch)]


@torch.no_grad()
def relative_distance(population: Population) -> float:
    """Σ_n ‖θ_n − θ̄‖² / ‖θ̄‖² over the trained parameters."""

    def trained(module: nn.Module) -> list[Tensor]:
        return [p.double() for p in module.parameters() if p.requires_grad]

    mean = trained(population.module)
    apart = sum(
        float((p - m).square().sum())
        for member in population.members
        for p, m in zip(trained(member), mean, strict=True)
    )
    return apart / sum(float(m.square().sum()) for m in mean)
