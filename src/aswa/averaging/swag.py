"""SWA-Gaussian (Maddox et al., NeurIPS 2019): SWA with the moments of what it averages."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal, Unpack

from torch import nn

from aswa.averaging.averager import Evaluate, Options, has_turn
from aswa.averaging.gaussian import Gaussian
from aswa.averaging.swa import SWA


class SWAG(Gaussian, SWA):
    """A Gaussian around SWA's mean; `module` is SWA's, to the last bit.

        swag = SWAG(model, start=15, batches=loader)
        ...
        models = list(swag.samples(30, seed=0))     # predict with the mean of their probabilities

    Args:
        model: the running model.
        start: epochs (or steps) to let pass before the first that is collected.
        every: epochs (or steps) from one collected model to the next.
        rank: the most deviations that are kept, each of the size of the trained parameters.
        scale: of the covariance; 0.5 is the paper's, 0 gives the mean.
        unit: what `start` and `every` count: "epoch" (calls of `update`) or "step" (of `step`).
        n_samples: models of `posterior`.
        options: `batches`, `forward` and `device` of `Averager`.
    """

    def __init__(
        self,
        model: nn.Module,
        start: int = 0,
        every: int = 1,
        rank: int = 20,
        scale: float = 0.5,
        unit: Literal["epoch", "step"] = "epoch",
        n_samples: int = 30,
        **options: Unpack[Options],
    ) -> None:
        if unit not in ("epoch", "step"):
            raise ValueError(f"SWAG needs unit 'epoch' or 'step', not {unit!r}")
        super().__init__(
            model, start=start, every=every, rank=rank, scale=scale, n_samples=n_samples, **options
        )
        self.unit = unit

    def step(self, model: nn.Module) -> None:
        """Collect `model`, if steps are counted and its turn has come."""
        if self.unit == "epoch":
            return
        if has_turn(self.n_epochs, self.start, self.every):
            super().update(model, _not_asked)
        else:
            self.n_epochs += 1

    def update(self, model: nn.Module, evaluate: Evaluate) -> None:
        """Collect `model`, if epochs are counted and its turn has come; it is not evaluated."""
        if self.unit == "epoch":
            super().update(model, evaluate)
        else:
            self._wait(model)


def multi_swag(posteriors: Sequence[Gaussian], n: int, seed: int = 0) -> Iterator[nn.Module]:
    """`n` samples of each of several runs' Gaussians, one of each in turn (Wilson, Izmailov 2020).

    The mean of their predictions is that of a mixture of the Gaussians in equal parts.

    Args:
        posteriors: such as the SWAGs of several seeds.
        n: samples of each.
        seed: the j-th Gaussian draws as with seed + j.
    """
    drawn = [each.samples(n, seed + j) for j, each in enumerate(posteriors)]
    for of_each in zip(*drawn, strict=True):
        yield from of_each


def _not_asked(module: nn.Module) -> float:
    raise NotImplementedError("SWAG does not score")
