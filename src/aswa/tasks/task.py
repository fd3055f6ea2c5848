"""What training asks of a task."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from aswa.averaging.batch_norm import Batches


@dataclass(frozen=True)
class Stage:
    """What a task that declares recipes of members is told of an epoch.

    Attributes:
        recipe: of the member, `aswa.kinds.declaration.TaskDeclaration.recipe`; empty: the usual.
        progress: part of training that is over, in [0, 1).
    """

    recipe: Mapping[str, Any] = field(default_factory=dict)
    progress: float = 0.0


class Task(Protocol):
    """Models to train, losses to train them with, and a judge of weights.

    Attributes:
        selection_metric: what `score` measures; higher is better.
        chance: the score of guessing; a run that never leaves it is flagged as collapsed.
        device: where models and data are.
        batch_norm_batches: training inputs for batch-norm statistics; None without batch-norm.
        sparse_gradient: gradients of the models' tables hold only the rows of a batch.
    """

    selection_metric: str
    chance: float
    device: torch.device
    batch_norm_batches: Batches | None
    sparse_gradient: bool

    def build_model(self, generator: torch.Generator) -> nn.Module:
        """A new model; all its randomness comes from `generator`."""
        ...

    def losses(
        self, model: nn.Module, generator: torch.Generator, start: int = 0
    ) -> Iterator[tuple[Tensor, int]]:
        """Scalar loss of `model` and number of examples of each batch of one epoch from `start` on.

        A batch follows from the generator's state at the call and from its number, so that an epoch
        can be resumed in its middle. A task that declares recipes takes a `Stage` as last argument.
        """
        ...

    def score(self, model: nn.Module) -> float:
        """The selection metric on the validation split."""
        ...

    def metrics(self, members: Sequence[nn.Module], split: str) -> dict[str, float]:
        """All metrics on `train`, `valid` or `test`.

        Args:
            members: one model, or several whose predictions are averaged.
        """
        ...
