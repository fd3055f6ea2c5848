"""Slow, readable twins of query answering, by Python's sets and numbers."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from aswa.queries.algebra import Anchor, Expression, Intersection, Negation, Projection

Triple = tuple[int, int, int]


def sets(
    expression: Expression, row: Sequence[int], triples: Iterable[Sequence[int]], n: int
) -> set[int]:
    """The answers of a query over a graph of n entities."""
    edges = [tuple(triple) for triple in triples]

    def evaluate(expression: Expression, names: Iterator[int]) -> set[int]:
        if isinstance(expression, Anchor):
            return {next(names)}
        parts = [evaluate(child, names) for child in expression.children]
        if isinstance(expression, Projection):
            relation = next(names)
            return {t for h, r, t in edges if r == relation and h in parts[0]}
        if isinstance(expression, Negation):
            return set(range(n)) - parts[0]
        return (
            set.intersection(*parts) if isinstance(expression, Intersection) else set.union(*parts)
        )

    return evaluate(expression, iter(row))


def edges_needed(
    expression: Expression, row: Sequence[int], costs: Mapping[Triple, int], n: int
) -> dict[int, int]:
    """For each answer the least sum of its edges' costs; a negation costs nothing."""

    def evaluate(expression: Expression, names: Iterator[int]) -> dict[int, int]:
        if isinstance(expression, Anchor):
            return {next(names): 0}
        parts = [evaluate(child, names) for child in expression.children]
        if isinstance(expression, Projection):
            relation, found = next(names), dict[int, int]()
            for (h, r, t), cost in costs.items():
                if r == relation and h in parts[0]:
                    found[t] = min(found.get(t, 10**6), parts[0][h] + cost)
            return found
        if isinstance(expression, Negation):
            return {i: 0 for i in range(n) if i not in parts[0]}
        if isinstance(expression, Intersection):
            common = set.intersection(*map(set, parts))
            return {i: sum(part[i] for part in parts) for i in common}
        return {i: min(part.get(i, 10**6) for part in parts) for i in set().union(*parts)}

    return evaluate(expression, iter(row))


TNORMS: dict[str, Callable[[float, float], float]] = {
    "product": lambda a, b: a * b,
    "minimum": min,
    "lukasiewicz": lambda a, b: max(0.0, a + b - 1),
}


def truth(
    expression: Expression,
    row: Sequence[int],
    scores: Callable[[int, int, int], float],
    n: int,
    tnorm: str,
) -> list[float]:
    """The probability of each of n entities to answer, every variable over all entities."""
    both = TNORMS[tnorm]

    def sigmoid(score: float) -> float:
        return 1 / (1 + math.exp(-score))

    def either(a: float, b: float) -> float:
        return 1 - both(1 - a, 1 - b)

    def evaluate(expression: Expression, names: Iterator[int]) -> list[float]:
        if isinstance(expression, Anchor):
            anchor = next(names)
            return [float(i == anchor) for i in range(n)]
        parts = [evaluate(child, names) for child in expression.children]
        if isinstance(expression, Projection):
            r = next(names)
            return [
                max(both(parts[0][x], sigmoid(scores(x, r, t))) for x in range(n)) for t in range(n)
            ]
        if isinstance(expression, Negation):
            return [1 - a for a in parts[0]]
        combine = both if isinstance(expression, Intersection) else either
        found = parts[0]
        for part in parts[1:]:
            found = [combine(a, b) for a, b in zip(found, part, strict=True)]
        return found

    return evaluate(expression, iter(row))
