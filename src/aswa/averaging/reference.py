"""Slow, readable twins: every member is stored, every average computed from scratch.

For tests and for reading; the fast forms must agree with these. Weights are flat fp64 vectors,
and the scores v and v̂ are given rather than measured.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn


def flat(module: nn.Module) -> Tensor:
    """All floating-point weights of `module` as one fp64 vector [P]."""
    state = [*module.parameters(), *module.buffers()]
    return torch.cat([t.detach().double().flatten() for t in state if t.is_floating_point()])


def weighted_sum(coefficients: list[float], thetas: list[Tensor]) -> Tensor:
    """Σ c_t · Θ_t of stored weight vectors [P]."""
    return torch.stack([c * t for c, t in zip(coefficients, thetas, strict=True)]).sum(0)


def worth(score: float, mode: str = "max") -> tuple[bool, float]:
    """Sort key in which better is larger and NaN is below every number, infinities included."""
    return (False, 0.0) if math.isnan(score) else (True, score if mode == "max" else -score)


class ReferenceSWA:
    """Mean of the stored models of epochs start, start + every, …"""

    def __init__(self, start: int = 0, every: int = 1) -> None:
        self.start, self.every = start, every
        self.epochs: list[Tensor] = []

    def update(self, theta: Tensor) -> None:
        """Store Θ [P]."""
        self.epochs.append(theta)

    @property
    def weights(self) -> Tensor:
        """Θ_SWA [P]."""
        return torch.stack(self.epochs[self.start :: self.every]).mean(0)


class ReferenceSWAG(ReferenceSWA):
    """The mean with its Gaussian, from the stored models: no recursion, no sampling."""

    def __init__(self, start: int = 0, every: int = 1, rank: int = 20, scale: float = 0.5) -> None:
        super().__init__(start, every)
        self.rank, self.scale = rank, scale

    @property
    def collected(self) -> Tensor:
        """Θ_1 … Θ_n [n, P]."""
        return torch.stack(self.epochs[self.start :: self.every])

    @property
    def variances(self) -> Tensor:
        """Mean squared distance from the mean [P]."""
        return (self.collected - self.weights).square().mean(0)

    @property
    def deviations(self) -> Tensor:
        """Θ_i − mean(Θ_1 … Θ_i) of the last K models [k, P]."""
        collected = self.collected
        means = [collected[: i + 1].mean(0) for i in range(len(collected))]
        return (collected - torch.stack(means))[-self.rank :]

    @property
    def covariance(self) -> Tensor:
        """scale · (diag + D Dᵀ / (k − 1)) [P, P]."""
        d = self.deviations
        return self.scale * (torch.diag(self.variances) + d.T @ d / (len(d) - 1))


class ReferenceEMA:
    """Explicit sum Σ (1 − β_t) β_{t+1} ⋯ β_T Θ_t, where β_0 is 0."""

    def __init__(
        self, decay: float = 0.999, half_life: float | None = None, warmup: float = 0
    ) -> None:
        self.decay = decay if half_life is None else 2 ** (-1 / half_life)
        self.warmup = warmup
        self.steps: list[Tensor] = []

    def step(self, theta: Tensor) -> None:
        """Store Θ [P]."""
        self.steps.append(theta)

    @property
    def weights(self) -> Tensor:
        """Θ_EMA [P]."""
        later = range(1, len(self.steps))
        beta = [0.0] + [min(self.decay, (1 + t) / (self.warmup + t)) for t in later]
        share = [(1 - beta[t]) * math.prod(beta[t + 1 :]) for t in range(len(beta))]
        return weighted_sum(share, self.steps)


class ReferencePolynomialDecay(ReferenceSWA):
    """Explicit sum: epoch t weighs γ_t (1 − γ_{t+1}) ⋯ (1 − γ_T), γ_t = (η + 1) / (t + η)."""

    def __init__(self, eta: float, start: int = 0) -> None:
        super().__init__(start)
        self.eta = eta

    @property
    def weights(self) -> Tensor:
        """Θ̄ [P]."""
        averaged = self.epochs[self.start :]
        gamma = [(self.eta + 1) / (t + self.eta) for t in range(1, len(averaged) + 1)]
        forgotten = [math.prod(1 - later for later in gamma[t:]) for t in range(1, len(gamma) + 1)]
        return weighted_sum([g * f for g, f in zip(gamma, forgotten, strict=True)], averaged)


class ReferenceEarlyStopping:
    """The whole history; the best epoch before patience ran out is looked up at the end."""

    def __init__(self, patience: float = math.inf) -> None:
        self.patience = patience
        self.history: list[tuple[float, Tensor]] = []

    def update(self, theta: Tensor, v: float) -> None:
        """Store (v, Θ [P])."""
        self.history.append((v, theta))

    @property
    def best_epoch(self) -> int:
        """From 1: the first of the best among the epochs that a patient observer would see."""
        best = 0
        for t, (v, _) in enumerate(self.history):
            if t - best >= self.patience + 1:
                break
            if t == 0 or worth(v) > worth(self.history[best][0]):
                best = t
        return best + 1


class ReferenceASWA:
    """The algorithm of the paper on a list of members (DESIGN: equations 1 to 4 of `ASWA`)."""

    def __init__(self, start: int = 0, every: int = 1, mode: str = "max") -> None:
        self.start, self.every, self.mode = start, every, mode
        self.n_epochs = 0
        self.members: list[Tensor] = []
        self.best_score = math.nan

    @property
    def weights(self) -> Tensor:
        """Θ_ASWA [P]."""
        return torch.stack(self.members).mean(0)

    def update(self, theta: Tensor, v: float, v_hat: float) -> str | None:
        """Θ [P] with score v, and the score that the look-ahead would get; the decision, if due."""
        self.n_epochs += 1
        if self.n_epochs - 1 not in range(self.start, self.n_epochs, self.every):
            return None
        running, look_ahead, best = (worth(s, self.mode) for s in (v, v_hat, self.best_score))
        if not self.members or (running > best and running > look_ahead):
            self.members, self.best_score = [theta], v
            return "hard"
        if look_ahead > best:
            self.members, self.best_score = [*self.members, theta], v_hat
            return "soft"
        return "reject"


class ReferenceReleasedASWA:
    """The released recursion, written as its explicit weighted sum over all epochs."""

    def __init__(self, hard_updates: bool = True) -> None:
        self.hard_updates = hard_updates
        self.thetas: list[Tensor] = []
        self.coefficients: list[float] = []
        self.n = 0
        self.score = math.nan

    @property
    def weights(self) -> Tensor:
        """Θ_A [P]."""
        return weighted_sum(self.coefficients, self.thetas)

    def update(self, theta: Tensor, v: float, v_hat: float) -> str:
        """As `ReferenceASWA.update`; on the first call v̂ is v, since Θ̂ = Θ."""
        first = not self.thetas
        self.thetas.append(theta)
        if self.hard_updates and not first and worth(v) > max(worth(v_hat), worth(self.score)):
            self.coefficients = [0.0] * len(self.coefficients) + [1.0]
            self.n, self.score = 0, v
            return "hard"
        keep = self.n / (self.n + 1)
        self.coefficients = [keep * c for c in self.coefficients] + [1 / (self.n + 1)]
        accept = first or worth(v_hat) > worth(self.score) or v_hat == self.score
        self.n += accept
        self.score = v if first else v_hat
        return "soft" if accept else "reject"
