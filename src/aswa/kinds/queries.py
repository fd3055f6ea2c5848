"""What a run is for, in a configuration: the task, and what belongs to query answering."""

from __future__ import annotations

import functools
import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aswa.config.schema import ConfigError, Misfit, check_group, unknown
from aswa.queries.algebra import STRUCTURES, UnknownStructure, structure
from aswa.registry import TASKS, usual_task

OF_DRAWING = ("queries", "query_seed", "max_answers")
TNORMS = ("product", "minimum", "lukasiewicz")


@dataclass(frozen=True)
class TaskConfig:
    """A member of conf/task; `options` are its own knobs."""

    name: str
    kind: str
    options: dict[str, Any]


def settle_task(plain: dict[str, Any]) -> TaskConfig:
    """The task of a plain configuration, which is completed in place.

    The usual task of a dataset is left out of it: named or not, the run is the same.

    Raises:
        ConfigError: a key is wrong.
        Misfit: the task is for data of another kind.
    """
    dataset, chosen = plain["dataset"], plain.pop("task", None)
    kind, usual = dataset["kind"], usual_task(dataset["kind"])
    if chosen is None:
        return TaskConfig(usual, kind, {})
    check_group("task", chosen)
    name = chosen["name"]
    if chosen["kind"] != kind:
        fitting = [task for task, entry in TASKS.items() if entry.kind == kind]
        raise Misfit(
            f"task={name} is for {chosen['kind'].replace('_', ' ')}, and dataset={dataset['name']} "
            f"is of kind {kind.replace('_', ' ')}; tasks that fit it: {', '.join(fitting)}"
        )
    if name != usual:
        _settle_queries(chosen)
        plain["task"] = chosen
    return TaskConfig(name, kind, {k: v for k, v in chosen.items() if k not in ("name", "kind")})


def _settle_queries(task: dict[str, Any]) -> None:
    """Complete a member of conf/task in place: what is read is known by its bytes, not its place.

    Structures that are not named are all there are, and are named then. With a folder of query
    files their checksum is added, and the options of drawing, which then change nothing, are left
    out.

    Raises:
        ConfigError: there is no query file in the folder.
    """
    if task["structures"] is None:
        task["structures"] = list(STRUCTURES)
    folder = task["folder"]
    if folder is None:
        return
    files = sorted(Path(str(folder)).glob("*.pkl"))
    if not files:
        raise ConfigError(
            f"task.folder={folder}: no query files (*.pkl) there; null draws queries from the graph"
        )
    states = tuple((path, path.stat().st_mtime_ns, path.stat().st_size) for path in files)
    task["sha256"] = _checksum(states)
    for key in OF_DRAWING:
        task.pop(key, None)


@functools.lru_cache(maxsize=16)  # a sweep of thousands asks for the same few again and again
def _checksum(states: tuple[tuple[Path, int, int], ...]) -> str:
    digest = hashlib.sha256()
    for path, *_ in states:
        digest.update(path.name.encode() + hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def check_query_answering(options: dict[str, Any]) -> None:
    """Ranges and choices of `task=query_answering`.

    Raises:
        ConfigError: names the key and what would do.
    """
    for key in OF_DRAWING:
        value, least = options.get(key, 1), int(key != "query_seed")
        if isinstance(value, bool) or not (isinstance(value, int) and value >= least):
            raise ConfigError(f"task.{key}={value}: must be a whole number, at least {least}")
    k = options["k"]
    if k is not None and (isinstance(k, bool) or not (isinstance(k, int) and k >= 1)):
        raise ConfigError(
            f"task.k={k}: must be a whole number, at least 1, or null for exact answers"
        )
    tnorm = str(options["tnorm"])
    if tnorm not in TNORMS:
        raise ConfigError(unknown(f"task.tnorm={tnorm}", tnorm, TNORMS))
    names = options["structures"]
    if not isinstance(names, list) or not names or not all(isinstance(name, str) for name in names):
        raise ConfigError(f"task.structures={names}: must be a list of names, such as [1p,2p,2i]")
    try:
        for name in names:
            structure(name)
    except UnknownStructure as error:
        raise ConfigError(f"task.structures: {error}") from None
    twice = {name for name in names if names.count(name) > 1}
    if twice:
        raise ConfigError(f"task.structures: {', '.join(sorted(twice))} is there twice")
