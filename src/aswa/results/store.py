"""The record of a run on disk: `results/runs/<dataset>/<model>/<run_id>/`.

    result.json    the finished run, written once, last and atomically
    status.json    what the run is doing, or the traceback it died of
    history.json   one entry an epoch: losses, validation scores, decisions

Disk is the truth; trackers only mirror it. Imports neither torch nor anything of training.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections import deque
from collections.abc import Iterator
from operator import itemgetter
from pathlib import Path
from typing import Any

import orjson

from aswa.files import canonical_json, write_bytes

SCHEMA = 1
EXPONENT = re.compile(rb"e(-)(\d)(?=[,\]}])")  # of one digit, where Python has two
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
    return hashlib.sha256(canonical_json(body).encode()).hexdigest()


def write_record(path: Path, record: dict[str, Any]) -> None:
    """Write a JSON record with its digest, atomically. Non-finite floats stay `NaN`/`Infinity`."""
    sealed = {**record, "sha256": digest(record)}
    write_bytes(path, (json.dumps(sealed, indent=1, ensure_ascii=False) + "\n").encode())


def read_record(path: Path) -> dict[str, Any]:
    """Read a JSON record and check its digest, where it carries one.

    Raises:
        FileNotFoundError: there is no such file.
        CorruptRecord: it is not JSON, not an object, or not what was written.
    """
    content = path.read_bytes()
    if (quick := _quickly(content)) is not None:
        return quick
    try:
        record = json.loads(content)
    except ValueError as error:
        raise CorruptRecord(path, f"not valid JSON ({error})") from None
    if not isinstance(record, dict):
        raise CorruptRecord(path, "not a JSON object")
    if "sha256" in record and record["sha256"] != digest(record):
        raise CorruptRecord(path, "its content does not match its sha256")
    return record


def _quickly(content: bytes) -> dict[str, Any] | None:
    """A record whose digest is right by orjson, ten times as fast as Python; None if it is not so.

    That may only be because it has numbers that orjson reads or writes otherwise: Python decides.
    """
    try:
        record = orjson.loads(content)
        body = {key: value for key, value in record.items() if key != "sha256"}
        text = orjson.dumps(body, option=orjson.OPT_SORT_KEYS)
    except (AttributeError, TypeError, ValueError):
        return None
    text = EXPONENT.sub(rb"e\g<1>0\g<2>", text)
    same = record.get("sha256") == hashlib.sha256(text).hexdigest()
    return record if same else None


def read_result(path: Path) -> dict[str, Any]:
    """Read a `result.json` of schema 1. Same errors as `read_record`, and missing fields named."""
    record = read_record(path)
    missing = [key for key in REQUIRED if key not in record]
    if missing:
        raise CorruptRecord(path, f"lacks {', '.join(missing)}")
    if record["status"] not in FINISHED:
        raise CorruptRecord(path, f"status {record['status']!r} is not that of a finished run")
    try:
        deque(map(itemgetter(*ROW), record["rows"]), maxlen=0)
    except (KeyError, TypeError):
        raise CorruptRecord(path, f"its rows lack some of {', '.join(ROW)}") from None
    if record["schema"] != SCHEMA:
        raise CorruptRecord(path, f"schema {record['schema']!r}, this version reads {SCHEMA}")
    return record


def result_paths(results_dir: Path) -> Iterator[Path]:
    """Every `result.json` under `RESULTS_DIR/runs`, in sorted order."""
    yield from sorted(results_dir.glob("runs/*/*/*/result.json"))
