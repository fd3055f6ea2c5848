"""What trackers wrote, read back: W&B's offline files, TensorBoard's events, the CSV file."""

from __future__ import annotations

import csv
import json
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple


def read_csv(path: Path) -> list[dict[str, str]]:
    with path.open() as file:
        return list(csv.DictReader(file))


def read_events(folder: Path) -> tuple[dict[str, list[tuple[int, float]]], dict[str, list[str]]]:
    """Scalars as (step, value) and texts by name, as they are in the files: nothing is purged."""
    from tensorboard.backend.event_processing.event_file_loader import EventFileLoader

    scalars: dict[str, list[tuple[int, float]]] = {}
    texts: dict[str, list[str]] = {}
    for path in sorted(folder.glob("events.out.tfevents.*")):
        for event in EventFileLoader(str(path)).Load():
            for value in event.summary.value:
                if value.metadata.plugin_data.plugin_name == "text":
                    words = texts.setdefault(value.tag.removesuffix("/text_summary"), [])
                    words.append(value.tensor.string_val[0].decode())
                else:
                    points = scalars.setdefault(value.tag, [])
                    points.append((event.step, value.tensor.float_val[0]))
    return scalars, texts


class Series(NamedTuple):
    """How W&B shows a series."""

    step: str
    best: str | None


class OfflineRun(NamedTuple):
    """What `wandb sync` would send; `run` is W&B's own record."""

    history: list[dict[str, Any]]
    summary: dict[str, Any]
    config: dict[str, Any]
    metrics: dict[str, Series]
    run: Any
    artifacts: dict[str, set[str]]


def read_offline_run(results: Path) -> OfflineRun:
    """The offline runs of one id, one after the other."""
    from wandb.proto import wandb_internal_pb2

    found = OfflineRun([], {}, {}, {}, wandb_internal_pb2.RunRecord(), {})
    paths = sorted(results.glob("wandb/offline-run-*/run-*.wandb"))
    assert len({path.name for path in paths}) == 1, paths
    for data in (data for path in paths for data in log_records(path.read_bytes())):
        record = wandb_internal_pb2.Record()
        record.ParseFromString(data)
        if record.HasField("history"):
            found.history.append(_items(record.history.item))
        if record.HasField("metric"):
            best = record.metric.summary
            word = "max" if best.max else "min" if best.min else None
            found.metrics[record.metric.name] = Series(record.metric.step_metric, word)
        if record.HasField("run"):
            found.run.CopyFrom(record.run)
        if record.HasField("artifact"):
            files = {entry.path for entry in record.artifact.manifest.contents}
            found.artifacts[record.artifact.name] = files
        found.summary.update(_items(record.summary.update))
        found.config.update(_items(record.run.config.update))
    return found


def _items(updates: Any) -> dict[str, Any]:
    return {i.key or ".".join(i.nested_key): json.loads(i.value_json) for i in updates}


def log_records(content: bytes) -> Iterator[bytes]:
    """Records of a LevelDB log, which a .wandb file is, after 7 bytes of W&B's own.

    Blocks of 32 KiB; a piece is checksum (4), length (2), kind (1: whole, 2: first, 3: middle,
    4: last), data; no piece starts in the last 6 bytes of a block.
    """
    block, at, pieces = 32768, 7, b""
    while at + 7 <= len(content):
        if block - at % block < 7:
            at += block - at % block
            continue
        length, kind = struct.unpack_from("<HB", content, at + 4)
        pieces += content[at + 7 : at + 7 + length]
        at += 7 + length
        if kind in (1, 4):
            yield pieces
            pieces = b""
