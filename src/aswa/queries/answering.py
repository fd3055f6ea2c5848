"""Answers of logical queries from a link predictor: the truth of each entity as an answer.

Continuous query decomposition by search (Arakelyan et al., ICLR 2021): the truth of a triple comes
from its score, intersection and union are a t-norm and its t-conorm, and a projection takes the
best over the entities that its variable may stand for,

    B(t) = max over x of A(x) ⊤ σ(score(x, r, t)).

The maximum is exact with k at least the number of entities, and else goes over the k best x. No x
left out is better than the worst x kept, so a truth above that of the worst is exact.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from aswa.data.knowledge_graph import KnowledgeGraph
from aswa.models.kge.link_predictor import LinkPredictor
from aswa.queries.algebra import (
    Anchor,
    Expression,
    Intersection,
    Negation,
    Projection,
    structure,
)
from aswa.queries.fuzzy_logic import LOGICS, FuzzyLogic
from aswa.queries.nested import read_query

# Constants, so that no result depends on free memory: products of another shape may round
# differently.
TRUTHS_HELD = 2**22  # of a matrix [queries, entities]: 16 MiB, or 32 in fp64
CPU_BLOCK = 2**18  # scores of one matrix product, which stay in a CPU's cache
CUDA_BLOCK = 2**25


def ask(
    model: LinkPredictor,
    graph: KnowledgeGraph,
    name: str,
    query: Any,
    *,
    tnorm: str = "product",
    k: int = 256,
    top: int = 10,
) -> list[tuple[str, float]]:
    """The most likely answers of one query by names, each with its probability.

        ask(model, graph, "2i", (("virus", ("causes",)), ("bacterium", ("causes",))))

    Args:
        model: of the entities and relations of `graph`; in eval mode.
        graph: with reciprocals, whose relations are called r⁻¹.
        name, query: see `aswa.queries.nested.read_query`.
        tnorm: product, minimum or lukasiewicz.
        k: see `Answerer`.

    Raises:
        UnknownStructure, MalformedQuery: what is wrong with the query.
        ValueError: no such t-norm.
    """
    if tnorm not in LOGICS:
        raise ValueError(f"tnorm={tnorm!r}: there are {', '.join(LOGICS)}")
    ids = [{each: i for i, each in enumerate(names)} for names in (graph.entities, graph.relations)]
    row = torch.tensor([read_query(name, query, *ids)], device=model.entity.device)
    answerer = Answerer(model, LOGICS[tnorm](), k)
    best = answerer.probabilities(structure(name), row)[0].topk(min(top, len(graph.entities)))
    found = zip(best.indices.tolist(), best.values.tolist(), strict=True)
    return [(graph.entities[i], probability) for i, probability in found]


class Answerer:
    """Answers queries with the weights of a model. The model is not changed.

    Beside weights and queries it holds one matrix of `TRUTHS_HELD` truth values for each level of a
    query, whatever the number of queries, entities or k. The caller holds the result.

    Args:
        model: scores triples; in eval mode.
        logic: t-norm, t-conorm and negation.
        k: entities that a variable may stand for; at least the number of entities: all, exactly.

    Raises:
        ValueError: k is below 1.
    """

    def __init__(self, model: LinkPredictor, logic: FuzzyLogic, k: int) -> None:
        if k < 1:
            raise ValueError(f"k={k}: a variable has to stand for at least one entity")
        self._model, self._logic = model, logic
        self.n_entities = len(model.entity)
        self.k = min(k, self.n_entities)
        self.at_a_time = max(1, TRUTHS_HELD // self.n_entities)
        self._block = CUDA_BLOCK if model.entity.is_cuda else CPU_BLOCK
        # An entity with weights that are not finite answers nothing and stands for nothing.
        self._broken = ~torch.isfinite(model.entity.detach()).all(1)
        self._weights_finite = not bool(self._broken.any())

    @torch.no_grad()
    def logits(self, structure: Expression, queries: Tensor) -> Iterator[Tensor]:
        """log(p / (1 − p)) of every entity, for some queries at a time: fp32 [b, n_entities].

        They are ranked as scores are; those of a `1p` are the model's scores.

        Args:
            queries: int64 [B, columns], see `aswa.queries.algebra.columns`.
        """
        for truth in self._truth(structure, queries):
            logits = self._logic.logits(truth)
            if not self._weights_finite:
                logits[:, self._broken] = torch.nan
            yield logits

    @torch.no_grad()
    def probabilities(self, structure: Expression, queries: Tensor) -> Tensor:
        """p of every entity for each query: fp64 [B, n_entities]."""
        found = [self._logic.probabilities(truth) for truth in self._truth(structure, queries)]
        return torch.cat(found).double()

    def _truth(self, structure: Expression, queries: Tensor) -> Iterator[Tensor]:
        for part in queries.split(self.at_a_time):
            yield self._evaluate(structure, iter(part.unbind(1)))

    def _evaluate(self, expression: Expression, columns: Iterator[Tensor]) -> Tensor:
        """Truth values [B, n_entities]; takes its columns in the order of `walk`."""
        if isinstance(expression, Anchor):
            anchor = next(columns)
            options: Any = {"dtype": self._logic.dtype, "device": anchor.device}
            found = torch.full((len(anchor), self.n_entities), self._logic.false, **options)
            return found.scatter_(1, anchor.unsqueeze(1), self._logic.true)
        if isinstance(expression, Projection):
            (operand,) = expression.children
            if isinstance(operand, Anchor):
                scores = self._model.score_all(next(columns), next(columns))
                return self._logic.truth(self._without_nan(scores))
            return self._project(self._evaluate(operand, columns), next(columns))
        found, *others = [self._evaluate(child, columns) for child in expression.children]
        if isinstance(expression, Negation):
            return self._logic.negation(found)
        combine = self._logic.conjunction
        if not isinstance(expression, Intersection):
            combine = self._logic.disjunction
        for other in others:
            found = combine(found, other)
        return found

    def _without_nan(self, scores: Tensor) -> Tensor:
        return scores if self._weights_finite else scores.nan_to_num_(nan=-torch.inf)

    def _project(self, truth: Tensor, r: Tensor) -> Tensor:
        if self.k == self.n_entities:
            return self._project_exactly(truth, r)
        best = self._best(truth)
        found = torch.empty_like(truth)
        rows = max(1, self._block // (self.k * 64))  # queries whose blocks are not too narrow
        for first in range(0, len(r), rows):
            part = slice(first, first + rows)
            x = best[part]
            weight = truth[part].gather(1, x)
            composed = self._model.queries(x.flatten(), r[part].repeat_interleave(self.k))
            width = max(1, self._block // len(composed))
            for begin in range(0, self.n_entities, width):
                entities = self._model.entity[begin : begin + width]
                scores = self._without_nan(self._model.score_entities(composed, entities))
                scores = scores.view(*x.shape, -1)
                some = self._logic.some(weight, self._logic.prepare(scores))
                found[part, begin : begin + width] = some
        return found

    def _best(self, truth: Tensor) -> Tensor:
        """The k entities of greatest truth, int64 [B, k]; of equals the first.

        Equals are frequent after a minimum or a clamp.
        """
        values, best = truth.topk(self.k, 1)
        last = values[:, -1:]
        tied = ((truth >= last).sum(1) > self.k).nonzero().squeeze(1)
        if len(tied):
            above, equal = truth[tied] > last[tied], truth[tied] == last[tied]
            wanted = self.k - above.sum(1, keepdim=True)
            chosen = above | (equal & (equal.cumsum(1) <= wanted))
            best[tied] = chosen.nonzero()[:, 1].view(len(tied), self.k)
        return best

    def _project_exactly(self, truth: Tensor, r: Tensor) -> Tensor:
        """The maximum over every x. Queries with one relation share the scores of all (x, r, t)."""
        found = torch.empty_like(truth)
        everything = torch.arange(self.n_entities, device=r.device)
        width = max(1, min(self.n_entities, self._block // self.n_entities))
        rows = max(1, self._block // (self.n_entities * width))
        order = torch.argsort(r, stable=True)
        relations, counts = torch.unique_consecutive(r[order], return_counts=True)
        for relation, queries in zip(relations, order.split(counts.tolist()), strict=True):
            composed = self._model.queries(everything, relation.expand(self.n_entities))
            for begin in range(0, self.n_entities, width):
                entities = self._model.entity[begin : begin + width]
                scores = self._model.score_entities(composed, entities)
                prepared = self._logic.prepare(self._without_nan(scores))
                for part in queries.split(rows):
                    some = self._logic.some(truth[part], prepared.unsqueeze(0))
                    found[part, begin : begin + width] = some
        return found
