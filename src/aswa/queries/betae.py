"""Query files in the form of BetaE's (Ren and Leskovec, NeurIPS 2020), as KGReasoning and CQD use.

A folder holds for each split `<split>-queries.pkl` (structure → set of nested queries, see
`aswa.queries.nested`), `<split>-easy-answers.pkl` and `<split>-hard-answers.pkl` (query → set
of entities), all by numbers. `id2ent.pkl` and `id2rel.pkl` hold the names of the numbers: `+name`
of a relation, `-name` of its reciprocal.
"""

from __future__ import annotations

import pickle
from collections import defaultdict
from pathlib import Path
from typing import Any

import torch

from aswa.data.knowledge_graph import KnowledgeGraph
from aswa.queries.algebra import STRUCTURES
from aswa.queries.generation import Answers, Queries
from aswa.queries.nested import MARKS, MalformedQuery, flatten, nested_form, write_query


class BadQueryFile(ValueError):
    """A query file cannot be used; names the file, the place and the fix."""


def read_betae(
    folder: Path, split: str, graph: KnowledgeGraph, names: list[str]
) -> dict[str, Queries]:
    """The queries of a split, sorted by their ids in `graph`.

    Args:
        graph: with reciprocals; has all names of the files.
        names: of the structures to read, which the files must have.

    Raises:
        BadQueryFile: a file is missing or malformed, or has a name that the graph has not.
    """
    entities = _ids(folder / "id2ent.pkl", _by_name(graph.entities), "entity")
    relations = _ids(folder / "id2rel.pkl", _relations(graph), "relation")
    by_structure = _read(folder / f"{split}-queries.pkl")
    easy = _read(folder / f"{split}-easy-answers.pkl")
    hard = _read(folder / f"{split}-hard-answers.pkl")
    forms = {nested_form(STRUCTURES[name]): name for name in names}
    found = {forms[form]: members for form, members in by_structure.items() if form in forms}
    for name in names:
        if name not in found:
            raise BadQueryFile(
                f"{folder / f'{split}-queries.pkl'}: has no {name} queries (key "
                f"{nested_form(STRUCTURES[name])!r}); leave {name} out of task.structures"
            )
    return {
        name: _queries(name, found[name], (easy, hard), (entities, relations), folder, split)
        for name in names
    }


def _queries(
    name: str,
    members: Any,
    answers: tuple[dict[Any, Any], dict[Any, Any]],
    ids: tuple[dict[int, int], dict[int, int]],
    folder: Path,
    split: str,
) -> Queries:
    form, (entities, relations) = nested_form(STRUCTURES[name]), ids
    path = folder / f"{split}-queries.pkl"
    known = {"e": entities, "r": relations}
    rows: dict[tuple[int, ...], Any] = {}
    for query in members:
        try:
            row = tuple(known[kind][number] for kind, number in flatten(query, form, "it"))
        except (MalformedQuery, KeyError, TypeError) as error:
            why = f"no name has the number {error}" if isinstance(error, KeyError) else error
            raise BadQueryFile(
                f"{path}: {name} query {query!r}: {why}; get the file again"
            ) from None
        rows[row] = query
    lists: tuple[list[list[int]], list[list[int]]] = ([], [])
    in_order = sorted(rows)
    for of_row in in_order:
        for found, stored, kind in zip(lists, answers, ("easy", "hard"), strict=True):
            try:
                found.append(sorted(entities[number] for number in stored.get(rows[of_row], ())))
            except (KeyError, TypeError) as error:
                where = f"{folder / f'{split}-{kind}-answers.pkl'}: {name} query {rows[of_row]!r}"
                raise BadQueryFile(
                    f"{where}: its answers are no set of numbers that id2ent.pkl names ({error}); "
                    "get the files again"
                ) from None
    if not all(lists[1]):
        query = rows[in_order[lists[1].index([])]]
        raise BadQueryFile(
            f"{folder / f'{split}-hard-answers.pkl'}: no hard answer of the {name} query {query!r}"
        )
    easy, hard = (_answers(found) for found in lists)
    return Queries(name, torch.tensor(in_order), easy, hard, torch.empty(0, dtype=torch.int64))


