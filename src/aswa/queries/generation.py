"""Queries drawn from a graph, with their easy and hard answers."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from aswa.data.knowledge_graph import KnowledgeGraph
from aswa.queries.algebra import (
    Anchor,
    Expression,
    Negation,
    Projection,
    columns,
    most_needed,
    structure,
    without_negation,
)
from aswa.queries.drawing import Drawing
from aswa.queries.traversal import NONE, Edges, answers, held_out_edges

CANDIDATES = 2**10  # in a draw
MAX_IDLE_DRAWS = 32  # without a new query, after which the graph has no more
MAX_CANDIDATES = 32  # of each wanted query, after which depths stay out of balance
NUMBERS_HELD = 2**23  # of a matrix [queries, entities]


@dataclass(frozen=True)
class Answers:
    """Entities by query: those of query i are `entities[starts[i]:starts[i + 1]]`, sorted.

    Attributes:
        starts: int64 [n + 1]; entities: int64 [K].
    """

    starts: Tensor
    entities: Tensor

    def counts(self) -> Tensor:
        """Answers of each query, int64 [n]."""
        return self.starts.diff()

    def query(self) -> Tensor:
        """The query of each answer, int64 [K]."""
        return torch.repeat_interleave(self.counts())

    @staticmethod
    def of(query: Tensor, entities: Tensor, n: int) -> Answers:
        """From pairs (query [K], entity [K]) in the order of the n queries."""
        counts = torch.bincount(query, minlength=n)
        return Answers(torch.cat([counts.new_zeros(1), counts.cumsum(0)]), entities)


@dataclass(frozen=True)
class Queries:
    """Queries of one structure.

    Attributes:
        structure: its name.
        rows: int64 [n, columns], see `aswa.queries.algebra.columns`.
        easy, hard: answers; a hard one needs a held-out edge, an easy one does not.
        needed: int64 [hard answers], the least number of held-out edges of each; empty for queries
            from files.
        drawn: candidates looked at; 0 for queries from files.
    """

    structure: str
    rows: Tensor
    easy: Answers
    hard: Answers
    needed: Tensor
    drawn: int = 0

    def __len__(self) -> int:
        return len(self.rows)


class Sampler:
    """Draws queries whose answers need edges of a split.

    For `valid` the triples of train are known, for `test` those of train and valid. The other
    triples of the split are held out.

    Args:
        graph: with reciprocals.
        split: `valid` or `test`.
        seed: of the drawing; each structure has random numbers of its own.
        max_answers: most answers of a query, easy and hard together.
    """

    def __init__(
        self, graph: KnowledgeGraph, split: str, seed: int = 0, max_answers: int = 100
    ) -> None:
        known = graph.train if split == "valid" else torch.cat([graph.train, graph.valid])
        size = (len(graph.entities), len(graph.relations))
        self._edges = Edges(known, getattr(graph, split), *size)
        self._known = Edges(known, known[:0], *size)
        self._held_out = self._edges.held_out()
        self._split, self._seed, self._max_answers = split, seed, max_answers

    def draw(self, name: str, n: int) -> Queries:
        """Up to n different queries of one structure; fewer where the graph has no more.

        Each has at least one hard answer, and its negation takes an answer away. Queries whose
        hardest answer needs 1, 2, … held-out edges are as equal in number as possible.

        Raises:
            UnknownStructure: no structure has this name.
        """
        shape = structure(name)
        text = f"{self._seed} {self._split} {name}"
        number = int.from_bytes(hashlib.sha256(text.encode()).digest()[:8]) >> 1
        generator = torch.Generator().manual_seed(number)
        if self._held_out is None:
            return _chosen(name, _Found.none(shape), 0, 0)
        drawing = Drawing(shape, self._edges, self._held_out)
        deepest = most_needed(shape)
        quota = -(-n // deepest)
        found, seen = _Found.none(shape), set[tuple[int, ...]]()
        drawn = idle = 0
        while idle < MAX_IDLE_DRAWS:
            counts = torch.bincount(found.depth, minlength=deepest + 1)[1:]
            if len(found.rows) >= n and (int(counts.min()) >= quota or drawn >= MAX_CANDIDATES * n):
                break
            rows = drawing.draw(CANDIDATES, generator)
            drawn += CANDIDATES
            # In the order of drawing, so that a prefix is a sample of all.
            new = [row for row in dict.fromkeys(map(tuple, rows.tolist())) if row not in seen]
            seen.update(new)
            fresh = torch.tensor(new, dtype=torch.int64).view(-1, rows.shape[1])
            more = self._with_answers(shape, fresh)
            idle = 0 if len(more.rows) else idle + 1
            found = found.and_then(more)
        return _chosen(name, found, n, drawn)

    def _with_answers(self, shape: Expression, rows: Tensor) -> _Found:
        """The queries with hard answers, not too many answers, and a negation that counts."""
        positive = without_negation(shape)
        found = _Found.none(shape)
        size = max(1, NUMBERS_HELD // self._edges.n_entities)
        for part in rows.split(size):
            needed, easy, hard = answers(shape, part, self._edges, self._known)
            n = (easy | hard).sum(1)
            good = hard.any(1) & (n <= self._max_answers)
            if positive is not None and positive != shape:
                good[good.clone()] = self._counts(shape, positive, part[good])
            found = found.and_then(_Found.of(part[good], needed[good], easy[good], hard[good]))
        return found

    def _counts(self, shape: Expression, positive: Expression, rows: Tensor) -> Tensor:
        """Whether the query has more answers without the negation, bool [n]."""
        kept = [i for i, under in enumerate(_under_negation(shape)) if not under]
        without = held_out_edges(positive, rows[:, kept], self._edges) < NONE
        with_negation = held_out_edges(shape, rows, self._edges) < NONE
        return (without & ~with_negation).any(1)


@dataclass(frozen=True)
class _Found:
    """Queries with their answers, in the order of drawing.

    Attributes:
        rows: int64 [n, columns].
        depth: int64 [n], held-out edges that the hardest answer needs.
        easy, hard: int64 [2, K], query and entity.
        needed: int64 [K of hard].
    """

    rows: Tensor
    depth: Tensor
    easy: Tensor
    hard: Tensor
    needed: Tensor

    @staticmethod
    def none(shape: Expression) -> _Found:
        empty = torch.empty(0, dtype=torch.int64)
        pairs = empty.view(2, 0)
        return _Found(empty.view(0, len(columns(shape))), empty, pairs, pairs, empty)

    @staticmethod
    def of(rows: Tensor, needed: Tensor, easy: Tensor, hard: Tensor) -> _Found:
        depth = torch.where(hard, needed, 0).amax(1).long() if len(rows) else rows.new_empty(0)
        return _Found(rows, depth, easy.nonzero().T, hard.nonzero().T, needed[hard].long())

    def and_then(self, more: _Found) -> _Found:
        shift = torch.tensor([[len(self.rows)], [0]])
        return _Found(
            torch.cat([self.rows, more.rows]),
            torch.cat([self.depth, more.depth]),
            torch.cat([self.easy, more.easy + shift], 1),
            torch.cat([self.hard, more.hard + shift], 1),
            torch.cat([self.needed, more.needed]),
        )


def _chosen(name: str, found: _Found, n: int, drawn: int) -> Queries:
    """n of the queries, evenly by depth: the first of each depth, then the second of each, …"""
    turn = torch.empty_like(found.depth)
    for depth in found.depth.unique():
        of_depth = found.depth == depth
        turn[of_depth] = torch.arange(int(of_depth.sum()))
    chosen = torch.argsort(turn, stable=True)[:n].sort().values
    place = torch.full((len(found.rows),), -1)
    place[chosen] = torch.arange(len(chosen))

    def kept(pairs: Tensor) -> tuple[Tensor, Answers]:
        query = place[pairs[0]]
        there = query >= 0
        return there, Answers.of(query[there], pairs[1][there], len(chosen))

    hard_there, hard = kept(found.hard)
    return Queries(
        structure=name,
        rows=found.rows[chosen],
        easy=kept(found.easy)[1],
        hard=hard,
        needed=found.needed[hard_there],
        drawn=drawn,
    )


def _under_negation(expression: Expression, under: bool = False) -> Iterator[bool]:
    """For each column of a structure, whether it is under a negation."""
    for child in expression.children:
        yield from _under_negation(child, under or isinstance(expression, Negation))
    if isinstance(expression, (Anchor, Projection)):
        yield under
