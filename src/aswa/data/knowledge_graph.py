"""Knowledge graphs as integer triples, read from train, valid and test files.

A file is `<split>.txt`, `.txt.gz` or `.txt.xz`: head TAB relation TAB tail, UTF-8, one triple a
line. CRLF line ends, a byte-order mark and empty last lines are accepted; names may hold spaces.
Duplicate triples are kept: training sees them once (labels are sets), ranking once each.
"""

from __future__ import annotations

import gzip
import hashlib
import lzma
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

SPLITS = ("train", "valid", "test")
_OPENERS: dict[str, Callable[[Path], bytes]] = {
    ".txt": Path.read_bytes,
    ".txt.gz": lambda path: gzip.decompress(path.read_bytes()),
    ".txt.xz": lambda path: lzma.decompress(path.read_bytes()),
}


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
        h, r, t = torch.unique(triples, dim=0).unbind(1)  # sorted by h, r, t
        keys, counts = torch.unique_consecutive(h * n_relations + r, return_counts=True)
        self._keys = keys
        self.h = keys // n_relations
        self.r = keys % n_relations
        self.starts = torch.cat([counts.new_zeros(1), counts.cumsum(0)])
        self.tails = t.contiguous()

    def __len__(self) -> int:
        return len(self.h)

    def to(self, device: torch.device) -> TailIndex:
        """The same index on another device."""
        moved = object.__new__(TailIndex)
        moved.n_relations = self.n_relations
        for name in ("_keys", "h", "r", "starts", "tails"):
            setattr(moved, name, getattr(self, name).to(device))
        return moved

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
    """Read `train`, `valid` and `test` of a folder.

    Args:
        folder: holds `<split>.txt`, `.txt.gz` or `.txt.xz`.
        sha256: checksum of each split's uncompressed bytes; None where it is not known.

    Raises:
        FileNotFoundError: a split is missing; says which names were tried.
        ValueError: a line is not a triple, a file is empty, or not the published one; says where.
    """
    names = {
        split: _read_triples(_find(folder, split), (sha256 or {}).get(split)) for split in SPLITS
    }
    everything = [triple for triples in names.values() for triple in triples]
    entities = sorted({name for h, _, t in everything for name in (h, t)})
    relations = sorted({r for _, r, _ in everything})
    entity_id = {name: i for i, name in enumerate(entities)}
    relation_id = {name: i for i, name in enumerate(relations)}
    ids = {
        split: torch.tensor([(entity_id[h], relation_id[r], entity_id[t]) for h, r, t in triples])
        for split, triples in names.items()
    }
    return KnowledgeGraph(tuple(entities), tuple(relations), **ids)


def _find(folder: Path, split: str) -> Path:
    for ending in _OPENERS:
        path = folder / f"{split}{ending}"
        if path.is_file():
            return path
    tried = ", ".join(f"{split}{ending}" for ending in _OPENERS)
    raise FileNotFoundError(f"{folder}: no {split} split (looked for {tried})")


def _read_triples(path: Path, sha256: str | None) -> list[tuple[str, str, str]]:
    try:
        content = _OPENERS[path.name[path.name.index(".txt") :]](path)
        if sha256 and hashlib.sha256(content).hexdigest() != sha256:
            raise ValueError(
                f"{path}: not the published file, its sha256 is not {sha256[:12]}...; get it "
                "again, or describe your own version in a file of its own under conf/dataset/"
            )
        text = content.decode("utf-8-sig")
    except (UnicodeDecodeError, EOFError, lzma.LZMAError, zlib.error, OSError) as error:
        raise ValueError(f"{path}: cannot be read ({error}); get the file again") from None
    triples = []
    for number, line in enumerate(text.split("\n"), 1):
        fields = line.rstrip("\r").split("\t")
        if len(fields) == 3 and all(fields):
            triples.append((fields[0], fields[1], fields[2]))
        elif line.strip():
            raise ValueError(
                f"{path}, line {number}: expected head TAB relation TAB tail, "
                f"found {len(fields)} field(s): {line.rstrip()[:80]!r}"
            )
    if not triples:
        raise ValueError(f"{path}: the file is empty")
    return triples
