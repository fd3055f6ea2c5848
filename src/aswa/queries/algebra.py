"""The algebra of logical queries, and the structures that are declared in it.

A query asks for the entities in a set that is built from single entities by projection along a
relation, intersection, union and negation. Its structure is the expression without the names: here
fourteen, as in BetaE (Ren and Leskovec, NeurIPS 2020); a fifteenth is one more line.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from dataclasses import dataclass


class Expression:
    """A set of entities, described up to the names of entities and relations."""

    def __and__(self, other: Expression) -> Intersection:
        return Intersection((*_parts(self, Intersection), *_parts(other, Intersection)))

    def __or__(self, other: Expression) -> Union:
        return Union((*_parts(self, Union), *_parts(other, Union)))

    def __invert__(self) -> Negation:
        return Negation(self)

    @property
    def children(self) -> tuple[Expression, ...]:
        """The sets that it is made of, from left to right."""
        return ()

    def walk(self) -> Iterator[Expression]:
        """All its parts and itself; what a part is made of comes before it."""
        for child in self.children:
            yield from child.walk()
        yield self


@dataclass(frozen=True)
class Anchor(Expression):
    """One entity, named by the query."""


@dataclass(frozen=True)
class Projection(Expression):
    """Every t with r(x, t) for some x of `of`; the relation r is named by the query."""

    of: Expression

    @property
    def children(self) -> tuple[Expression, ...]:
        return (self.of,)


@dataclass(frozen=True)
class Intersection(Expression):
    """What is in all members."""

    members: tuple[Expression, ...]

    @property
    def children(self) -> tuple[Expression, ...]:
        return self.members


@dataclass(frozen=True)
class Union(Expression):
    """What is in some member."""

    members: tuple[Expression, ...]

    @property
    def children(self) -> tuple[Expression, ...]:
        return self.members


@dataclass(frozen=True)
class Negation(Expression):
    """All entities that are not in `of`."""

    of: Expression

    @property
    def children(self) -> tuple[Expression, ...]:
        return (self.of,)


def _parts(of: Expression, kind: type[Intersection] | type[Union]) -> tuple[Expression, ...]:
    return of.members if isinstance(of, kind) else (of,)


e, p = Anchor(), Projection

STRUCTURES: dict[str, Expression] = {
    "1p": p(e),
    "2p": p(p(e)),
    "3p": p(p(p(e))),
    "2i": p(e) & p(e),
    "3i": p(e) & p(e) & p(e),
    "ip": p(p(e) & p(e)),
    "pi": p(p(e)) & p(e),
    "2u": p(e) | p(e),
    "up": p(p(e) | p(e)),
    "2in": p(e) & ~p(e),
    "3in": p(e) & p(e) & ~p(e),
    "inp": p(p(e) & ~p(e)),
    "pin": p(p(e)) & ~p(e),
    "pni": ~p(p(e)) & p(e),
}


class UnknownStructure(ValueError):
    """A name that no structure has; says which there are."""


def structure(name: str) -> Expression:
    """The structure of that name.

    Raises:
        UnknownStructure: there is none.
    """
    if name not in STRUCTURES:
        near = difflib.get_close_matches(str(name), STRUCTURES, n=1, cutoff=0.5)
        hint = f"did you mean {near[0]!r}? " if near else ""
        raise UnknownStructure(
            f"{name!r} is no query structure; {hint}(there are: {', '.join(STRUCTURES)})"
        )
    return STRUCTURES[name]


def columns(of: Expression) -> str:
    """What a query of this structure names, in order: a letter e or r for each entity or relation.

    The order is that of `walk`: `2p` has `err`, `pi` has `errer`. Queries of one structure are the
    rows of an int64 matrix with these columns.
    """
    letters = {Anchor: "e", Projection: "r"}
    return "".join(letters.get(type(part), "") for part in of.walk())


def has_negation(of: Expression) -> bool:
    """Whether there is a negation anywhere in it; those without are EPFO queries."""
    return any(isinstance(part, Negation) for part in of.walk())


def most_needed(of: Expression) -> int:
    """How many held-out edges an answer can need at most; under a negation none are needed."""
    if isinstance(of, (Anchor, Negation)):
        return 0
    of_children = [most_needed(child) for child in of.children]
    if isinstance(of, Projection):
        return 1 + of_children[0]
    return min(of_children) if isinstance(of, Union) else sum(of_children)


def without_negation(of: Expression) -> Expression | None:
    """The same with every negated member of an intersection left out; None if that is not it.

    What a negation takes away is the difference between the two. None where nothing would be left,
    or where a negation is no member of an intersection.
    """
    if isinstance(of, Anchor):
        return of
    if isinstance(of, Negation):
        return None
    kept = [m for m in of.children if not (type(of) is Intersection and isinstance(m, Negation))]
    members = [without_negation(member) for member in kept]
    if not members or any(member is None for member in members):
        return None
    positive = tuple(member for member in members if member is not None)
    if isinstance(of, Projection):
        return Projection(positive[0])
    assert isinstance(of, (Intersection, Union))
    return positive[0] if len(positive) == 1 else type(of)(positive)
