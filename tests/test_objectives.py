"""Training objectives against what they must visit and against dense labels."""

from __future__ import annotations

import itertools
import math
from collections import Counter

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from aswa.config import load
from aswa.data.knowledge_graph import KnowledgeGraph, TailIndex
from aswa.models import kge
from aswa.models.kge.bilinear import BilinearModel
from aswa.tasks.link_prediction import LinkPrediction
from aswa.tasks.objectives import KvsAll, NegativeSampling, Objective, OneVsAll

pytestmark = pytest.mark.numeric

BATCH_SIZES = [1, 7, 32, 10_000]  # of 36 to 120 examples: some divide, some do not
# Relative error of a mean of a thousand positive terms in fp32, each from a score of 8 terms of
# size 10: (8 + 8) · EPS · 10, and as much for the sum.
OF_A_MEAN = 4e-5


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
def test_allvsall_visits_every_pair_of_the_graph_once(
    small_graph: KnowledgeGraph, batch_size: int
) -> None:
    """Entities × relations examples; those without a known tail have no positive."""
    known = tails_of(small_graph.train)
    n_entities, n_relations = len(small_graph.entities), len(small_graph.relations)
    index = TailIndex(small_graph.train, n_relations).with_all_pairs(n_entities)
    assert torch.equal(index.triples(), TailIndex(small_graph.train, n_relations).triples())
    model, visited = Listener(n_entities), Counter()
    for loss, n in KvsAll(index).losses(model, batch_size, generator()):
        h, r = model.asked[-1]
        assert n == len(h) <= batch_size
        for *pair, y in zip(h.tolist(), r.tolist(), model.labels(loss), strict=True):
            positives = set(y.round().nonzero().flatten().tolist())
            assert positives == known.get(tuple(pair), set())
            visited[tuple(pair)] += 1
    assert visited == Counter(itertools.product(range(n_entities), range(n_relations)))
    assert len(known) < len(visited)


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_the_allvsall_loss_is_that_of_all_triples_one_by_one(
    small_graph: KnowledgeGraph, smoothing: float
) -> None:
    """The mean of −y log σ(s) − (1 − y) log(1 − σ(s)) over all (h, r, t), asked of the task."""
    words = ["model=complex", "model.dim=8", "model.objective=allvsall", "model.init_scale=1"]
    task = LinkPrediction(load([*words, f"model.label_smoothing={smoothing}"]), torch.device("cpu"))
    task.graph, task.n_entities, task.n_relations = small_graph, 12, 6
    model = task.build_model(generator())
    entity, relation = (table.detach().double() for table in (model.entity, model.relation))
    known, total = tails_of(small_graph.train), 0.0
    for h, r, t in itertools.product(range(12), range(6), range(12)):
        (a, b), (c, d), (e, f) = (x.view(2, -1) for x in (entity[h], relation[r], entity[t]))
        score = float((a * c - b * d) @ e + (a * d + b * c) @ f)
        y = (t in known.get((h, r), ())) * (1 - smoothing) + smoothing / 12
        total += y * math.log1p(math.exp(-score)) + (1 - y) * math.log1p(math.exp(score))
    losses = list(task.losses(model, generator()))
    assert sum(n for _, n in losses) == 72
    mean = sum(float(loss.detach()) * n for loss, n in losses) / 72
    assert mean == pytest.approx(total / (72 * 12), rel=OF_A_MEAN)


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
        torch.testing.assert_close(total, expected, rtol=OF_A_MEAN, atol=0)


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
        torch.testing.assert_close(total, expected, rtol=OF_A_MEAN, atol=0)


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
@pytest.mark.parametrize("rule", ["SGD", "Adagrad"])
def test_sparse_gradients_change_no_weight(small_graph: KnowledgeGraph, rule: str) -> None:
    """Several epochs of negative sampling; batches leave rows out and repeat others."""

    def train(sparse: bool) -> BilinearModel:
        model = kge.build("complex", 40, 6, 8, init_scale=1.0, generator=generator())
        model.sparse_gradient = sparse
        optimizer = getattr(torch.optim, rule)(model.parameters(), lr=0.1)
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
        # 24 steps, each of which may round a weight of size 1 otherwise: 24 · EPS.
        torch.testing.assert_close(weights, sparse[name], rtol=0, atol=3e-6)


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
    assert task.sparse_gradient is sparse
    assert task.build_model(generator()).sparse_gradient is sparse
