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
from aswa.queries.nested import MalformedQuery, flatten, nested_form, write_query

KINDS = ("queries", "easy-answers", "hard-answers")  # of the files of a split


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
    entities = {name: i for i, name in enumerate(graph.entities)}
    ids = {
        "e": _ids(folder / "id2ent.pkl", entities, "entity"),
        "r": _ids(folder / "id2rel.pkl", _relations(graph), "relation"),
    }
    files = {kind: folder / f"{split}-{kind}.pkl" for kind in KINDS}
    stored = {kind: _read(path) for kind, path in files.items()}
    found = {}
    for name in names:
        form = nested_form(STRUCTURES[name])
        if form not in stored["queries"]:
            raise BadQueryFile(
                f"{files['queries']}: has no {name} queries (key {form!r}); leave {name} out of "
                "task.structures"
            )
        rows = {
            _row(query, form, ids, f"{files['queries']}: {name} query {query!r}"): query
            for query in stored["queries"][form]
        }
        in_order = sorted(rows)
        queries = [rows[row] for row in in_order]
        easy, hard = (
            _answers(queries, stored[kind], ids["e"], f"{files[kind]}: {name} query")
            for kind in KINDS[1:]
        )
        if not hard.counts().all():
            query = queries[hard.counts().tolist().index(0)]
            raise BadQueryFile(
                f"{files['hard-answers']}: no hard answer of the {name} query {query!r}"
            )
        empty = torch.empty(0, dtype=torch.int64)
        found[name] = Queries(name, torch.tensor(in_order), easy, hard, empty)
    return found


def _row(query: Any, form: Any, ids: dict[str, dict[int, int]], where: str) -> tuple[int, ...]:
    try:
        return tuple(ids[kind][number] for kind, number in flatten(query, form, "it"))
    except (MalformedQuery, KeyError, TypeError) as error:
        why = f"no name has the number {error}" if isinstance(error, KeyError) else error
        raise BadQueryFile(f"{where}: {why}; get the file again") from None


def _answers(
    queries: list[Any], stored: dict[Any, Any], entities: dict[int, int], where: str
) -> Answers:
    lists = []
    for query in queries:
        try:
            lists.append(sorted(entities[number] for number in stored.get(query, ())))
        except (KeyError, TypeError) as error:
            raise BadQueryFile(
                f"{where} {query!r}: its answers are no set of numbers that id2ent.pkl names "
                f"({error}); get the files again"
            ) from None
    counts = torch.tensor([len(found) for found in lists])
    numbers = [number for found in lists for number in found]
    return Answers.counted(counts, torch.tensor(numbers, dtype=torch.int64))


def write_betae(folder: Path, graph: KnowledgeGraph, splits: dict[str, dict[str, Queries]]) -> None:
    """Write queries as `read_betae`, and programs made for BetaE's files, read them.

    Args:
        graph: with reciprocals; names the ids.
        splits: queries by split and structure.
    """
    folder.mkdir(parents=True, exist_ok=True)
    relations = {i: name for name, i in _relations(graph).items()}
    contents: dict[str, Any] = {"id2ent": dict(enumerate(graph.entities)), "id2rel": relations}
    for split, by_name in splits.items():
        queries, easy, hard = stored = [defaultdict[Any, set[Any]](set) for _ in KINDS]
        for name, found in by_name.items():
            nested = [write_query(name, row, numbered=True) for row in found.rows.tolist()]
            queries[nested_form(STRUCTURES[name])].update(nested)
            for lists, answers in ((easy, found.easy), (hard, found.hard)):
                pairs = torch.stack([answers.query(), answers.entities], 1)
                for query, entity in pairs.tolist():
                    lists[nested[query]].add(entity)
        contents |= {f"{split}-{kind}": each for kind, each in zip(KINDS, stored, strict=True)}
    for stem, content in contents.items():
        (folder / f"{stem}.pkl").write_bytes(pickle.dumps(content))


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
    except Exception as error:  # whatever the bytes make of the unpickler
        raise BadQueryFile(f"{path}: cannot be read ({error}); get the file again") from None
    if not isinstance(content, dict):
        raise BadQueryFile(f"{path}: holds a {type(content).__name__}, not a dictionary")
    return content
