"""Link predictors that are not bilinear: their scores, losses, ranks and means."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from aswa.data.knowledge_graph import TailIndex
from aswa.models.kge.bilinear import BilinearModel
from aswa.models.kge.distmult import DistMult
from aswa.models.kge.ensemble import Ensemble, MeanProbability, MeanScore, as_one
from aswa.models.kge.link_predictor import LinkPredictor
from aswa.tasks.objectives import KvsAll, NegativeSampling, Objective, OneVsAll
from aswa.tasks.ranking import FilteredRanking

pytestmark = pytest.mark.numeric

N_ENTITIES, N_RELATIONS, DIM = 23, 4, 8


class TransE(LinkPredictor):
    """−‖h + r − t‖₁."""

    def compose(self, h: Tensor, r: Tensor) -> Tensor:
        return h + r

    def compare(self, q: Tensor, t: Tensor) -> Tensor:
        return -(q - t).abs().sum(-1)


class PlainDistMult(LinkPredictor):
    """DistMult, compared number by number."""

    def compose(self, h: Tensor, r: Tensor) -> Tensor:
        return h * r

    def compare(self, q: Tensor, t: Tensor) -> Tensor:
        return (q * t).sum(-1)


def build(model: type[LinkPredictor], seed: int = 0) -> Any:
    generator = torch.Generator().manual_seed(seed)
    built = model(N_ENTITIES, N_RELATIONS, DIM, init_scale=1.0, generator=generator)
    return built.double()


def triples() -> Tensor:
    generator = torch.Generator().manual_seed(1)
    sizes = torch.tensor([N_ENTITIES, N_RELATIONS, N_ENTITIES])
    drawn = (torch.rand(90, 3, generator=generator) * sizes).long()
    return drawn.unique(dim=0)


OBJECTIVES = {
    "kvsall": lambda: KvsAll(TailIndex(triples(), N_RELATIONS)),
    "kvsall smoothed": lambda: KvsAll(TailIndex(triples(), N_RELATIONS), 0.2),
    "1vsall": lambda: OneVsAll(triples()),
    "1vsall smoothed": lambda: OneVsAll(triples(), 0.2),
    "negatives": lambda: NegativeSampling(triples(), N_ENTITIES, 5),
}


@pytest.mark.parametrize("name", OBJECTIVES)
def test_an_objective_is_the_same_with_and_without_products(name: str) -> None:
    """Losses and gradients of one function in two forms, batch by batch."""
    objective: Objective = OBJECTIVES[name]()
    models = [build(DistMult).float(), build(PlainDistMult).float()]
    streams = [objective.losses(m, 16, torch.Generator().manual_seed(2)) for m in models]
    for (loss, n), (plain, m) in zip(*streams, strict=True):
        assert n == m
        torch.testing.assert_close(loss, plain, rtol=1e-4, atol=1e-5)
        for each, of in zip((loss, plain), models, strict=True):
            of.zero_grad()
            each.backward()
        for own, other in zip(models[0].parameters(), models[1].parameters(), strict=True):
            torch.testing.assert_close(own.grad, other.grad, rtol=1e-3, atol=1e-6)


def test_scores_of_all_entities_are_those_of_single_triples(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Also where entities are compared a few at a time."""
    model = build(TransE)
    h, r, t = triples().unbind(1)
    expected = model.score(h, r, t)
    by_hand = -(model.entity[h] + model.relation[r] - model.entity[t]).abs().sum(1)
    torch.testing.assert_close(expected, by_hand)
    whole = model.score_all(h, r)
    torch.testing.assert_close(whole.gather(1, t[:, None])[:, 0], expected)
    torch.testing.assert_close(model.score(h, r, t[:, None])[:, 0], expected)
    monkeypatch.setattr("aswa.models.kge.link_predictor.COMPARED", 5 * len(h) * DIM)
    torch.testing.assert_close(model.score_all(h, r), whole)


def test_ranks_are_those_of_sorted_scores() -> None:
    """Of a model whose scores are all different."""
    known = triples()
    model = build(TransE).float()
    ranks = FilteredRanking(known, TailIndex(known, N_RELATIONS), N_ENTITIES).ranks(
        model.score_blocks
    )
    for (h, r, t), rank in zip(known.tolist(), ranks.tolist(), strict=True):
        scores = model.score_all(torch.tensor([h]), torch.tensor([r]))[0]
        others = known[(known[:, 0] == h) & (known[:, 1] == r) & (known[:, 2] != t), 2]
        scores[others] = -torch.inf
        assert rank == 1 + int((scores > scores[t]).sum())


def test_the_mean_of_models_of_any_form() -> None:
    """Bilinear ones become one product; with another among them scores are averaged."""
    h, r, t = triples().unbind(1)
    of_products = [build(DistMult, seed) for seed in (1, 2)]
    assert isinstance(as_one(of_products), Ensemble)
    members = [*of_products, build(TransE, 3)]
    mean = as_one(members)
    assert isinstance(mean, MeanScore) and not isinstance(mean, BilinearModel)
    expected = torch.stack([member.score_all(h, r) for member in members]).mean(0)
    torch.testing.assert_close(mean.score_all(h, r), expected)
    composed = mean.score_entities(mean.queries(h, r), mean.entity)
    torch.testing.assert_close(composed, expected)
    torch.testing.assert_close(mean.score(h, r, t), expected.gather(1, t[:, None])[:, 0])


def test_the_mean_of_probabilities_does_not_saturate() -> None:
    """Log-odds of the mean sigmoid; where that is 1 in fp64, the surer triple is still ahead."""
    h, r, _ = triples().unbind(1)
    members = [build(DistMult, 1), build(TransE, 3)]
    mean = MeanProbability(members)
    scores = [member.score_all(h, r) for member in members]
    expected = sum(each.double().sigmoid() for each in scores) / 2
    torch.testing.assert_close(mean.score_all(h, r).double(), expected.logit())
    far = torch.tensor([-300.0, -200.0, 200.0, 300.0])
    torch.testing.assert_close(mean.combined([far, far]), far)
    assert not mean.combined([far, far.roll(1)]).isnan().any()


def test_smoothed_labels_add_up() -> None:
    """To one for each positive, and ε for a query."""
    objective = KvsAll(TailIndex(triples(), N_RELATIONS), 0.2)
    model = build(PlainDistMult).float()
    (loss, n), *_ = objective.losses(model, 1000, torch.Generator().manual_seed(0))
    order = torch.randperm(n, generator=torch.Generator().manual_seed(0))
    index = objective.train
    scores = model.score_all(index.h[order], index.r[order])
    labels = torch.zeros_like(scores)
    for row, (h, r) in enumerate(
        zip(index.h[order].tolist(), index.r[order].tolist(), strict=True)
    ):
        known = triples()
        labels[row, known[(known[:, 0] == h) & (known[:, 1] == r), 2]] = 1
    labels = labels * 0.8 + 0.2 / N_ENTITIES
    torch.testing.assert_close(loss, F.binary_cross_entropy_with_logits(scores, labels))
