"""What the training loop asks of a task."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

import torch
from torch import Tensor, nn

from aswa.averaging.batch_norm import Batches


class Task(Protocol):
    """A model to train, losses to train it with, and a judge of weights.

    Attributes:
        selection_metric: what `score` measures; higher is better.
        chance: the score of guessing; a run that never leaves it is flagged as collapsed.
        device: where the model and the data are.
        batch_norm_batches: training inputs for batch-norm statistics; None if there are none.
    """

    selection_metric: str
    chance: float
    device: torch.device
    batch_norm_batches: Batches | None

    def build_model(self, generator: torch.Generator) -> nn.Module:
        """A new model; all its randomness comes from `generator`."""
        ...

    def losses(
        self, model: nn.Module, generator: torch.Generator, start: int = 0
    ) -> Iterator[tuple[Tensor, int]]:
        """Scalar loss and number of examples of the batches of one epoch, from number `start` on.

        What is in a batch follows from the generator's state at the call and the batch's number,
        so that an epoch can be taken up in its middle.
        """
        ...

    def score(self, model: nn.Module) -> float:
        """The selection metric on the validation split."""
        ...

    def metrics(self, model: nn.Module, split: str) -> dict[str, float]:
        """All metrics on `train`, `valid` or `test`."""
        ...
