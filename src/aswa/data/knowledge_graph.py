"""Knowledge graphs as integer triples, indexed from their train, valid and test files.

Duplicate triples are kept: training sees them once (labels are sets), ranking once each. A relation
that only occurs in valid or test is kept as well, with a warning: nothing trains it.
"""

from __future__ import annotations

import copy
import hashlib
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import torch
from torch import Tensor

from aswa.data import graph_cache
from aswa.data.folders import SPLITS
from aswa.data.triples_file import TriplesFile, line_of, open_split, parse

CACHED_FROM = 2**20  # bytes of files; smaller graphs are parsed faster than they are found


@dataclass(frozen=True)
class KnowledgeGraph:
    """Triples of ids; ids are the sorted order of the names over all three splits.

    Attributes:
        entities, relations: names; an id is a position here. Entities that only occur in valid or
            test have ids too, and are candidates in every ranking.
        train, valid, test: int64 [n, 3], columns head, relation, tail.
    """

    entities: tuple[str, ...]
    relations: tuple[str, ...]
    train: Tensor
    valid: Tensor
    test: Tensor

    def with_reciprocals(self) -> KnowledgeGraph:
        """Beside every (h, r, t) also (t, r⁻¹, h), where r⁻¹ has the id r + len(relations).

        Scoring (t, r⁻¹, ?) is then how heads are predicted (Lacroix et al., ICML 2018).
        """
        n = len(self.relations)

        def both(triples: Tensor) -> Tensor:
            h, r, t = triples.unbind(1)
            return torch.cat([triples, torch.stack([t, r + n, h], 1)])

        return replace(
            self,
            relations=(*self.relations, *(f"{name}⁻¹" for name in self.relations)),
            train=both(self.train),
            valid=both(self.valid),
            test=both(self.test),
        )


class TailIndex:
    """For every known (h, r) the sorted set of its tails, in compressed rows.

    Built from int64 triples [n, 3]; memory is that of the distinct pairs and triples.

    Attributes:
        h, r: int64 [P], the distinct pairs, sorted by (h, r).
        starts: int64 [P + 1]; the tails of pair i are `tails[starts[i]:starts[i + 1]]`.
        tails: int64 [T].
    """

    def __init__(self, triples: Tensor, n_relations: int) -> None:
        self.n_relations = n_relations
        h, r, t = triples.unbind(1)
        n_entities = int(torch.stack([h, t]).max()) + 1
        if n_entities**2 * n_relations >= 2**63:
            raise ValueError(
                f"{n_entities:,} entities and {n_relations:,} relations: too many to number "
                "all possible triples by int64"
            )
        # Sorting one number a triple is much faster than sorting rows.
        distinct = torch.unique((h * n_relations + r) * n_entities + t)
        pairs, t = distinct // n_entities, distinct % n_entities
        self._keys, counts = torch.unique_consecutive(pairs, return_counts=True)
        self.h = self._keys // n_relations
        self.r = self._keys % n_relations
        self.starts = torch.cat([counts.new_zeros(1), counts.cumsum(0)])
        self.tails = t.contiguous()

    def __len__(self) -> int:
        return len(self.h)

    def to(self, device: torch.device) -> TailIndex:
        """The same index on another device."""
        moved = copy.copy(self)
        for name in ("_keys", "h", "r", "starts", "tails"):
            setattr(moved, name, getattr(self, name).to(device))
        return moved

    def with_all_pairs(self, n_entities: int) -> TailIndex:
        """The same tails, among all pairs (h, r) of `n_entities`; most of these have none."""
        whole = copy.copy(self)
        whole._keys = torch.arange(n_entities * self.n_relations, device=self.h.device)
        whole.h, whole.r = whole._keys // self.n_relations, whole._keys % self.n_relations
        counts = torch.zeros_like(whole._keys)
        counts[self._keys] = self.starts.diff()
        whole.starts = torch.cat([counts.new_zeros(1), counts.cumsum(0)])
        return whole

    def triples(self) -> Tensor:
        """All distinct triples, int64 [T, 3], sorted."""
        counts = self.starts.diff()
        h, r = self.h.repeat_interleave(counts), self.r.repeat_interleave(counts)
        return torch.stack([h, r, self.tails], 1)

    def rows(self, pairs: Tensor) -> tuple[Tensor, Tensor]:
        """All tails of the pairs at positions `pairs` [B]: (which of the B [K], tail ids [K])."""
        counts = self.starts[pairs + 1] - self.starts[pairs]
        row = torch.repeat_interleave(counts)
        first = counts.cumsum(0) - counts
        within = torch.arange(len(row), device=row.device) - first[row]
        return row, self.tails[self.starts[pairs][row] + within]

    def find(self, h: Tensor, r: Tensor) -> Tensor:
        """Positions [B] of the pairs (h [B], r [B]), r below `n_relations`.

        Raises:
            KeyError: a pair that is not in the index.
        """
        keys = h * self.n_relations + r
        positions = torch.searchsorted(self._keys, keys).clamp_(max=len(self) - 1)
        if not torch.equal(self._keys[positions], keys):
            raise KeyError("a (head, relation) pair that is not in the index")
        return positions


