"""What the options of `task=query_answering` name: structures, and the bytes of query files."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from aswa.config.schema import ConfigError
from aswa.kinds.declaration import Plain
from aswa.queries.algebra import STRUCTURES, UnknownStructure, structure

OF_DRAWING = ("queries", "query_seed", "max_answers")


def fill(task: Plain) -> list[Path]:
    """Name all structures where none is named, and the bytes of query files.

    Raises:
        ConfigError: there is no query file in the folder.
    """
    if task["structures"] is None:
        task["structures"] = list(STRUCTURES)
    if task["folder"] is None:
        return []
    files = sorted(Path(str(task["folder"])).glob("*.pkl"))
    if not files:
        raise ConfigError(
            f"task.folder={task['folder']}: no query files (*.pkl) there; null draws queries from "
            "the graph"
        )
    task["sha256"] = _checksum(
        tuple((path, path.stat().st_mtime_ns, path.stat().st_size) for path in files)
    )
    for key in OF_DRAWING:
        task.pop(key, None)
    return files


@functools.lru_cache(maxsize=16)  # a sweep of thousands asks for the same few again and again
def _checksum(states: tuple[tuple[Path, int, int], ...]) -> str:
    digest = hashlib.sha256()
    for path, *_ in states:
        digest.update(path.name.encode() + hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def check(options: Mapping[str, Any]) -> None:
    """Refuse structures that are none, or twice there."""
    names = options["structures"]
    if not names or not all(isinstance(name, str) for name in names):
        raise ConfigError(f"task.structures={names}: must be a list of names, such as [1p,2p,2i]")
    try:
        for name in names:
            structure(name)
    except UnknownStructure as error:
        raise ConfigError(f"task.structures: {error}") from None
    twice = {name for name in names if names.count(name) > 1}
    if twice:
        raise ConfigError(f"task.structures: {', '.join(sorted(twice))} is there twice")
