"""Filtered ranks against brute force and against PyKEEN's, and what must not change them."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from aswa.config import load
from aswa.data.folders import EMBEDDED
from aswa.data.knowledge_graph import KnowledgeGraph, TailIndex, read_graph
from aswa.models import kge
from aswa.tasks import ranking
from aswa.tasks.link_prediction import LinkPrediction
from aswa.tasks.ranking import FilteredRanking, ScoreBlocks, mean_reciprocal_rank, rank_metrics
from aswa.training.trajectory import Trajectory

pytestmark = pytest.mark.numeric

GOLDEN = Path(__file__).resolve().parents[1] / "benchmarks" / "golden"
MiB = 2**20


@pytest.fixture(scope="module")
def umls() -> KnowledgeGraph:
    """UMLS with reciprocals."""
    return read_graph(EMBEDDED / "umls").with_reciprocals()


def in_blocks(score_all: Callable[[Tensor, Tensor], Tensor]) -> ScoreBlocks:
    """Any (h [B], r [B]) → scores [B, n_entities], in the form of `BilinearModel.score_blocks`."""

    def write(h: Tensor, r: Tensor, width: int, out: Tensor) -> None:
        torch.cat([block.flatten() for block in score_all(h, r).split(width, 1)], out=out)

    return write


def rank_test_split(graph: KnowledgeGraph, **options: Any) -> FilteredRanking:
    """Of the test triples and their reciprocals, filtered by all three splits."""
    known = TailIndex(torch.cat([graph.train, graph.valid, graph.test]), len(graph.relations))
    return FilteredRanking(graph.test, known, len(graph.entities), **options)


def slow_rank(row: list[float], tail: int, known_tails: set[int]) -> float:
    """Mean of optimistic and pessimistic rank; a NaN target is last, close scores are equal."""
    target, greater, equal = row[tail], 0, 0
    if math.isnan(target):
        return len(row) - len(known_tails - {tail})
    for entity, score in enumerate(row):
        if entity != tail and entity in known_tails:
            continue
        tolerance = 1e-6 * max(1, abs(target)) if math.isfinite(target) else 0.0
        if score == target or abs(score - target) <= tolerance:
            equal += 1
        elif score > target:
            greater += 1
    optimistic, pessimistic = greater + 1, greater + equal
    return (optimistic + pessimistic) / 2


# 1.0000004 and 5e6 + 2 tie with their neighbours to the left, 1.00001 and 5e6 + 20 do not.
SCORES = [math.nan, -math.inf, math.inf, -1.0, 0.0, 1.0, 1.0000004, 1.00001, 5e6, 5e6 + 2, 5e6 + 20]


@st.composite
def problems(draw: st.DrawFn) -> tuple[Tensor, Tensor, Tensor]:
    """Scores [E, R, E], known triples, and those of them to rank, in any order and repeated."""
    n_entities, n_relations = draw(st.integers(1, 6)), draw(st.integers(1, 2))
    n_scores = n_entities * n_relations * n_entities
    scores = draw(st.lists(st.sampled_from(SCORES), min_size=n_scores, max_size=n_scores))
    table = torch.tensor(scores).view(n_entities, n_relations, n_entities)
    entity, relation = st.integers(0, n_entities - 1), st.integers(0, n_relations - 1)
    known = draw(st.lists(st.tuples(entity, relation, entity), min_size=1, max_size=12))
    ranked = draw(st.lists(st.sampled_from(known), min_size=1, max_size=12))
    return table, torch.tensor(known), torch.tensor(ranked)


@given(
    problems(),
    st.sampled_from([1, 40, 10**9]),
    st.sampled_from([1, 9, 2**22]),
    st.sampled_from([1, 2, 2048]),
    st.sampled_from([1, 4, 2048]),
)
def test_ranks_are_those_of_brute_force(
    problem: tuple[Tensor, Tensor, Tensor], memory_budget: int, tile: int, block: int, piece: int
) -> None:
    """Ties, near ties, NaN and infinities, in one tile and block or many."""
    table, known, triples = problem
    index = TailIndex(known, table.shape[1])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ranking, "TILE", tile)
        patch.setattr(ranking, "BLOCK", block)
        patch.setattr(ranking, "PIECE", piece)
        ours = FilteredRanking(triples, index, len(table), memory_budget)
    expected = [
        slow_rank(table[h, r].tolist(), t, {c for a, b, c in known.tolist() if (a, b) == (h, r)})
        for h, r, t in triples.tolist()
    ]
    assert ours.ranks(in_blocks(lambda h, r: table[h, r])).tolist() == expected


def pykeen_scores(kind: str, graph: KnowledgeGraph) -> Tensor:
    """[R, E, E], the formula of benchmarks/peers/pykeen_ranks.py; reciprocals score as forward."""
    n_entities, n_relations = len(graph.entities), len(graph.relations) // 2
    if kind == "constant":
        return torch.zeros(2 * n_relations, n_entities, n_entities)
    r, h, t = np.ogrid[:n_relations, :n_entities, :n_entities]
    mixed = ((h * 1_000_003 + r * 10_007 + t * 101) * 2_654_435_761) % 2**32
    forward = torch.from_numpy(mixed // 2**20 % 97).float()
    return torch.cat([forward, forward.transpose(1, 2)])


@pytest.mark.parametrize("kind", ["random", "constant"])
def test_ranks_are_pykeens(umls: KnowledgeGraph, kind: str) -> None:
    """The realistic ranks, MRR and Hits that PyKEEN's evaluator gave for the same scores."""
    golden = np.load(GOLDEN / f"pykeen_ranks_{kind}.npz")
    tails = umls.test[: len(umls.test) // 2]
    assert torch.equal(tails, torch.from_numpy(golden["triples"]).long())
    table = pykeen_scores(kind, umls)
    ranks = rank_test_split(umls).ranks(in_blocks(lambda h, r: table[r, h].clone()))
    tail, head = ranks.chunk(2)
    for ours, side in ((tail, "tail"), (head, "head")):
        np.testing.assert_allclose(ours.numpy(), golden[f"{side}_rank"], rtol=0, atol=1e-6)
    ours = {**rank_metrics(ranks), **rank_metrics(head, "_head"), **rank_metrics(tail, "_tail")}
    assert len(ours) == 12
    for name, value in ours.items():
        assert value == pytest.approx(float(golden[name]), abs=1e-6), name


def test_a_constant_scorer_gets_what_guessing_would(umls: KnowledgeGraph) -> None:
    """Rank (1 + candidates) / 2 everywhere, however the entities are numbered."""
    n = len(umls.entities)
    everything = torch.cat([umls.train, umls.valid, umls.test]).tolist()
    known: dict[tuple[int, int], set[int]] = {}
    for h, r, t in everything:
        known.setdefault((h, r), set()).add(t)
    candidates = [n - len(known[h, r] - {t}) for h, r, t in umls.test.tolist()]
    expected = [(1 + number) / 2 for number in candidates]
    new_id = torch.randperm(n, generator=torch.Generator().manual_seed(0))

    def renumbered(triples: Tensor) -> Tensor:
        h, r, t = triples.unbind(1)
        return torch.stack([new_id[h], r, new_id[t]], 1)

    splits = (renumbered(split) for split in (umls.train, umls.valid, umls.test))
    for graph in (umls, KnowledgeGraph(umls.entities, umls.relations, *splits)):
        ranks = rank_test_split(graph).ranks(in_blocks(lambda h, r: torch.full((len(h), n), 0.3)))
        assert ranks.tolist() == expected
        nan = rank_test_split(graph).ranks(
            in_blocks(lambda h, r: torch.full((len(h), n), torch.nan))
        )
        assert nan.tolist() == candidates  # a model gone NaN is last everywhere


def test_a_nan_target_is_last(small_graph: KnowledgeGraph) -> None:
    """Behind every number, even a very negative one."""
    n = len(small_graph.entities)
    triples = small_graph.test[:1]
    t = int(triples[0, 2])
    row = torch.full((n,), -3e38)
    row[t] = torch.nan
    index = TailIndex(triples, len(small_graph.relations))
    assert (
        FilteredRanking(triples, index, n).ranks(in_blocks(lambda h, r: row[None].clone())).item()
        == n
    )


def test_memory_budget_changes_no_rank(umls: KnowledgeGraph) -> None:
    """The last bits of a real model's scores depend on the shape of the matrix product, so this is
    the same under any budget."""
    generator = torch.Generator().manual_seed(0)
    model = kge.build("keci", len(umls.entities), len(umls.relations), 32, generator=generator)
    model.requires_grad_(False)
    shapes: dict[int, list[int]] = {}

    def ranks(budget: int) -> Tensor:
        def score_all(h: Tensor, r: Tensor) -> Tensor:
            shapes.setdefault(budget, []).append(len(h))
            return model.score_all(h, r)

        return rank_test_split(umls, memory_budget=budget).ranks(in_blocks(score_all))

    expected = ranks(2**40)
    assert expected.unique().numel() > 100
    for budget in (1, 17 * MiB, 256 * MiB):
        assert torch.equal(ranks(budget), expected)
        assert shapes[budget] == shapes[2**40]


@pytest.mark.parametrize("tile", [1, 135 * 7, 135 * 100])
def test_tiles_change_no_rank(
    umls: KnowledgeGraph, monkeypatch: pytest.MonkeyPatch, tile: int
) -> None:
    """With integer scores, which are the same however they are computed."""
    table = pykeen_scores("random", umls)
    expected = rank_test_split(umls).ranks(in_blocks(lambda h, r: table[r, h]))
    monkeypatch.setattr(ranking, "TILE", tile)
    calls: list[int] = []

    def score_all(h: Tensor, r: Tensor) -> Tensor:
        calls.append(len(h))
        return table[r, h]

    assert torch.equal(rank_test_split(umls).ranks(in_blocks(score_all)), expected)
    assert len(calls) > 1
    assert max(calls) <= max(1, tile // 135)


class LargestTensor(TorchDispatchMode):
    """Notes the bytes of the largest tensor that is made."""

    bytes = 0

    def __torch_dispatch__(
        self, function: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        made = function(*args, **(kwargs or {}))
        for leaf in tree_leaves(made):
            if isinstance(leaf, Tensor):
                self.bytes = max(self.bytes, leaf.untyped_storage().nbytes())
        return made


def test_memory_stays_within_the_budget(monkeypatch: pytest.MonkeyPatch) -> None:
    """Few pairs with many tails each: the comparisons, not the scores, are what grows, up to the
    budget or, on a CPU, what a cache holds."""
    n_entities = 2000
    h, t = torch.cartesian_prod(torch.arange(20), torch.arange(300)).unbind(1)
    triples = torch.stack([h, torch.zeros_like(h), t], 1)
    index = TailIndex(triples, 1)
    scores = torch.randn(20, n_entities, generator=torch.Generator().manual_seed(0))
    largest = {}
    cached, unlimited = ranking.PIECE, 2**40
    for budget, piece in ((64 * MiB, unlimited), (1024 * MiB, unlimited), (1024 * MiB, cached)):
        monkeypatch.setattr(ranking, "PIECE", piece)
        ours = FilteredRanking(triples, index, n_entities, budget)
        with LargestTensor() as seen:
            ours.ranks(in_blocks(lambda h, r: scores[h]))
        largest[budget, piece] = seen.bytes
    assert largest[1024 * MiB, cached] <= 4 * cached * torch.get_num_threads()
    assert largest[64 * MiB, unlimited] <= 16 * MiB  # scores and comparisons are there at a time
    # The first need no copy.
    assert largest[1024 * MiB, unlimited] == (len(triples) - 20) * n_entities * 4


@pytest.mark.parametrize("block", [7, 2048])
@pytest.mark.parametrize("name", ["distmult", "complex", "qmult", "keci"])
def test_a_models_ranks_are_those_of_its_scores(
    umls: KnowledgeGraph, name: str, block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Scored block by block; small numbers in halves make every sum exact, and give ties."""
    monkeypatch.setattr(ranking, "BLOCK", block)
    generator = torch.Generator().manual_seed(0)
    model = kge.build(name, len(umls.entities), len(umls.relations), 16, generator=generator)
    for table in (model.entity, model.relation):
        table.data.mul_(10).round_().div_(2)
    ours = rank_test_split(umls)
    ranks = ours.ranks(in_blocks(lambda h, r: model.score_all(h, r).detach()))
    assert torch.equal(ours.ranks(model.score_blocks), ranks)
    assert ranks.frac().any()
    constant = ours.ranks(in_blocks(lambda h, r: torch.zeros(len(h), len(umls.entities))))
    assert ours.chance() == mean_reciprocal_rank(constant)


@pytest.mark.parametrize("model", ["complex", "keci"])
def test_ranks_are_fp32_when_training_is_not(model: str) -> None:
    """bf16 changes the training, but weights stay fp32 and are ranked as such."""
    cpu = torch.device("cpu")

    def train(precision: str) -> tuple[Trajectory, LinkPrediction]:
        config = load([f"model={model}", "model.dim=16", "lr=0.1", f"precision={precision}"])
        task = LinkPrediction(config, cpu)
        trajectory = Trajectory(config, task)
        trajectory.advance()
        return trajectory, task

    (half, task), (full, _) = train("bf16"), train("fp32")
    assert {parameter.dtype for parameter in half.model.parameters()} == {torch.float32}
    assert not torch.equal(half.model.entity, full.model.entity)
    graph = task.graph
    index = TailIndex(torch.cat([graph.train, graph.valid]), len(graph.relations))
    ranking = FilteredRanking(graph.valid, index, len(graph.entities))
    ranks = ranking.ranks(half.model.score_blocks)
    assert half.history["valid"]["sgd"] == [mean_reciprocal_rank(ranks)]
    with torch.autocast("cpu", torch.bfloat16):
        coarse = ranking.ranks(in_blocks(half.model.score_all))
    assert not torch.equal(coarse, ranks)  # so bf16 scores would have been noticed


def test_several_members_are_ranked_by_their_mean_score() -> None:
    """In halves, which makes every sum exact; one member, and a member twice, give one's values."""
    task = LinkPrediction(load(["model=distmult", "model.dim=16"]), torch.device("cpu"))
    members = [task.build_model(torch.Generator().manual_seed(seed)) for seed in (0, 1)]
    for member in members:
        for table in (member.entity, member.relation):
            table.data.mul_(10).round_().div_(2)
    one = task.metrics(members[:1], "valid")
    assert task.score(members[0]) == one["mrr"]
    assert task.metrics([members[0], members[0]], "valid") == one

    def mean(h: Tensor, r: Tensor) -> Tensor:
        return torch.stack([member.score_all(h, r).detach() for member in members]).mean(0)

    graph = task.graph
    known = TailIndex(torch.cat([graph.train, graph.valid]), len(graph.relations))
    ranks = FilteredRanking(graph.valid, known, len(graph.entities)).ranks(in_blocks(mean))
    both = task.metrics(members, "valid")
    assert both["mrr"] == mean_reciprocal_rank(ranks) != one["mrr"]
    assert both.keys() == one.keys() == task.metrics(members, "test").keys()
    assert task.metrics(members, "train").keys() == {"loss"}
