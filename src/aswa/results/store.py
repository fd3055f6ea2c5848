"""Records on disk: `results/runs/<dataset>/<model>/<run_id>/`.

    result.json    the finished run, written once, last and atomically
    status.json    what the run is doing, or the traceback it died of
    history.json   one entry an epoch: losses, validation scores, decisions
    plan.json      what the run was planned with

Each may be packed, as `result.json.gz`; what is written is never packed, and is read first. Disk is
the truth; trackers only mirror it. JSON is strict: a number that is not finite is null.
Imports neither torch nor anything of training.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import zlib
from collections import deque
from collections.abc import Iterator
from operator import itemgetter
from pathlib import Path
from typing import Any

import orjson

from aswa.files import canonical_json, write_bytes

SCHEMA = 2
PACKED = ".gz"
READABLE = (1, 2)
FINISHED = ("done", "collapsed")
ROW = ("metric", "optimizer", "split", "value")
REQUIRED = ("schema", "run_id", "status", "dataset", "model", "seed", "rows")


class CorruptRecord(ValueError):
    """A record that cannot be trusted: truncated, garbage, or changed after it was written."""

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(f"{path}: {reason}")
        self.path, self.reason = path, reason


def digest(record: dict[str, Any]) -> str:
    """sha256 of a record without its own `sha256` field."""
    body = {key: value for key, value in record.items() if key != "sha256"}
    if record.get("schema") == 1:
        return hashlib.sha256(canonical_json(body).encode()).hexdigest()
    return hashlib.sha256(orjson.dumps(body, option=orjson.OPT_SORT_KEYS)).hexdigest()


def write_record(path: Path, record: dict[str, Any]) -> None:
    """Write a JSON record with its schema and its digest, atomically."""
    body = {"schema": SCHEMA, **record}
    content = orjson.dumps({**body, "sha256": digest(body)}, option=orjson.OPT_INDENT_2)
    write_bytes(path, content + b"\n")


def read_record(path: Path) -> dict[str, Any]:
    """Read a JSON record and check its digest, where it carries one.

    Raises:
        FileNotFoundError: there is no such file.
        CorruptRecord: it is not JSON, not an object, or not what was written.
    """
    try:
        content = _content(path)
        try:
            record = orjson.loads(content)
        except ValueError:
            record = json.loads(content)  # schema 1 has NaN and Infinity
    except ValueError as error:
        raise CorruptRecord(path, f"not valid JSON ({error})") from None
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise CorruptRecord(path, f"packed and damaged ({error})") from None
    if not isinstance(record, dict):
        raise CorruptRecord(path, "not a JSON object")
    if "sha256" in record and record["sha256"] != digest(record):
        raise CorruptRecord(path, "its content does not match its sha256")
    return record


def _content(path: Path) -> bytes:
    """The bytes of a record, packed or not."""
    packed = path.with_name(f"{path.name}{PACKED}")
    if path.is_file() or not packed.is_file():
        return path.read_bytes()
    return gzip.decompress(packed.read_bytes())


def has_result(folder: Path) -> bool:
    """A run's folder has the record of a finished run, packed or not."""
    return any((folder / f"result.json{ending}").is_file() for ending in ("", PACKED))


def pack(path: Path, target: Path) -> None:
    """Write a packed copy of a record; equal records give equal bytes."""
    content = orjson.dumps(read_record(path))
    write_bytes(target.with_name(f"{target.name}{PACKED}"), gzip.compress(content, mtime=0))


def read_result(path: Path) -> dict[str, Any]:
    """Read a `result.json`. Same errors as `read_record`, and missing fields named."""
    record = read_record(path)
    if missing := [key for key in REQUIRED if key not in record]:
        raise CorruptRecord(path, f"lacks {', '.join(missing)}")
    if record["status"] not in FINISHED:
        raise CorruptRecord(path, f"status {record['status']!r} is not that of a finished run")
    try:
        deque(map(itemgetter(*ROW), record["rows"]), maxlen=0)
    except (KeyError, TypeError):
        raise CorruptRecord(path, f"its rows lack some of {', '.join(ROW)}") from None
    if record["schema"] not in READABLE:
        raise CorruptRecord(path, f"schema {record['schema']!r}, this version reads {SCHEMA}")
    return record


def result_paths(results_dir: Path) -> Iterator[Path]:
    """Every `result.json` under `RESULTS_DIR/runs`, in sorted order; of packed ones, as if not."""
    folders = {path.parent for path in results_dir.glob("runs/*/*/*/result.json*")}
    yield from (path / "result.json" for path in sorted(folders) if has_result(path))
