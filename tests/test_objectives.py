"""Training objectives against dense labels and against what they must visit."""

from __future__ import annotations

import math
from collections import Counter
from typing import Any
from unittest import mock

import pytest
import torch
import torch.nn.functional as F
from hypothesis import example, given
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from aswa.config import BaseOptimizerConfig, load
from aswa.data.knowledge_graph import KnowledgeGraph, TailIndex
from aswa.models import kge
from aswa.models.kge.bilinear import BilinearModel
from aswa.tasks import tiled_losses
from aswa.tasks.link_prediction import LinkPrediction
from aswa.tasks.objectives import KvsAll, NegativeSampling, Objective, OneVsAll
from aswa.tasks.tiled_losses import TiledPositives, set_bce, tail_cross_entropy
from aswa.training.optimizers import build_optimizer

BATCH_SIZES = [1, 7, 32, 10_000]  # of 36 to 120 examples: some divide, some do not


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


class Listener(nn.Module):
    """Scores everything 0, remembers what it was asked, and learns the labels from the gradient.

    The gradient of binary cross-entropy by a score of 0 is (½ − y) / number of scores.
    """

    def __init__(self, n_entities: int) -> None:
        super().__init__()
        self.entity = nn.Parameter(torch.eye(n_entities))
        self.asked: list[tuple[Tensor, ...]] = []

    def queries(self, *ids: Tensor) -> Tensor:
        return self._zeros(ids, (len(ids[0]), len(self.entity)))

    def score(self, *ids: Tensor) -> Tensor:
        return self._zeros(ids, ids[2].shape)

    def score_all(self, *ids: Tensor) -> Tensor:
        return self._zeros(ids, (len(ids[0]), len(self.entity)))

    def _zeros(self, ids: tuple[Tensor, ...], shape: tuple[int, ...]) -> Tensor:
        self.scores = torch.zeros(shape, requires_grad=True)
        self.asked.append(ids)
        return self.scores

    def labels(self, loss: Tensor) -> Tensor:
        (gradient,) = torch.autograd.grad(loss, self.scores)
        return 0.5 - gradient * gradient.numel()


