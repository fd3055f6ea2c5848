"""A Gaussian over weights around a running mean: what SWAG adds to an average."""

from __future__ import annotations

import copy
import math
from collections import deque
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from aswa.averaging.averager import Averager, Decision, Evaluate
from aswa.averaging.batch_norm import Batches, recompute_batch_norm
from aswa.averaging.seeded import seeded
from aswa.averaging.weights import unwrapped

Named = dict[str, Tensor]  # by the names of the trained parameters, in the order of the module


class Gaussian(Averager):
    """The moments of the models in an equal mean θ̄ of n of them, and samples from these.

        θ̃ = θ̄ + √scale · ( √(M/n) ⊙ z₁ + D z₂ / √(k − 1) )      z₁ ~ N(0, I_P), z₂ ~ N(0, I_k)

    (Maddox et al. 2019, equation 1, whose scale is ½.) M is Welford's sum (θ_i − θ̄_{i−1}) ⊙
    (θ_i − θ̄_i), in which nothing cancels; a column of D is θ_i − θ̄_i of one of the last k ≤ rank
    models, with the mean of its time, so the first is 0. z₂ is one vector for the whole network.

    A class that also derives from a method with an equal mean, before that method, watches it: a
    first model, or a mean that begins anew, forgets all moments; a mean of one more model takes it
    into them. Parameters alone have moments, tied ones once, in fp32 under half precision; frozen
    parameters and buffers are those of the mean in every sample.

    Attributes:
        rank: K, the most deviations that are kept.
        scale: of the covariance.
        n_samples: of `posterior`.
    """

    def __init__(
        self,
        model: nn.Module,
        *,
        rank: int = 20,
        scale: float = 0.5,
        n_samples: int = 30,
        **options: Any,
    ) -> None:
        name = type(self).__name__
        if rank < 2 or int(rank) != rank or not 0 <= scale < math.inf or n_samples < 1:
            raise ValueError(
                f"{name} needs a whole rank >= 2, a scale >= 0 and n_samples >= 1, not {rank}, "
                f"{scale} and {n_samples}"
            )
        if options.get("build") is not None:
            raise ValueError(f"{name} keeps whole tensors, which sharded models (build=) have not")
        super().__init__(model, **options)
        self.rank, self.scale, self.n_samples = rank, scale, n_samples
        trained = {n: p for n, p in self._running.named_parameters() if p.requires_grad}
        if rough := [n for n, p in trained.items() if not p.is_floating_point()]:
            raise ValueError(f"{name} has variances of real numbers alone, and {rough[0]!r} is not")
        self._trained = tuple(trained)
        self._second: Named = {}  # M, Welford's sums of squares
        self._rest: Named = {}  # what fp32 cuts off the mean
        self._deviations: deque[Named] = deque(maxlen=rank)

    def update(self, model: nn.Module, evaluate: Evaluate) -> Decision | None:
        """That of the method; then the moments follow its mean."""
        mean, n, version = self._mean_before(), self.n_averaged, self.version
        decision = super().update(model, evaluate)
        self._follow(model, mean, n, version)
        return decision

    def sample(self, generator: torch.Generator, batches: Batches | None = None) -> nn.Module:
        """A new module with weights drawn from the Gaussian.

        Neither the running model, nor `module`, nor torch's random state is touched.

        Args:
            generator: on the CPU, so that a sample is the same on every device.
            batches: training inputs for batch-norm statistics of its own; None: the averager's.

        Raises:
            ValueError: fewer than 2 models are collected, which have no variance.
        """
        drawn, module = self.draw(generator), self._copied()
        parameters = dict(module.named_parameters())
        for name, theta in drawn.items():
            parameters[name].data.copy_(theta)
        batches = self._batches if batches is None else batches
        if batches is not None:
            recompute_batch_norm(module, batches, self._forward)
        elif self._begun:
            self._warn_of_statistics(stacklevel=3)
        return module

    def draw(self, generator: torch.Generator) -> Named:
        """The weights of `sample` without a module around them, by name, as the mean is kept."""
        self._check_collected()
        k = len(self._deviations)
        shares = torch.randn(k, generator=generator) * math.sqrt(self.scale / (k - 1))
        drawn = {}
        for name, centre in self._mean().items():
            noise = torch.randn(centre.shape, generator=generator).to(centre)
            noise *= (self._second[name] * (self.scale / self.n_averaged)).sqrt()
            for share, deviation in zip(shares.tolist(), self._deviations, strict=True):
                noise.add_(deviation[name], alpha=share)
            drawn[name] = centre + noise if self.scale else centre.clone()  # −0 stays −0
        return drawn

    def samples(self, n: int, seed: int = 0, batches: Batches | None = None) -> Iterator[nn.Module]:
        """`n` samples, of which the i-th depends on (seed, i) alone.

        Raises:
            ValueError: as `sample`.
        """
        self._check_collected()
        for i in range(n):
            yield self.sample(seeded(f"{seed} sample {i}"), batches)

    def posterior(self, seed: int) -> list[nn.Module]:
        """`n_samples` samples; of fewer than 2 collected models, whose variance is 0, the mean."""
        if self.n_averaged < 2:
            return self.members()
        return list(self.samples(self.n_samples, seed))

    def variances(self) -> Named:
        """M/n, the variance of every trained parameter over the collected models, by name.

        Raises:
            ValueError: as `sample`.
        """
        self._check_collected()
        return {name: second / self.n_averaged for name, second in self._second.items()}

    def deviations(self) -> Named:
        """θ_i − θ̄_i of the last k models, oldest first, [k, …] by name; empty before the first."""
        if not self._deviations:
            return {}
        return {name: torch.stack([d[name] for d in self._deviations]) for name in self._trained}

    def state_dict(self) -> dict[str, Any]:
        """That of the method with the moments: K + 3 times the trained parameters."""
        return {
            **super().state_dict(),
            "rank": self.rank,
            "second": {name: t.clone() for name, t in self._second.items()},
            "rest": {name: t.clone() for name, t in self._rest.items()},
            "deviations": self.deviations(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on exactly from what `state_dict` gave; a state of another rank is refused."""
        if state.get("rank", self.rank) != self.rank:
            raise ValueError(f"this is a state of rank={state['rank']}, not rank={self.rank}")
        super().load_state_dict(state)
        place = self._mean() if state["second"] else {}
        self._second = {name: state["second"][name].to(t, copy=True) for name, t in place.items()}
        self._rest = {name: state["rest"][name].to(t, copy=True) for name, t in place.items()}
        kept = state["deviations"]
        count = len(next(iter(kept.values()))) if kept else 0
        held = [{n: kept[n][i].to(t, copy=True) for n, t in place.items()} for i in range(count)]
        self._deviations = deque(held, self.rank)

    def _mean(self) -> Named:
        """θ̄ in the precision in which it is kept, without copying."""
        masters = self._weights.masters()
        return {name: masters[name] for name in self._trained}

    def _mean_before(self) -> Named:
        """A copy of θ̄, if there is one, for `_follow`."""
        return {n: t.clone() for n, t in self._mean().items()} if self.n_averaged else {}

    def _follow(self, model: nn.Module, before: Named, n: int, version: int) -> None:
        """Take `model` into the moments, if the mean took it in since it was `before`.

        Args:
            n, version: those of then.
        """
        if self.version == version or self.n_averaged == 0:
            return
        mean, running = self._mean(), dict(unwrapped(model).named_parameters())
        if self.n_averaged == n + 1 > 1:
            own = {name: running[name].detach().to(t) for name, t in mean.items()}
            self._include(own, {name: t.to(mean[name]) for name, t in before.items()}, mean)
        else:
            self._second = {name: torch.zeros_like(t) for name, t in mean.items()}
            self._rest = {name: torch.zeros_like(t) for name, t in mean.items()}
            self._deviations.clear()
            self._deviations.append({name: torch.zeros_like(t) for name, t in mean.items()})

    def _include(self, own: Named, before: Named, mean: Named) -> None:
        """Welford's step, with the exact mean θ̄ + rest in place of the rounded one."""
        deviation = {}
        for name, theta in own.items():
            rest = self._rest[name].to(theta)
            first = (theta - before[name]) - rest
            rest = (before[name] - mean[name]) + rest + first / self.n_averaged
            last = (theta - mean[name]) - rest
            square = (first * last).clamp_(min=0)  # rounding of nearly nothing may be below
            self._second[name] = self._second[name].to(theta) + square
            self._rest[name], deviation[name] = rest, last
        self._deviations.append(deviation)

    def _check_collected(self) -> None:
        if self.n_averaged < 2:
            raise ValueError(
                f"{type(self).__name__} has collected {self.n_averaged} model(s), and a variance "
                "takes 2: let it begin earlier, or train longer"
            )

    def _copied(self) -> nn.Module:
        """A copy of the mean that shares frozen parameters."""
        module = self._weights.module
        shared: dict[int, Any] = {id(p): p for p in module.parameters() if not p.requires_grad}
        return copy.deepcopy(module, shared)
