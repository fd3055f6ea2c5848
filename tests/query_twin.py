"""Slow, readable twins of query answering, in Python's sets and numbers."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from aswa.queries.algebra import Anchor, Expression, Intersection, Negation, Projection

Triple = tuple[int, int, int]


def sets(of: Expression, row: Sequence[int], triples: Iterable[Sequence[int]], n: int) -> set[int]:
    """The answers of a query over a graph of n entities."""
    edges = [tuple(triple) for triple in triples]

    def evaluate(of: Expression, names: Iterator[int]) -> set[int]:
        if isinstance(of, Anchor):
            return {next(names)}
        parts = [evaluate(child, names) for child in of.children]
        if isinstance(of, Projection):
            relation = next(names)
            return {t for h, r, t in edges if r == relation and h in parts[0]}
        if isinstance(of, Negation):
            return set(range(n)) - parts[0]
        return set.intersection(*parts) if isinstance(of, Intersection) else set.union(*parts)

    return evaluate(of, iter(row))


def edges_needed(
    of: Expression, row: Sequence[int], costs: Mapping[Triple, int], n: int
) -> dict[int, int]:
    """For each answer the least sum of its edges' costs; a negation costs nothing."""

    def evaluate(of: Expression, names: Iterator[int]) -> dict[int, int]:
        if isinstance(of, Anchor):
            return {next(names): 0}
        parts = [evaluate(child, names) for child in of.children]
        if isinstance(of, Projection):
            relation, found = next(names), dict[int, int]()
            for (h, r, t), cost in costs.items():
                if r == relation and h in parts[0]:
                    found[t] = min(found.get(t, 10**6), parts[0][h] + cost)
            return found
        if isinstance(of, Negation):
            return {i: 0 for i in range(n) if i not in parts[0]}
        if isinstance(of, Intersection):
            common = set.intersection(*map(set, parts))
            return {i: sum(part[i] for part in parts) for i in common}
        return {i: min(part.get(i, 10**6) for part in parts) for i in set().union(*parts)}

    return evaluate(of, iter(row))


TNORMS: dict[str, Callable[[float, float], float]] = {
    "product": lambda a, b: a * b,
    "minimum": min,
    "lukasiewicz": lambda a, b: max(0.0, a + b - 1),
}


def truth(
    of: Expression, row: Sequence[int], scores: Callable[[int, int, int], float], n: int, tnorm: str
) -> list[float]:
    """The probability of each of n entities to answer, every variable over all entities."""
    both = TNORMS[tnorm]

    def sigmoid(score: float) -> float:
        return 1 / (1 + math.exp(-score))

    def either(a: float, b: float) -> float:
        return 1 - both(1 - a, 1 - b)

    def evaluate(of: Expression, names: Iterator[int]) -> list[float]:
        if isinstance(of, Anchor):
            anchor = next(names)
            return [float(i == anchor) for i in range(n)]
        parts = [evaluate(child, names) for child in of.children]
        if isinstance(of, Projection):
            r = next(names)
            return [
                max(both(parts[0][x], sigmoid(scores(x, r, t))) for x in range(n)) for t in range(n)
            ]
        if isinstance(of, Negation):
            return [1 - a for a in parts[0]]
        combine = both if isinstance(of, Intersection) else either
        found = parts[0]
        for part in parts[1:]:
            found = [combine(a, b) for a, b in zip(found, part, strict=True)]
        return found

    return evaluate(of, iter(row))
