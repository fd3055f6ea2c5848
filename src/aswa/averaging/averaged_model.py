"""The interface of `torch.optim.swa_utils.AveragedModel` over any method."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from aswa.averaging.aswa import ASWA
from aswa.averaging.averager import Averager, Evaluate
from aswa.averaging.scored import Scored
from aswa.averaging.weights import unwrapped


class AveragedModel(nn.Module):
    """Averaged weights as a module, for code that is written for `torch.optim.swa_utils`.

        averaged = AveragedModel(model, evaluate=evaluate)     # was: AveragedModel(model)
        for epoch in range(epochs):
            train_one_epoch(model, loader, optimizer)
            averaged.update_parameters(model)
        update_bn(loader, averaged)                            # torch's, where there is batch-norm

    `state_dict` holds the method's counters and the precision of the average beside the weights, so
    a resumed run goes on exactly.

    Args:
        model: the running model.
        method: ASWA, SWA, EMA, …
        evaluate: validation score of a module; needed by the methods that score.
        options: of the method.

    Attributes:
        averager: the method.
        module: the averaged model, under the names of the bare one.
        n_averaged: int64 scalar, models in the average.

    Raises:
        ValueError: the method scores, and `evaluate` is missing.
    """

    n_averaged: torch.Tensor

    def __init__(
        self,
        model: nn.Module,
        method: type[Averager] = ASWA,
        evaluate: Evaluate | None = None,
        **options: Any,
    ) -> None:
        super().__init__()
        if evaluate is None and issubclass(method, Scored):
            raise ValueError(
                f"{method.__name__} decides by validation; give evaluate=, a function from a "
                "module to its score"
            )
        self.averager = method(model, **options)
        self._evaluate = evaluate or _not_asked
        self.module = unwrapped(self.averager.module)
        device = next(self.module.parameters()).device
        self.register_buffer("n_averaged", torch.tensor(0, device=device))

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """That of the averaged model."""
        return self.module(*args, **kwargs)

    def update_parameters(self, model: nn.Module) -> None:
        """Let the method look at `model`: after each step for EMA, after each epoch for others."""
        self.averager.step(model)
        self.averager.update(model, self._evaluate)
        self.n_averaged.fill_(self.averager.n_averaged)

    def get_extra_state(self) -> dict[str, Any]:
        """Called by `state_dict`."""
        return self.averager.state_dict()

    def set_extra_state(self, state: dict[str, Any]) -> None:
        """Called by `load_state_dict`."""
        self.averager.load_state_dict(state)


def _not_asked(module: nn.Module) -> float:
    raise NotImplementedError("this method does not score")
