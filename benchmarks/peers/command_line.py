"""The arguments that a peer's scripts on large graphs share, and how one of an epoch ends.

All of them are told the same graph, model, threads and memory, and write one JSON object to `--out`
(peers venv).
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import process_memory


def parser(description: str) -> argparse.ArgumentParser:
    """What every script is told."""
    made = argparse.ArgumentParser(description=description)
    made.add_argument("--data", type=Path, required=True, help="folder of train, valid, test.txt")
    made.add_argument("--model", choices=["DistMult", "ComplEx"], required=True)
    made.add_argument("--dim", type=int, required=True)
    made.add_argument("--threads", type=int, default=2)
    made.add_argument("--cap-gib", type=float, default=16)
    made.add_argument("--out", type=Path, required=True)
    return made


def ranking_parser(description: str) -> argparse.ArgumentParser:
    """What a ranking is told besides."""
    made = parser(description)
    made.add_argument("--weights", type=Path, required=True, help="entity.npy, relation.npy")
    made.add_argument("--batches", type=int, nargs="+", help="sizes to try on a part")
    made.add_argument("--share", type=float, default=0.1)
    made.add_argument("--batch", type=int, help="size with which to rank everything")
    made.add_argument("--ranks", type=Path)
    return made


def run_epoch(
    peer: str, description: str, measure: Callable[[argparse.Namespace], dict[str, Any]]
) -> None:
    """The command of an epoch: what `measure` finds, or that memory did not suffice."""
    wanted = parser(description)
    wanted.add_argument("--batch", type=int, required=True)
    wanted.add_argument("--seconds", type=float, default=40, help="of training, then it stops")
    wanted.add_argument("--lr", type=float, default=0.01)
    options = wanted.parse_args()
    record: dict[str, Any] = {"peer": peer, "version": version(peer), "batch": options.batch}
    try:
        record |= measure(options)
    except (MemoryError, RuntimeError) as error:
        if not process_memory.is_out_of_memory(error):
            raise
        record["out_of_memory"] = options.cap_gib
    options.out.write_text(json.dumps(record))
