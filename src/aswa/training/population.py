"""The mixing of a run, and its members beside the methods that ride on their mean."""

from __future__ import annotations

import statistics
from typing import Any

import torch
from torch import nn

from aswa.averaging.mixing import Mixing, Population
from aswa.config import RunConfig
from aswa.registry import AGGREGATES, load
from aswa.tasks.task import Task
from aswa.training.record import method_rows

MEAN, BEST, GREEDY, ENSEMBLE = AGGREGATES


def build_mixing(path: str, config: RunConfig) -> Mixing:
    """The operator at a dotted path with the run's options; `seed: null` is the run's seed."""
    options = dict(config.population.options)
    if "seed" in options and options["seed"] is None:
        options["seed"] = config.seed
    return load(path)(**options)


def described(population: Population, moved: int) -> dict[str, Any]:
    """What a record says of a population: how far members are apart, and the numbers they sent."""
    return {"relative_distance": relative_distance(population), "numbers_sent": moved}


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
    mean = [p.double() for p in population.module.parameters()]
    apart = sum(
        float((p.double() - m).square().sum())
        for member in population.members
        for p, m in zip(member.parameters(), mean, strict=True)
    )
    return apart / sum(float(m.square().sum()) for m in mean)
