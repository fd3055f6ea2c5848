"""Queries drawn at random from the edges of a graph, all of a structure at once.

A query is grounded from one of its answers backwards: an edge into an entity gives the last
relation, the head of the edge an entity of what is projected, down to the anchors. The edges that
must be held out are drawn first: hard answers are frequent, and queries can be chosen by the number
of held-out edges that they need.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import torch
from torch import Tensor

from aswa.queries.algebra import Anchor, Expression, Negation, Projection, Union
from aswa.queries.traversal import Edges


class _Grounded(NamedTuple):
    """Columns of a grounded part; of a projection, whose relation is the last, also its head."""

    columns: list[Tensor]
    head: Tensor | None = None


class Drawing:
    """Candidates for queries of one structure.

    Args:
        edges: of the graph, known and held out.
        held_out: those alone.
    """

    def __init__(self, structure: Expression, edges: Edges, held_out: Edges) -> None:
        self._structure, self._edges, self._held_out = structure, edges, held_out
        self._n_positive = _positive_projections(structure)

    def draw(self, n: int, generator: torch.Generator) -> Tensor:
        """Rows of queries, int64 [at most n, columns], without senseless ones.

        Equal members of an intersection or union are senseless; so is a step back along the
        relation of the step before, which has the start among its answers without any evidence.
        """
        self._generator, self._sensible = generator, torch.ones(n, dtype=torch.bool)
        # The number of projections on a held-out edge, evenly from one to all; then, which.
        needed = 1 + torch.randint(self._n_positive, (n, 1), generator=generator)
        rank = torch.rand(n, self._n_positive, generator=generator).argsort(1).argsort(1)
        self._forced = iter((rank < needed).unbind(1))
        grounded = self._ground(self._structure, self._any(n), forced=True)
        return torch.stack(grounded.columns, 1)[self._sensible]

    def _any(self, n: int) -> Tensor:
        return torch.randint(self._edges.n_entities, (n,), generator=self._generator)

    def _ground(self, expression: Expression, target: Tensor, forced: bool) -> _Grounded:
        if isinstance(expression, Anchor):
            return _Grounded([target])
        if isinstance(expression, Projection):
            return self._ground_projection(expression.children[0], target, forced)
        if isinstance(expression, Negation):
            return _Grounded(self._ground(expression.children[0], target, False).columns)
        ground = self._ground_union if isinstance(expression, Union) else self._ground_intersection
        parts = ground(expression.children, target, forced)
        self._sort_members(expression.children, parts)
        return _Grounded([column for part in parts for column in part])

    def _ground_projection(self, operand: Expression, target: Tensor, forced: bool) -> _Grounded:
        head, relation, found = self._edges.draw_into(target, self._generator)
        if forced:
            must = next(self._forced)
            other, by, there = self._held_out.draw_into(target, self._generator)
            head, relation = torch.where(must, other, head), torch.where(must, by, relation)
            found = torch.where(must, there, found)
        self._sensible &= found
        columns = self._ground(operand, head, forced).columns
        if isinstance(operand, Projection):
            self._sensible &= columns[-1] != self._edges.inverse(relation)
        return _Grounded([*columns, relation], head)

    def _ground_union(
        self, members: tuple[Expression, ...], target: Tensor, forced: bool
    ) -> list[list[Tensor]]:
        """The target is in a drawn member."""
        lucky = torch.randint(len(members), target.shape, generator=self._generator)
        parts = []
        for i, member in enumerate(members):
            aim = torch.where(lucky == i, target, self._any(len(target)))
            parts.append(self._ground(member, aim, forced).columns)
        return parts

    def _ground_intersection(
        self, members: tuple[Expression, ...], target: Tensor, forced: bool
    ) -> list[list[Tensor]]:
        """The target is in all members; negations come last, to take away another entity."""
        grounded: dict[int, _Grounded] = {}
        for i in sorted(range(len(members)), key=lambda i: isinstance(members[i], Negation)):
            aim = target
            if isinstance(members[i], Negation):
                aim = self._sibling(target, grounded.values())
            grounded[i] = self._ground(members[i], aim, forced)
        return [grounded[i].columns for i in range(len(members))]

    def _sibling(self, target: Tensor, members: Iterable[_Grounded]) -> Tensor:
        """Another answer of a positive member, for a negation to take away."""
        for part in members:
            if part.head is not None:
                there = self._sensible.nonzero().squeeze(1)  # where the edge exists
                other = target.clone()
                h, r = part.head[there], part.columns[-1][there]
                other[there] = self._edges.draw_tail(h, r, self._generator)
                self._sensible &= other != target
                return other
        return self._any(len(target))

    def _sort_members(self, members: tuple[Expression, ...], parts: list[list[Tensor]]) -> None:
        """Sort members of one structure by their names, so that equal queries have equal rows."""
        for kind in dict.fromkeys(members):
            alike = [i for i, member in enumerate(members) if member == kind]
            bare = kind.children[0] if isinstance(kind, Negation) else kind
            same = [i for i, m in enumerate(members) if m in (bare, ~bare)]
            rows = torch.stack([torch.stack(parts[i], 1) for i in same], 1)
            _, number = torch.unique(rows.flatten(0, 1), dim=0, return_inverse=True)
            number = number.view(len(rows), len(same))
            in_order, _ = number.sort(1)
            self._sensible &= (in_order[:, 1:] != in_order[:, :-1]).all(1)
            places = [same.index(i) for i in alike]
            order = number[:, places].argsort(1)
            chosen = rows[:, places].gather(1, order[:, :, None].expand(-1, -1, rows.shape[2]))
            for j, i in enumerate(alike):
                parts[i] = list(chosen[:, j].unbind(1))


def _positive_projections(expression: Expression) -> int:
    """How many are under no negation."""
    if isinstance(expression, Negation):
        return 0
    below = sum(map(_positive_projections, expression.children))
    return below + isinstance(expression, Projection)
