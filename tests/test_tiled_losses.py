"""Losses over all entities against the same from all scores."""

from __future__ import annotations

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

# Scores a tile: all of them, or so few that there are several tiles and the last is smaller.
TILES = st.sampled_from([2**20, 64, 5, 1])


def check_against_dense(
    ours: Tensor, expected: Tensor, factors: list[list[Tensor]], largest: float
):
    """Value and gradients of a loss in fp32 against the same from all scores in fp64."""
    gradients = torch.autograd.grad(3 * ours, factors[0])
    expected_gradients = torch.autograd.grad(3 * expected, factors[1])
    # fp32: scores are added up for the loss, and σ(s) − y is known to its last place.
    accuracy = 3e-7 * max(largest, 1)
    torch.testing.assert_close(ours.double(), expected, rtol=1e-5, atol=accuracy)
    others = reversed(factors[0])
    for ours_, theirs, other in zip(gradients, expected_gradients, others, strict=True):
        accuracy = 1e-6 * other.abs().max().item()
        torch.testing.assert_close(ours_.double(), theirs, rtol=1e-4, atol=accuracy)


def random_factors(
    n_queries: int, n_entities: int, dim: int, largest: float
) -> tuple[list[Tensor], list[Tensor]]:
    """Queries and entities whose greatest score is `largest`, in fp32 and in fp64."""
    q, entity = torch.randn(n_queries, dim), torch.randn(n_entities, dim)
    q *= largest / (q @ entity.T).abs().max()
    return (
        [tensor.clone().requires_grad_() for tensor in (q, entity)],
        [tensor.double().requires_grad_() for tensor in (q, entity)],
    )


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
    """Value and gradients, with scores up to ±60 and any number of positives, none among them."""
    torch.manual_seed(seed)
    ours, dense = random_factors(n_queries, n_entities, dim, largest)
    y = torch.rand(n_queries, n_entities) < torch.rand(())
    labels = y.double() * (1 - smoothing) + smoothing / n_entities
    expected = F.binary_cross_entropy_with_logits(dense[0] @ dense[1].T, labels)
    with mock.patch.object(tiled_losses, "CPU_TILE", tile):
        positives = TiledPositives(*y.nonzero().unbind(1), n_queries, n_queries, n_entities)
        loss = set_bce(*ours, positives, 0, smoothing)
    check_against_dense(loss, expected, [ours, dense], largest)


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
    """Value and gradients, with scores up to ±60."""
    torch.manual_seed(seed)
    ours, dense = random_factors(n_queries, n_entities, 3, largest)
    tail = torch.randint(n_entities, (n_queries,))
    expected = F.cross_entropy(dense[0] @ dense[1].T, tail, label_smoothing=smoothing)
    with mock.patch.object(tiled_losses, "CPU_TILE", tile):
        loss = tail_cross_entropy(*ours, tail, smoothing)
    check_against_dense(loss, expected, [ours, dense], largest)


@pytest.mark.parametrize("tile", [2**20, 64])
@pytest.mark.parametrize("objective", ["kvsall", "1vsall"])
def test_tiled_losses_in_bf16_are_the_dense_ones(objective: str, tile: int) -> None:
    """As near to all scores in fp64 as bf16 is (8 bits), and not as near as fp32 would be."""
    torch.manual_seed(0)
    n_queries, n_entities, smoothing = 6, 70, 0.1
    ours, dense = random_factors(n_queries, n_entities, 16, 8.0)
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
    gradients = torch.autograd.grad(loss, ours)
    for got, exact in zip(
        (loss, *gradients), (expected, *torch.autograd.grad(expected, dense)), strict=True
    ):
        difference = (got.double() - exact).norm() / exact.norm()
        assert 1e-6 < difference < 2**-6, difference


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
