"""Drawn queries in the user's cache, so that the runs of a sweep draw them once.

An entry is one file of arrays, named by a checksum of all that it follows from. A damaged entry
counts as missing. The folder may be deleted at any time.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import torch

from aswa.data.knowledge_graph import KnowledgeGraph
from aswa.files import cache_folder, write_bytes
from aswa.queries.algebra import structure
from aswa.queries.generation import Answers, Queries, Sampler
from aswa.queries.nested import nested_form

FORMAT = 1  # of entries and of drawing; another number makes all entries new
ARRAYS = ("rows", "easy_starts", "easy", "hard_starts", "hard", "needed", "drawn")


def cached_queries(
    graph: KnowledgeGraph,
    split: str,
    names: list[str],
    n: int,
    *,
    seed: int = 0,
    max_answers: int = 100,
) -> dict[str, Queries]:
    """`Sampler.draw` for several structures, once in a cache.

    Args:
        graph: with reciprocals.
        split: `valid` or `test`.
        names: of structures.
        n: queries of each; fewer where the graph has no more.
        seed, max_answers: see `Sampler`.
    """
    made_from = _checksum(graph, split)
    sampler: Sampler | None = None
    queries = {}
    for name in names:
        form = nested_form(structure(name))
        origin = json.dumps([FORMAT, made_from, split, name, form, n, seed, max_answers])
        digest = hashlib.sha256(origin.encode()).hexdigest()
        path = cache_folder() / "queries" / f"{digest[:32]}.npz"
        found = _load(path, name)
        if found is None:
            sampler = sampler or Sampler(graph, split, seed, max_answers)
            found = sampler.draw(name, n)
            _save(path, found)
        queries[name] = found
    return queries


def _checksum(graph: KnowledgeGraph, split: str) -> str:
    """Of the triples that queries of the split depend on."""
    digest = hashlib.sha256(f"{len(graph.entities)} {len(graph.relations)}".encode())
    for part in ("train", "valid", "test")[: 2 if split == "valid" else 3]:
        triples = getattr(graph, part)
        digest.update(f" {part} {len(triples)} ".encode())
        digest.update(np.ascontiguousarray(triples.numpy()).data)
    return digest.hexdigest()


def _load(path: Path, name: str) -> Queries | None:
    try:
        with np.load(path, allow_pickle=False) as file:
            stored = {key: torch.from_numpy(file[key].astype(np.int64)) for key in ARRAYS}
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None
    easy, hard = (Answers(stored[f"{kind}_starts"], stored[kind]) for kind in ("easy", "hard"))
    return Queries(name, stored["rows"], easy, hard, stored["needed"], int(stored["drawn"]))


def _save(path: Path, queries: Queries) -> None:
    """Write an entry; a folder that takes none, such as on a full disk, is no error."""
    easy, hard = queries.easy, queries.hard
    tensors = (queries.rows, easy.starts, easy.entities, hard.starts, hard.entities)
    arrays = [tensor.numpy().astype(np.int32) for tensor in (*tensors, queries.needed)]
    content = io.BytesIO()
    stored: dict[str, Any] = dict(zip(ARRAYS, [*arrays, np.int64(queries.drawn)], strict=True))
    np.savez(content, **stored)
    with contextlib.suppress(OSError):
        write_bytes(path, content.getvalue())
