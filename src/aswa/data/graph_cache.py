"""Indexed graphs on disk, so that large text files are parsed once.

An entry is a folder named by a checksum of what it was made from. It holds the triples as int32,
which are memory-mapped when read, the names, and a checksum of both: an entry that is damaged
counts as missing. The whole folder may be deleted at any time.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from aswa.files import cache_folder

FORMAT = 1  # of an entry; a change of it, or of how ids are given, makes all entries new
ABANDONED = 3600  # seconds after which nobody can still be writing an entry


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
    """The entry of that name; None if there is none that is whole."""
    folder = cache_folder() / "graphs" / name
    try:
        header = (folder / "graph.json").read_bytes()
        triples = np.memmap(folder / "triples.int32", np.int32, "r")
        if (folder / "sha256").read_text() == _sha256(header, triples):
            return Entry(triples=triples.reshape(-1, 3), **json.loads(header))
    except (OSError, ValueError):  # not there, empty or not text
        pass
    return None


def save(name: str, entry: Entry) -> None:
    """Write an entry; nothing is written where the folder cannot be."""
    fields = {key: getattr(entry, key) for key in ("entities", "relations", "sizes", "sha256")}
    header = json.dumps(fields).encode()
    final = cache_folder() / "graphs" / name
    try:
        final.parent.mkdir(parents=True, exist_ok=True)
        _remove_abandoned(final.parent)
        partial = Path(tempfile.mkdtemp(prefix=f".{name}.", dir=final.parent))
    except OSError:
        return
    try:
        entry.triples.tofile(partial / "triples.int32")
        (partial / "graph.json").write_bytes(header)
        (partial / "sha256").write_text(_sha256(header, entry.triples))
        if final.exists():  # damaged, or another process was quicker
            shutil.rmtree(final, ignore_errors=True)
        os.replace(partial, final)
    except OSError:  # a full disk: the next run parses again
        shutil.rmtree(partial, ignore_errors=True)


def _remove_abandoned(folder: Path) -> None:
    """What killed processes left half written; not what another one is writing now."""
    for partial in folder.glob(".*"):
        with contextlib.suppress(OSError):  # another process has removed it
            if time.time() - partial.stat().st_mtime > ABANDONED:
                shutil.rmtree(partial, ignore_errors=True)


def _sha256(header: bytes, triples: np.ndarray) -> str:
    digest = hashlib.sha256(header)
    digest.update(np.ascontiguousarray(triples).data)
    return digest.hexdigest()