def _answers(lists: list[list[int]]) -> Answers:
    query = torch.repeat_interleave(torch.tensor([len(found) for found in lists]))
    entities = torch.tensor([number for found in lists for number in found], dtype=torch.int64)
    return Answers.of(query, entities, len(lists))


def write_betae(folder: Path, graph: KnowledgeGraph, splits: dict[str, dict[str, Queries]]) -> None:
    """Write queries as `read_betae`, and programs made for BetaE's files, read them.

    Args:
        graph: with reciprocals; names the ids.
        splits: queries by split and structure.
    """
    folder.mkdir(parents=True, exist_ok=True)
    marks = dict(enumerate(graph.entities)), {i: name for name, i in _relations(graph).items()}
    contents: dict[str, Any] = dict(zip(("id2ent", "id2rel"), marks, strict=True))
    for split, by_name in splits.items():
        stored: tuple[dict[Any, set[Any]], ...] = tuple(defaultdict(set) for _ in range(3))
        queries, easy, hard = stored
        for name, found in by_name.items():
            nested = [_numbered(write_query(name, row)) for row in found.rows.tolist()]
            queries[nested_form(STRUCTURES[name])].update(nested)
            for lists, answers in ((easy, found.easy), (hard, found.hard)):
                for query, entity in zip(
                    answers.query().tolist(), answers.entities.tolist(), strict=True
                ):
                    lists[nested[query]].add(entity)
        contents |= {f"{split}-queries": queries}
        contents |= {f"{split}-easy-answers": easy, f"{split}-hard-answers": hard}
    for stem, content in contents.items():
        (folder / f"{stem}.pkl").write_bytes(pickle.dumps(content))


def _numbered(query: Any) -> Any:
    """A nested query with numbers for "n" and "u"."""
    if isinstance(query, tuple):
        return tuple(_numbered(part) for part in query)
    return MARKS.get(query, query) if isinstance(query, str) else query


def _by_name(names: tuple[str, ...]) -> dict[str, int]:
    return {name: i for i, name in enumerate(names)}


def _relations(graph: KnowledgeGraph) -> dict[str, int]:
    """Ids by the relations' names in the files."""
    n = len(graph.relations) // 2
    return {f"{'+-'[i // n]}{graph.relations[i % n]}": i for i in range(2 * n)}


def _ids(path: Path, known: dict[str, int], kind: str) -> dict[int, int]:
    """The graph's id of each number of a file."""
    names = _read(path)
    for number, name in names.items():
        if name not in known:
            raise BadQueryFile(
                f"{path}: {kind} {name!r} (number {number}) is not in the graph; the queries are "
                "of another one, so choose its dataset=..."
            )
    return {number: known[name] for number, name in names.items()}


ALLOWED = {("builtins", "set"), ("__builtin__", "set"), ("collections", "defaultdict")}


class _PlainData(pickle.Unpickler):
    """Loads dictionaries, sets, tuples, numbers and texts alone; a pickle could run any code."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in ALLOWED:
            raise pickle.UnpicklingError(f"it holds a {module}.{name}, which is not loaded")
        return super().find_class("builtins" if module == "__builtin__" else module, name)


def _read(path: Path) -> dict[Any, Any]:
    try:
        with path.open("rb") as file:
            content = _PlainData(file).load()
    except FileNotFoundError:
        raise BadQueryFile(
            f"{path}: not there; task.folder has to name a folder of BetaE's query files"
        ) from None
    except (OSError, pickle.UnpicklingError, EOFError, ValueError, IndexError, KeyError,
            AttributeError, TypeError, ImportError) as error:  # fmt: skip
        raise BadQueryFile(f"{path}: cannot be read ({error}); get the file again") from None
    if not isinstance(content, dict):
        raise BadQueryFile(f"{path}: holds a {type(content).__name__}, not a dictionary")
    return content
