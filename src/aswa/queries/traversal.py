"""Exact answers of logical queries over a graph, by following its edges."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from aswa.data.knowledge_graph import TailIndex
from aswa.queries.algebra import Anchor, Expression, Intersection, Negation, Projection

# Edges of an entity that is no answer: more than any query has. Sums of a few fit in int16.
NONE = 2**10


class Edges:
    """Known and held-out edges, to be followed from head to tail or drawn from.

    Args:
        triples: int64 [n, 3], known, with reciprocals: r⁻¹ of r < n_relations / 2 is
            r + n_relations / 2.
        held_out: int64 [m, 3], which cost 1 each; an edge that is known as well costs 0.
        n_entities, n_relations: numbers of ids; reciprocal relations count.
    """

    def __init__(
        self, triples: Tensor, held_out: Tensor, n_entities: int, n_relations: int
    ) -> None:
        self.n_entities, self.n_relations = n_entities, n_relations
        self.index = TailIndex(torch.cat([triples, held_out]), n_relations)
        known = _keys(triples, n_entities, n_relations)
        keys = _keys(self.index.triples(), n_entities, n_relations)
        self.cost = (~torch.isin(keys, known)).to(torch.int16)  # of each tail of the index
        place = torch.full((n_entities * n_relations,), -1, dtype=torch.int32)
        place[self.index.h * n_relations + self.index.r] = torch.arange(
            len(self.index), dtype=torch.int32
        )
        self._place = place  # of (h, r) among the pairs of the index
        # The edges of an entity stand together.
        self._r = self.index.r.repeat_interleave(self.index.starts.diff())
        of_pair = torch.searchsorted(self.index.h, torch.arange(n_entities + 1))
        self._first = self.index.starts[of_pair]

    def follow(self, h: Tensor, r: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """All edges from h [B] along r [B]: which of the B [K], tail [K] and cost [K]."""
        place = self._place[h * self.n_relations + r].long()
        there = (place >= 0).nonzero().squeeze(1)
        pairs = place[there]
        counts = self.index.starts[pairs + 1] - self.index.starts[pairs]
        row = torch.repeat_interleave(counts)
        within = torch.arange(len(row)) - (counts.cumsum(0) - counts)[row]
        edge = self.index.starts[pairs][row] + within
        return there[row], self.index.tails[edge], self.cost[edge]

    def held_out(self) -> Edges | None:
        """The held-out edges alone; None without any."""
        triples = self.index.triples()[self.cost > 0]
        if not len(triples):
            return None
        return Edges(triples, triples[:0], self.n_entities, self.n_relations)

    def draw_into(self, t: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
        """An edge into each t [B], drawn evenly: head, relation, and whether t has an edge.

        The edges into an entity are those out of it, reversed.
        """
        n = self._first[t + 1] - self._first[t]
        edge = (self._first[t] + _below(n, generator)).clamp_(max=len(self._r) - 1)
        return self.index.tails[edge], self.inverse(self._r[edge]), n > 0

    def draw_tail(self, h: Tensor, r: Tensor, generator: torch.Generator) -> Tensor:
        """A tail of each pair h [B], r [B], which must have an edge, drawn evenly."""
        pair = self.index.find(h, r)
        first = self.index.starts[pair]
        n = self.index.starts[pair + 1] - first
        return self.index.tails[first + _below(n, generator)]

    def inverse(self, r: Tensor) -> Tensor:
        """The reciprocal of each r [B]."""
        return (r + self.n_relations // 2) % self.n_relations


def _below(n: Tensor, generator: torch.Generator) -> Tensor:
    """A whole number below each n [B]; 0 where n is 0."""
    return (torch.rand(len(n), generator=generator, dtype=torch.float64) * n).long()


def _keys(triples: Tensor, n_entities: int, n_relations: int) -> Tensor:
    h, r, t = triples.unbind(1)
    return (h * n_relations + r) * n_entities + t


def held_out_edges(structure: Expression, queries: Tensor, edges: Edges) -> Tensor:
    """The held-out edges that each entity needs to be an answer: int16 [B, n_entities].

    The least number over all derivations; `NONE` without a derivation. The members of an
    intersection add up. Negation follows all edges and needs none. The answers over all edges are
    the entities below `NONE`.

    Args:
        queries: int64 [B, columns], see `aswa.queries.algebra.columns`.
    """
    return _traverse(structure, iter(queries.unbind(1)), edges)


def _traverse(expression: Expression, columns: Iterator[Tensor], edges: Edges) -> Tensor:
    if isinstance(expression, Anchor):
        anchor = next(columns).unsqueeze(1)
        found = torch.full((len(anchor), edges.n_entities), NONE, dtype=torch.int16)
        return found.scatter_(1, anchor, 0)
    parts = [_traverse(child, columns, edges) for child in expression.children]
    if isinstance(expression, Projection):
        return _project(parts[0], next(columns), edges)
    if isinstance(expression, Negation):
        return torch.where(parts[0] < NONE, NONE, 0).to(torch.int16)
    if isinstance(expression, Intersection):
        return torch.stack(parts).sum(0).clamp_(max=NONE).to(torch.int16)
    return torch.stack(parts).amin(0)


def _project(heads: Tensor, r: Tensor, edges: Edges) -> Tensor:
    query, h = (heads < NONE).nonzero().unbind(1)
    at, t, cost = edges.follow(h, r[query])
    query, h = query[at], h[at]
    found = torch.full_like(heads, NONE).view(-1)
    place = query * edges.n_entities + t
    found.scatter_reduce_(0, place, heads[query, h] + cost, "amin")
    return found.view_as(heads)


def answers(
    structure: Expression, queries: Tensor, edges: Edges, known: Edges
) -> tuple[Tensor, Tensor, Tensor]:
    """Easy and hard answers of queries.

    An answer over all edges is easy if the known edges alone give it, and hard otherwise.

    Args:
        edges: known and held out.
        known: without those that are held out.

    Returns:
        needed: int16 [B, n_entities], see `held_out_edges`; easy, hard: bool [B, n_entities].
    """
    needed = held_out_edges(structure, queries, edges)
    before = held_out_edges(structure, queries, known) < NONE
    now = needed < NONE
    return needed, now & before, now & ~before
