"""Losses over all entities against the same from all scores."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any
from unittest import mock

import pytest
import torch
import torch.nn.functional as F
from hypothesis import example, given
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from aswa.tasks import tiled_losses
from aswa.tasks.tiled_losses import TiledPositives, set_bce, tail_cross_entropy

pytestmark = pytest.mark.numeric

EPS = torch.finfo(torch.float32).eps
# The reference in fp64 knows scores up to 60 to 2^-46, and log p and p - 1 no better.
OF_REFERENCE = 2**-44
# Scores a tile: all of them, or so few that there are several tiles and the last is smaller.
TILES = st.sampled_from([2**20, 64, 5, 1])


def check_against_dense(
    ours: Tensor,
    factors: list[Tensor],
    exact: Callable[[Tensor], Tensor],
    doubt: Callable[[Tensor, Tensor, float], Tensor],
    magnitude: float,
) -> None:
    """Value and gradients of a loss in fp32 against those from all scores in fp64.

    The tolerances are bounds to first order: a sum of n terms in fp32 is known to n · EPS times
    the sum of their sizes, in whatever order it is made.

    Args:
        ours: the loss of `factors`, queries [B, d] and entities [E, d].
        exact: the loss from scores [B, E].
        doubt: (scores, gradient by the scores, error of a score) → error of that gradient [B, E].
        magnitude: mean size of the terms that the loss adds up.
    """
    q, entity = (factor.detach().double() for factor in factors)
    scores = (q @ entity.T).requires_grad_()
    expected = exact(scores)
    (by_score,) = torch.autograd.grad(expected, scores)
    of_score = EPS * (q.shape[1] + 1) * float((q.abs() @ entity.abs().T).max())
    of_loss = of_score * float(by_score.abs().sum()) + EPS * (scores.numel() + 8) * magnitude
    of_loss += OF_REFERENCE
    assert abs(float(ours.detach()) - float(expected.detach())) <= of_loss
    of_gradient = doubt(scores.detach(), by_score, of_score)
    of_gradient += EPS * (sum(scores.shape) + 8) * by_score.abs() + OF_REFERENCE
    found = torch.autograd.grad(3 * ours, factors)
    pairs = ((by_score, of_gradient, entity), (by_score.T, of_gradient.T, q))
    for gradient, (by, error, other) in zip(found, pairs, strict=True):
        difference = (gradient.double() - 3 * by @ other).abs()
        assert (difference <= 3 * error @ other.abs()).all()


def random_factors(n_queries: int, n_entities: int, dim: int, largest: float) -> list[Tensor]:
    """Queries and entities in fp32; `largest` is the greatest Σ|q_i e_i| and bounds the scores."""
    q, entity = torch.randn(n_queries, dim), torch.randn(n_entities, dim)
    q *= largest / (q.abs() @ entity.abs().T).max()
    return [q.requires_grad_(), entity.requires_grad_()]


@example(n_queries=6, n_entities=70, dim=1, smoothing=0.0, largest=0.0, seed=0, tile=2**20)  # σ = ½
@given(
    n_queries=st.integers(1, 6),
    n_entities=st.integers(1, 70),
    dim=st.integers(1, 4),
    smoothing=st.sampled_from([0.0, 0.1, 0.9]),
    largest=st.sampled_from([0.0, 1.0, 60.0]),
    seed=st.integers(0, 2**16),
    tile=TILES,
)
def test_set_bce_is_binary_cross_entropy_on_dense_labels(
    n_queries: int,
    n_entities: int,
    dim: int,
    smoothing: float,
    largest: float,
    seed: int,
    tile: int,
) -> None:
    """Value and gradients, with scores up to ±60 and any number of positives, none among them.

    σ(s) − y is known to EPS, and to a quarter of the error of s, which is the slope of σ.
    """
    torch.manual_seed(seed)
    factors = random_factors(n_queries, n_entities, dim, largest)
    y = torch.rand(n_queries, n_entities) < torch.rand(())
    labels = y.double() * (1 - smoothing) + smoothing / n_entities
    with mock.patch.object(tiled_losses, "CPU_TILE", tile):
        positives = TiledPositives(*y.nonzero().unbind(1), n_queries, n_queries, n_entities)
        loss = set_bce(*factors, positives, 0, smoothing)
    check_against_dense(
        loss,
        factors,
        lambda scores: F.binary_cross_entropy_with_logits(scores, labels),
        lambda scores, _, error: torch.full_like(scores, (error / 4 + 2 * EPS) / y.numel()),
        magnitude=2 * largest + 1,
    )


@given(
    n_queries=st.integers(1, 6),
    n_entities=st.integers(1, 70),
    smoothing=st.sampled_from([0.0, 0.1, 0.9]),
    largest=st.sampled_from([0.0, 1.0, 60.0]),
    seed=st.integers(0, 2**16),
    tile=TILES,
)
def test_tail_cross_entropy_is_cross_entropy_on_all_scores(
    n_queries: int, n_entities: int, smoothing: float, largest: float, seed: int, tile: int
) -> None:
    """Value and gradients, with scores up to ±60.

    Without smoothing both have a relative error: every probability has that of e^s, twice (its own
    and that of the sum), and 1 − p of the tail is a sum of such. Labels are subtracted from p.
    """
    torch.manual_seed(seed)
    factors = random_factors(n_queries, n_entities, 3, largest)
    tail = torch.randint(n_entities, (n_queries,))

    def exact(scores: Tensor) -> Tensor:
        return F.cross_entropy(scores, tail, label_smoothing=smoothing)

    def doubt(scores: Tensor, gradient: Tensor, error: float) -> Tensor:
        relative = 2 * error + (n_entities + 8) * EPS
        if not smoothing:
            return relative * gradient.abs()
        return relative * (2 * scores.softmax(1) / n_queries + gradient.abs())

    with mock.patch.object(tiled_losses, "CPU_TILE", tile):
        loss = tail_cross_entropy(*factors, tail, smoothing)
    scores = (factors[0] @ factors[1].T).detach()
    magnitude = float(exact(scores.double())) + 2 * largest * bool(smoothing)
    check_against_dense(loss, factors, exact, doubt, magnitude)


@pytest.mark.parametrize("margin", [1.0, 11.0, 30.0, 80.0])
def test_a_cross_entropy_near_zero_keeps_its_digits(margin: float) -> None:
    """Tail 60, the other entity `margin` below: −log p = log(1 + e^−margin), dL/ds = ±(1 − p)."""
    entity = torch.tensor([[60.0 - margin], [60.0]], requires_grad=True)
    loss = tail_cross_entropy(torch.ones(1, 1), entity, torch.tensor([1]))
    small = math.exp(-margin)
    assert float(loss.detach()) == pytest.approx(math.log1p(small), rel=8 * EPS, abs=0)
    (gradient,) = torch.autograd.grad(loss, entity)
    wrong = small / (1 + small)
    assert gradient.flatten().tolist() == pytest.approx([wrong, -wrong], rel=8 * EPS, abs=0)


@pytest.mark.parametrize("tile", [2**20, 64])
@pytest.mark.parametrize("objective", ["kvsall", "1vsall"])
def test_tiled_losses_in_bf16_are_the_dense_ones(objective: str, tile: int) -> None:
    """As near to all scores in fp64 as bf16 is (8 bits), and not as near as fp32 would be."""
    torch.manual_seed(0)
    n_queries, n_entities, smoothing = 6, 70, 0.1
    ours = random_factors(n_queries, n_entities, 16, 30.0)
    dense = [factor.detach().double().requires_grad_() for factor in ours]
    scores, tail = dense[0] @ dense[1].T, torch.randint(n_entities, (n_queries,))
    with mock.patch.object(tiled_losses, "CPU_TILE", tile), torch.autocast("cpu", torch.bfloat16):
        if objective == "kvsall":
            y = F.one_hot(tail, n_entities).double() * (1 - smoothing) + smoothing / n_entities
            expected = F.binary_cross_entropy_with_logits(scores, y)
            rows = torch.arange(n_queries)
            positives = TiledPositives(rows, tail, n_queries, n_queries, n_entities)
            loss = set_bce(*ours, positives, 0, smoothing)
        else:
            expected = F.cross_entropy(scores, tail, label_smoothing=smoothing)
            loss = tail_cross_entropy(*ours, tail, smoothing)
    assert loss.dtype == torch.float32
    assert float(loss.detach()) == pytest.approx(float(expected.detach()), rel=2**-6)
    exact = torch.autograd.grad(expected, dense)
    for gradient, wanted in zip(torch.autograd.grad(loss, ours), exact, strict=True):
        difference = float((gradient.double() - wanted).norm() / wanted.norm())
        assert 2**-16 < difference < 2**-6


@pytest.mark.parametrize("objective", ["kvsall", "1vsall"])
def test_a_loss_that_nobody_learns_from_costs_one_product(objective: str) -> None:
    """The scores; the two products for the gradients are left out."""

    class Count(TorchDispatchMode):
        products = 0

        def __torch_dispatch__(
            self, function: Any, types: Any, args: Any = (), kwargs: Any = None
        ) -> Any:
            self.products += function.overloadpacket is torch.ops.aten.mm
            return function(*args, **(kwargs or {}))

    q, entity = torch.randn(3, 4), nn.Parameter(torch.randn(12, 4))
    one_each = TiledPositives(torch.arange(3), torch.arange(3), 3, 3, 12)
    with Count() as count, torch.no_grad():
        if objective == "kvsall":
            set_bce(q, entity, one_each, 0)
        else:
            tail_cross_entropy(q, entity, torch.arange(3))
    assert count.products == 1