def read_graph(folder: Path, sha256: Mapping[str, str | None] | None = None) -> KnowledgeGraph:
    """Read and index `train`, `valid` and `test` of a folder, see `triples_file` for their form.

    A large graph is parsed once and then found in the user's cache, as long as the files are the
    same bytes.

    Args:
        folder: holds `<split>.txt`, `.txt.gz` or `.txt.xz`.
        sha256: checksum of each split's uncompressed bytes; None where it is not known.

    Raises:
        FileNotFoundError: a split is missing; says which names were tried.
        ValueError: a line is not a triple, a file is empty, or not the published one; says where.
    """
    files = {split: open_split(folder, split) for split in SPLITS}
    large = sum(len(file.stored) for file in files.values()) >= CACHED_FROM
    key = graph_cache.key({split: file.path.name + file.sha256 for split, file in files.items()})
    entry = graph_cache.load(key) if large else None
    if entry is None:
        entry = _index(files, sha256 or {})
        if large:
            graph_cache.save(key, entry)
    for split, file in files.items():
        _check_sha256(file, entry.sha256[split], (sha256 or {}).get(split))
    triples = torch.from_numpy(entry.triples.astype(np.int64)).split(list(entry.sizes.values()))
    graph = KnowledgeGraph(tuple(entry.entities), tuple(entry.relations), *triples)
    _warn_untrained(graph, files)
    return graph


def _index(files: Mapping[str, TriplesFile], sha256: Mapping[str, str | None]) -> graph_cache.Entry:
    """Parse the files; ids are the sorted order of the names over all of them."""
    tables, found = [], {}
    for split, file in files.items():
        content = file.content()
        packed = content is not file.stored
        found[split] = hashlib.sha256(content).hexdigest() if packed else file.sha256
        _check_sha256(file, found[split], sha256.get(split))
        tables.append(parse(content, file.path))
    entities, ends = _numbered([table[c] for c in ("head", "tail") for table in tables])
    relations, r = _numbered([table["relation"] for table in tables])
    triples = np.stack([ends[: len(r)], r, ends[len(r) :]], 1)
    sizes = {split: len(table) for split, table in zip(files, tables, strict=True)}
    return graph_cache.Entry(entities.to_pylist(), relations.to_pylist(), triples, sizes, found)


def _numbered(columns: list[pa.ChunkedArray]) -> tuple[pa.Array, np.ndarray]:
    """Distinct names in the order of their code points, and their int32 ids in all columns.

    All columns are hashed at once, which numbers names as they first occur: then there is one
    dictionary, and only the distinct names need sorting.
    """
    chunks = [chunk for column in columns for chunk in column.chunks]
    encoded = pa.chunked_array(chunks).dictionary_encode().combine_chunks()
    names, first = encoded.dictionary, encoded.indices.to_numpy()
    order = pc.sort_indices(names)
    ids = np.empty(len(names), np.int32)
    ids[order.to_numpy()] = np.arange(len(names), dtype=np.int32)
    return names.take(order), ids[first]


def _check_sha256(file: TriplesFile, found: str, expected: str | None) -> None:
    if expected and found != expected:
        raise ValueError(
            f"{file.path}: not the published file, its sha256 is not {expected[:12]}...; get it "
            f"again, or take your own version by dataset.folder={file.path.parent}"
        )


def _warn_untrained(graph: KnowledgeGraph, files: Mapping[str, TriplesFile]) -> None:
    """Name the first place of a relation that does not occur in train."""
    seen = torch.zeros(len(graph.relations), dtype=torch.bool)
    seen[graph.train[:, 1]] = True
    for split in SPLITS[1:]:
        r = getattr(graph, split)[:, 1]
        if not seen[r].all():
            name, file = graph.relations[int(r[~seen[r]][0])], files[split]
            warnings.warn(
                f"{file.path}, line {line_of(file.content(), name)}: relation {name!r} does not "
                "occur in train; its embedding stays as it was initialised",
                stacklevel=3,
            )
