"""Indexed graphs on disk, so that large text files are parsed once.

An entry is one file, named by a checksum of what it was made from: a checksum of the rest, the
names as JSON, and the triples as int32, which are memory-mapped when read. A damaged entry counts
as missing. The whole folder may be deleted at any time.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from aswa.files import cache_folder, write_bytes

FORMAT = 2  # of an entry; a change of it, or of how ids are given, makes all entries new
SUM, LENGTH = 64, 16  # bytes of the checksum, and of the length of the names
ALIGNED = 64  # bytes; the triples begin at a multiple


@dataclass(frozen=True)
class Entry:
    """An indexed graph.

    Attributes:
        entities, relations: names; an id is a position.
        triples: int32 [n, 3], all splits one after the other, read-only.
        sizes: triples of each split, in order.
        sha256: of the uncompressed file of each split.
    """

    entities: list[str]
    relations: list[str]
    triples: np.ndarray
    sizes: dict[str, int]
    sha256: dict[str, str]


def key(stored: dict[str, str]) -> str:
    """The name of an entry, from the checksum of each split's file as stored."""
    return hashlib.sha256(json.dumps([FORMAT, stored]).encode()).hexdigest()[:32]


def load(name: str) -> Entry | None:
    """The entry of that name; None if there is none, or a damaged one."""
    with contextlib.suppress(OSError, ValueError):  # not there, empty, cut
        content = np.memmap(_path(name), np.uint8, "r")
        if hashlib.sha256(content[SUM:].data).hexdigest().encode() == content[:SUM].tobytes():
            start = SUM + LENGTH
            end = start + int(content[SUM:start].tobytes())
            fields = json.loads(content[start:end].tobytes())
            return Entry(triples=content[end:].view(np.int32).reshape(-1, 3), **fields)
    return None


def save(name: str, entry: Entry) -> None:
    """Write an entry; nothing is written where the folder cannot be."""
    fields = {key: getattr(entry, key) for key in ("entities", "relations", "sizes", "sha256")}
    header = json.dumps(fields).encode()
    header += b" " * (-(SUM + LENGTH + len(header)) % ALIGNED)
    rest = b"%0*d" % (LENGTH, len(header)) + header + np.ascontiguousarray(entry.triples).tobytes()
    with contextlib.suppress(OSError):  # read-only or full: the next run parses again
        write_bytes(_path(name), hashlib.sha256(rest).hexdigest().encode() + rest)


def _path(name: str) -> Path:
    return cache_folder() / "graphs" / f"{name}.graph"
