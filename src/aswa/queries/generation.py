"""Queries drawn from a graph, with their easy and hard answers."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, replace

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

    def among(self, chosen: Tensor) -> Answers:
        """Answers of the chosen queries alone; `chosen` is bool [n]."""
        return Answers.counted(self.counts()[chosen], self.entities[chosen[self.query()]])

    @staticmethod
    def of(query: Tensor, entities: Tensor, n: int) -> Answers:
        """From pairs (query [K], entity [K]) in the order of the n queries."""
        return Answers.counted(torch.bincount(query, minlength=n), entities)

    @staticmethod
    def counted(counts: Tensor, entities: Tensor) -> Answers:
        """From the number of answers of each query [n] and the entities [K] in their order."""
        return Answers(torch.cat([counts.new_zeros(1), counts.cumsum(0)]), entities)

    @staticmethod
    def joined(parts: list[Answers]) -> Answers:
        """Of all queries of the parts."""
        counts, entities = [part.counts() for part in parts], [part.entities for part in parts]
        return Answers.counted(torch.cat(counts), torch.cat(entities))


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

    def depth(self) -> Tensor:
        """Held-out edges that the hardest answer of each query needs, int64 [n]."""
        depth = torch.zeros(len(self), dtype=torch.int64)
        return depth.scatter_reduce_(0, self.hard.query(), self.needed, "amax")


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
        found = self._with_answers(name, torch.empty(0, len(columns(shape)), dtype=torch.int64))
        if self._held_out is None:
            return found
        drawing = Drawing(shape, self._edges, self._held_out)
        deepest = most_needed(shape)
        quota = -(-n // deepest)
        seen = set[tuple[int, ...]]()
        drawn = idle = 0
        while idle < MAX_IDLE_DRAWS:
            counts = torch.bincount(found.depth(), minlength=deepest + 1)[1:]
            if len(found) >= n and (int(counts.min()) >= quota or drawn >= MAX_CANDIDATES * n):
                break
            rows = drawing.draw(CANDIDATES, generator)
            drawn += CANDIDATES
            # In the order of drawing, so that a prefix is a sample of all.
            new = [row for row in dict.fromkeys(map(tuple, rows.tolist())) if row not in seen]
            seen.update(new)
            fresh = torch.tensor(new, dtype=torch.int64).view(-1, rows.shape[1])
            more = self._with_answers(name, fresh)
            idle = 0 if len(more) else idle + 1
            found = _joined([found, more])
        return replace(_evenly_by_depth(found, n), drawn=drawn)

    def _with_answers(self, name: str, rows: Tensor) -> Queries:
        """The queries with hard answers, not too many answers, and a negation that counts."""
        shape = structure(name)
        positive = without_negation(shape)
        kept = [i for i, under in enumerate(_under_negation(shape)) if not under]
        parts = []
        for part in rows.split(max(1, NUMBERS_HELD // self._edges.n_entities)):
            needed, easy, hard = answers(shape, part, self._edges, self._known)
            now = easy | hard
            good = hard.any(1) & (now.sum(1) <= self._max_answers)
            if positive not in (None, shape):
                without = held_out_edges(positive, part[good][:, kept], self._edges) < NONE
                good[good.clone()] = (without & ~now[good]).any(1)
            lists = [
                Answers.counted(mask.sum(1), mask.nonzero()[:, 1])
                for mask in (easy[good], hard[good])
            ]
            of_hard = needed[good][hard[good]].long()
            parts.append(Queries(name, part[good], lists[0], lists[1], of_hard))
        return _joined(parts)


def _joined(parts: list[Queries]) -> Queries:
    return Queries(
        parts[0].structure,
        torch.cat([part.rows for part in parts]),
        Answers.joined([part.easy for part in parts]),
        Answers.joined([part.hard for part in parts]),
        torch.cat([part.needed for part in parts]),
    )


def _evenly_by_depth(queries: Queries, n: int) -> Queries:
    """n of the queries: the first of each depth, then the second of each, …"""
    depths = queries.depth()
    turn = torch.empty_like(depths)
    for depth, count in zip(*depths.unique(return_counts=True), strict=True):
        turn[depths == depth] = torch.arange(int(count))
    chosen = torch.zeros(len(queries), dtype=torch.bool)
    chosen[torch.argsort(turn, stable=True)[:n]] = True
    return Queries(
        queries.structure,
        queries.rows[chosen],
        queries.easy.among(chosen),
        queries.hard.among(chosen),
        queries.needed[chosen[queries.hard.query()]],
    )


def _under_negation(expression: Expression, under: bool = False) -> Iterator[bool]:
    """For each column of a structure, whether it is under a negation."""
    for child in expression.children:
        yield from _under_negation(child, under or isinstance(expression, Negation))
    if isinstance(expression, (Anchor, Projection)):
        yield under
