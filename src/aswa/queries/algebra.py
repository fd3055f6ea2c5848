"""The algebra of logical queries, and the structures declared in it. Imports no torch.

A query describes a set of entities, built from single entities by projection along a relation,
intersection, union and negation. A structure is a query without its names: fourteen as in BetaE
(Ren and Leskovec, NeurIPS 2020). A fifteenth is one more line.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True)
class Expression:
    """A set of entities, up to the names of entities and relations.

    Attributes:
        children: its operands, from left to right.
    """

    children: tuple[Expression, ...] = ()

    def __and__(self, other: Expression) -> Expression:
        return Intersection(_operands(Intersection, self) + _operands(Intersection, other))

    def __or__(self, other: Expression) -> Expression:
        return Union(_operands(Union, self) + _operands(Union, other))

    def __invert__(self) -> Expression:
        return Negation((self,))

    def walk(self) -> Iterator[Expression]:
        """All its parts and itself, operands first."""
        for child in self.children:
            yield from child.walk()
        yield self


class Anchor(Expression):
    """One entity, named by the query."""


class Projection(Expression):
    """Every t with r(x, t) for some x of the operand; the query names the relation r."""


class Intersection(Expression):
    """Entities of all operands."""


class Union(Expression):
    """Entities of at least one operand."""


class Negation(Expression):
    """All entities but those of the operand."""


def _operands(kind: type[Expression], expression: Expression) -> tuple[Expression, ...]:
    return expression.children if isinstance(expression, kind) else (expression,)


def p(operand: Expression) -> Expression:
    """The projection of `operand`."""
    return Projection((operand,))


e = Anchor()

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
    """No structure has this name; the message lists the names."""


def structure(name: str) -> Expression:
    """The structure called `name`.

    Raises:
        UnknownStructure: no structure has this name.
    """
    if name not in STRUCTURES:
        near = difflib.get_close_matches(str(name), STRUCTURES, n=1, cutoff=0.5)
        hint = f"did you mean {near[0]!r}? " if near else ""
        raise UnknownStructure(
            f"{name!r} is no query structure; {hint}(there are: {', '.join(STRUCTURES)})"
        )
    return STRUCTURES[name]


def columns(expression: Expression) -> str:
    """A letter e or r for each entity or relation that a query names, in the order of `walk`.

    `2p` has `err`, `pi` has `errer`. Queries of one structure are the rows of an int64 matrix with
    these columns.
    """
    letters = {Anchor: "e", Projection: "r"}
    return "".join(letters.get(type(part), "") for part in expression.walk())


def has_negation(expression: Expression) -> bool:
    """Whether the structure has a negation; EPFO queries have none."""
    return any(isinstance(part, Negation) for part in expression.walk())


def most_needed(expression: Expression) -> int:
    """The most held-out edges that an answer can need; a negation needs none."""
    if isinstance(expression, (Anchor, Negation)):
        return 0
    counts = [most_needed(child) for child in expression.children]
    if isinstance(expression, Projection):
        return 1 + counts[0]
    return min(counts) if isinstance(expression, Union) else sum(counts)


def without_negation(expression: Expression) -> Expression | None:
    """The structure without the negated members of its intersections.

    The difference in answers is what the negations take away. None where nothing would be left, or
    where a negation is no member of an intersection.
    """
    if isinstance(expression, Negation):
        return None
    kept = expression.children
    if isinstance(expression, Intersection):
        kept = tuple(member for member in kept if not isinstance(member, Negation))
    positive = tuple(part for part in map(without_negation, kept) if part is not None)
    if len(positive) < len(kept) or (expression.children and not kept):
        return None
    is_alone = isinstance(expression, Intersection) and len(positive) == 1
    return positive[0] if is_alone else type(expression)(positive)
