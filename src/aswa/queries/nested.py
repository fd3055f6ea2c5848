"""Queries as nested tuples, the notation of BetaE's files: `("e", ("r", "r"))` is a `2p`.

A chain is a pair of its start and its operations, a relation or "n" (negation) each; an
intersection is a tuple of its members; a union is the same with a last member ("u",). The form
follows from the algebra, also for a new structure.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from aswa.queries.algebra import (
    Anchor,
    Expression,
    Negation,
    Projection,
    Union,
    columns,
    structure,
)

# Negation and union in queries by numbers.
MARKS = {"n": -2, "u": -1}


class MalformedQuery(ValueError):
    """A query does not have the form of its structure; says where, and what the form is."""


def nested_form(expression: Expression) -> Any:
    """The nested tuple of a structure, with "e", "r", "n" and "u" in it."""
    operations: list[str] = []
    while isinstance(expression, (Projection, Negation)):
        operations.insert(0, "r" if isinstance(expression, Projection) else "n")
        (expression,) = expression.children
    if isinstance(expression, Anchor):
        base: Any = "e"
    else:
        base = tuple(nested_form(member) for member in expression.children)
        base += (("u",),) if isinstance(expression, Union) else ()
    return (base, tuple(operations)) if operations else base


def flatten(query: Any, form: Any, where: str = "the query") -> Iterator[tuple[str, Any]]:
    """Pairs of a letter (e or r) and a name of a nested query, in the order of `columns`.

    Raises:
        MalformedQuery: the query does not have this form.
    """
    if form in ("e", "r"):
        if not isinstance(query, (str, int)):
            raise MalformedQuery(f"{where} is {query!r}, where a name belongs")
        yield form, query
    elif form in MARKS:
        if query not in (form, MARKS[form]):
            raise MalformedQuery(f"{where} is {query!r}, where {form!r} belongs")
    else:
        if not isinstance(query, (tuple, list)) or len(query) != len(form):
            raise MalformedQuery(f"{where} is {query!r}, which has not the form {form!r}")
        for number, (part, its_form) in enumerate(zip(query, form, strict=True), 1):
            yield from flatten(part, its_form, f"part {number} of {where}")


def read_query(
    name: str, query: Any, entities: Mapping[str, int], relations: Mapping[str, int]
) -> list[int]:
    """The row of ids of a query by names, see `aswa.queries.algebra.columns`.

    Args:
        name: of the structure, such as `2p`.
        query: nested, such as `("Asia", ("contains", "has_capital"))`; or flat, the names in the
            order of `columns`: `["Asia", "contains", "has_capital"]`.
        entities, relations: ids by name; reciprocal relations count.

    Raises:
        UnknownStructure: no structure has this name.
        MalformedQuery: the query has another form, or a name that the graph has not.
    """
    shape = structure(name)
    form, letters = nested_form(shape), columns(shape)
    flat = isinstance(query, (tuple, list)) and all(isinstance(part, str) for part in query)
    try:
        if flat and len(query) == len(letters):
            pairs = list(zip(letters, query, strict=True))
        else:
            pairs = list(flatten(query, form))
    except MalformedQuery as error:
        raise MalformedQuery(f"{name} query {query!r}: {error}; its form is {form!r}") from None
    row = []
    for letter, part in pairs:
        known, kind = (entities, "entity") if letter == "e" else (relations, "relation")
        if part not in known:
            near = difflib.get_close_matches(str(part), known, n=1, cutoff=0.6)
            hint = f"; did you mean {near[0]!r}?" if near else f"; it has {len(known)} of them"
            raise MalformedQuery(f"{name} query {query!r}: the graph has no {kind} {part!r}{hint}")
        row.append(known[part])
    return row


def write_query(name: str, row: Sequence[Any], numbered: bool = False) -> Any:
    """The nested tuple of a row of names or numbers: the inverse of `read_query`.

    Args:
        numbered: "n" and "u" become the numbers of `MARKS`, as in BetaE's files.
    """
    parts = iter(row)

    def filled(form: Any) -> Any:
        if form in ("e", "r"):
            return next(parts)
        if form in MARKS:
            return MARKS[form] if numbered else form
        return tuple(filled(part) for part in form)

    return filled(nested_form(structure(name)))
