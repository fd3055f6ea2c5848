"""Queries drawn at random from the edges of a graph, all of a structure at once.

A query is grounded from an entity backwards: an edge into it gives the last relation, its head
stands for what is projected, and so on down to the anchors. So every query has an answer. Which of
its edges have to be held-out ones is drawn first, which makes hard answers frequent and lets
queries be chosen by how many held-out edges they need.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from aswa.queries.algebra import Anchor, Expression, Intersection, Negation, Projection, Union
from aswa.queries.traversal import Edges


@dataclass
class _Grounded:
    """Columns of a grounded part; where it is a projection, the head and relation of its edge."""

    columns: list[Tensor]
    head: Tensor | None = None
    relation: Tensor | None = None


class Drawing:
    """Candidates for queries of one structure.

    Args:
        edges: of the graph, held-out ones among them; held_out: those alone.
    """

    def __init__(self, structure: Expression, edges: Edges, held_out: Edges) -> None:
        self._structure, self._edges, self._held_out = structure, edges, held_out
        self.n_positive = len(_positive_projections(structure))

    def draw(self, n: int, generator: torch.Generator) -> Tensor:
        """Rows of queries, int64 [at most n, columns]; those that came out senseless are left out.

        Senseless are equal members of one intersection or union, and a step that goes back along
        the relation it came by, which would have its start among the answers without any evidence.
        """
        self._generator, self._sound = generator, torch.ones(n, dtype=torch.bool)
        # How many projections need a held-out edge, evenly from one to all; then, which.
        needed = 1 + torch.randint(self.n_positive, (n, 1), generator=generator)
        rank = torch.rand(n, self.n_positive, generator=generator).argsort(1).argsort(1)
        self._forced = iter((rank < needed).unbind(1))
        grounded = self._ground(self._structure, self._any(n), forced=True)
        return torch.stack(grounded.columns, 1)[self._sound]

    def _any(self, n: int) -> Tensor:
        return torch.randint(self._edges.n_entities, (n,), generator=self._generator)

    def _ground(self, of: Expression, target: Tensor, forced: bool) -> _Grounded:
        if isinstance(of, Anchor):
            return _Grounded([target])
        if isinstance(of, Projection):
            return self._ground_projection(of, target, forced)
        if isinstance(of, Negation):  # not in an intersection: takes away what it may
            return self._ground(of.of, target, False)
        assert isinstance(of, (Intersection, Union))
        return self._ground_members(of, target, forced)

    def _ground_projection(self, of: Projection, target: Tensor, forced: bool) -> _Grounded:
        head, relation, found = self._edges.draw_into(target, self._generator)
        if forced:
            must = next(self._forced)
            other, by, there = self._held_out.draw_into(target, self._generator)
            head, relation = torch.where(must, other, head), torch.where(must, by, relation)
            found = torch.where(must, there, found)
        self._sound &= found
        inner = self._ground(of.of, head, forced)
        if isinstance(of.of, Projection):
            assert inner.relation is not None
            self._sound &= inner.relation != self._edges.inverse(relation)
        return _Grounded([*inner.columns, relation], head, relation)

    def _ground_members(self, of: Intersection | Union, target: Tensor, forced: bool) -> _Grounded:
        """All members of an intersection have the target in them, of a union one that is drawn."""
        grounded: list[_Grounded | None] = [None] * len(of.members)
        if isinstance(of, Union):
            lucky = torch.randint(len(of.members), target.shape, generator=self._generator)
        for i, member in enumerate(of.members):
            if isinstance(of, Union):
                aim = torch.where(lucky == i, target, self._any(len(target)))
                grounded[i] = self._ground(member, aim, forced)
            elif not isinstance(member, Negation):
                grounded[i] = self._ground(member, target, forced)
        positive = [part for part in grounded if part is not None]
        for i, member in enumerate(of.members):
            if grounded[i] is None:
                assert isinstance(member, Negation)
                grounded[i] = self._ground(member.of, self._sibling(target, positive), False)
        parts = [part.columns for part in grounded if part is not None]
        self._sort_members(of.members, parts)
        return _Grounded([column for part in parts for column in part])

    def _sibling(self, target: Tensor, positive: list[_Grounded]) -> Tensor:
        """Another answer of a positive member, for a negation to take away."""
        for part in positive:
            if part.head is not None and part.relation is not None:
                there = self._sound.nonzero().squeeze(1)  # elsewhere the edge does not exist
                other = target.clone()
                h, r = part.head[there], part.relation[there]
                other[there] = self._edges.draw_tail(h, r, self._generator)
                self._sound &= other != target
                return other
        return self._any(len(target))

    def _sort_members(self, members: tuple[Expression, ...], parts: list[list[Tensor]]) -> None:
        """Members of one structure in the order of their names: equal queries have equal rows."""
        for kind in dict.fromkeys(members):
            alike = [i for i, member in enumerate(members) if member == kind]
            bare = kind.of if isinstance(kind, Negation) else kind
            same = [i for i, m in enumerate(members) if m in (bare, Negation(bare))]
            rows = torch.stack([torch.stack(parts[i], 1) for i in same], 1)
            _, number = torch.unique(rows.flatten(0, 1), dim=0, return_inverse=True)
            number = number.view(len(rows), len(same))
            in_order, _ = number.sort(1)
            self._sound &= (in_order[:, 1:] != in_order[:, :-1]).all(1)
            places = [same.index(i) for i in alike]
            order = number[:, places].argsort(1)
            chosen = rows[:, places].gather(1, order[:, :, None].expand(-1, -1, rows.shape[2]))
            for j, i in enumerate(alike):
                parts[i] = list(chosen[:, j].unbind(1))


def _positive_projections(of: Expression) -> list[Projection]:
    """Those under no negation, in the order in which they are grounded."""
    if isinstance(of, Negation):
        return []
    own = [of] if isinstance(of, Projection) else []
    return own + [found for child in of.children for found in _positive_projections(child)]