def tails_of(triples: Tensor) -> dict[tuple[int, int], set[int]]:
    """(h, r) → tails, the slow way."""
    tails: dict[tuple[int, int], set[int]] = {}
    for h, r, t in triples.tolist():
        tails.setdefault((h, r), set()).add(t)
    return tails


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("batch_size", [*BATCH_SIZES, "all", "half"])
def test_kvsall_visits_each_pair_once_with_its_tails(
    small_graph: KnowledgeGraph, batch_size: int | str
) -> None:
    """An epoch of batches of any size, whether or not it divides the number of pairs."""
    expected = tails_of(small_graph.train)
    size = {"all": len(expected), "half": len(expected) // 2}.get(batch_size, batch_size)
    model, visited = Listener(len(small_graph.entities)), Counter()
    index = TailIndex(small_graph.train, len(small_graph.relations))
    for loss, n in KvsAll(index).losses(model, size, generator()):
        h, r = model.asked[-1]
        assert n == len(h) <= size
        for *pair, y in zip(h.tolist(), r.tolist(), model.labels(loss), strict=True):
            assert set(y.round().nonzero().flatten().tolist()) == expected[tuple(pair)]
            visited[tuple(pair)] += 1
    assert visited == Counter(expected.keys())
    assert len(model.asked) == math.ceil(len(expected) / size)


@pytest.mark.parametrize("batch_size", BATCH_SIZES)
def test_negative_sampling_visits_each_triple_once(
    small_graph: KnowledgeGraph, batch_size: int
) -> None:
    """The first column is the true tail, labelled 1; the others are any entities, labelled 0."""
    n_entities, drawn = len(small_graph.entities), Counter()
    model, visited = Listener(n_entities), Counter()
    objective = NegativeSampling(small_graph.train, n_entities, negatives=50)
    for loss, n in objective.losses(model, batch_size, generator()):
        h, r, t = model.asked[-1]
        assert t.shape == (n, 51)
        torch.testing.assert_close(model.labels(loss), F.one_hot(torch.zeros(n).long(), 51).float())
        visited.update(zip(h.tolist(), r.tolist(), t[:, 0].tolist(), strict=True))
        drawn.update(t[:, 1:].flatten().tolist())
    assert visited == Counter(map(tuple, small_graph.train.tolist()))
    each = len(small_graph.train) * 50 / n_entities
    assert set(drawn) == set(range(n_entities))
    assert all(0.7 * each < count < 1.3 * each for count in drawn.values())


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_one_vs_all_is_cross_entropy_over_the_entities(
    small_graph: KnowledgeGraph, smoothing: float
) -> None:
    """The mean over all triples of −Σ_e y_e log softmax(s)_e, whatever the batches."""
    n_entities = len(small_graph.entities)
    model = kge.build("distmult", n_entities, 6, 8, init_scale=1.0, generator=generator())
    h, r, t = small_graph.train.unbind(1)
    scores = (model.entity[h] * model.relation[r]).double() @ model.entity.double().T
    labels = F.one_hot(t, n_entities) * (1 - smoothing) + smoothing / n_entities
    expected = -(labels * scores.log_softmax(1)).sum(1).mean()
    for batch_size in BATCH_SIZES:
        losses = OneVsAll(small_graph.train, smoothing).losses(model, batch_size, generator())
        total = sum(loss.double() * n for loss, n in losses) / len(small_graph.train)
        torch.testing.assert_close(total, expected, rtol=1e-5, atol=0)


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_batch_size_does_not_change_the_kvsall_loss(
    small_graph: KnowledgeGraph, smoothing: float
) -> None:
    """At fixed weights the sum over examples is that over dense labels."""
    n_entities = len(small_graph.entities)
    model = kge.build("complex", n_entities, 6, 8, init_scale=1.0, generator=generator())
    index = TailIndex(small_graph.train, 6)
    labels = torch.zeros(len(index), n_entities, dtype=torch.float64)
    for row, (h, r) in enumerate(zip(index.h.tolist(), index.r.tolist(), strict=True)):
        labels[row, list(tails_of(small_graph.train)[h, r])] = 1 - smoothing
    scores = model.score_all(index.h, index.r).double()
    labels += smoothing / n_entities
    expected = F.binary_cross_entropy_with_logits(scores, labels, reduction="sum") / n_entities
    for batch_size in BATCH_SIZES:
        losses = KvsAll(index, smoothing).losses(model, batch_size, generator())
        total = sum(loss.double() * n for loss, n in losses)
        torch.testing.assert_close(total, expected, rtol=1e-5, atol=0)


@pytest.mark.parametrize("name", ["kvsall", "1vsall", "negative_sampling"])
def test_the_generator_alone_decides_the_order(small_graph: KnowledgeGraph, name: str) -> None:
    """Equal generators give equal epochs, whatever the global random state; others do not."""
    objective: Objective = {
        "kvsall": KvsAll(TailIndex(small_graph.train, 6)),
        "1vsall": OneVsAll(small_graph.train),
        "negative_sampling": NegativeSampling(small_graph.train, 12, 3),
    }[name]

    def epoch(seed: int) -> Tensor:
        model = Listener(12)
        list(objective.losses(model, 16, generator(seed)))
        return torch.cat([ids.flatten() for batch in model.asked for ids in batch])

    torch.manual_seed(1)
    first = epoch(0)
    torch.manual_seed(2)
    assert torch.equal(first, epoch(0))
    assert not torch.equal(first, epoch(1))


@pytest.mark.filterwarnings("ignore:Sparse invariant checks")  # torch's own Adagrad
@pytest.mark.parametrize("rule", ["sgd", "adagrad"])
def test_sparse_gradients_change_no_weight(small_graph: KnowledgeGraph, rule: str) -> None:
    """Several epochs of negative sampling; batches leave rows out and repeat others."""

    def train(sparse: bool) -> BilinearModel:
        model = kge.build("complex", 40, 6, 8, init_scale=1.0, generator=generator())
        model.sparse_gradient = sparse
        optimizer = build_optimizer(BaseOptimizerConfig(rule), model, lr=0.1)
        objective = NegativeSampling(small_graph.train, 40, negatives=2)
        for epoch in range(3):
            for loss, _ in objective.losses(model, 8, generator(epoch)):
                optimizer.zero_grad()
                loss.backward()
                assert model.entity.grad is not None
                assert model.entity.grad.is_sparse == model.relation.grad.is_sparse == sparse
                optimizer.step()
        return model

    dense, sparse = train(False).state_dict(), train(True).state_dict()
    for name, weights in dense.items():
        torch.testing.assert_close(weights, sparse[name], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("overrides", "sparse"),
    [
        (["base_optimizer=adagrad"], True),
        (["base_optimizer=sgd", "base_optimizer.momentum=0"], True),
        (["base_optimizer=sgd"], False),  # momentum moves rows that have no gradient
        (["base_optimizer=adam"], False),  # so does Adam
        (["base_optimizer=adagrad", "base_optimizer.weight_decay=0.1"], False),  # and decay
        (["base_optimizer=adagrad", "model.negatives=32"], False),  # most rows are touched
        (["base_optimizer=adagrad", "model.objective=kvsall"], False),  # all rows are touched
    ],
)
def test_gradients_are_sparse_only_where_that_changes_nothing(
    overrides: list[str], sparse: bool
) -> None:
    """The task decides by update rule and objective; UMLS has 135 entities."""
    few = ["model.objective=negative_sampling", "model.negatives=1", "batch_size=2"]
    task = LinkPrediction(load([*few, *overrides]), torch.device("cpu"))
    model = task.build_model(generator())
    assert model.sparse_gradient is sparse
