"""Merges of generated hashed text along a path of penalties, in one process: one row of path.py.

python -m benchmarks.merging.path_row --out FILE --rows 50000 --features 1000000 --parts 32
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

from threadpoolctl import threadpool_limits

from aswa.data.sparse.synthetic import hashed
from aswa.merging.computation import Computation, MergeOptions
from aswa.merging.logistic import largest_l1
from aswa.merging.methods import (
    ACOWA,
    OWA,
    CentroidsOnly,
    FullSolveMethod,
    NaiveAverage,
    VotesOnly,
)
from aswa.merging.partitions import split_rows
from aswa.merging.rows import checked_parts
from aswa.merging.task import auc
from benchmarks.peers import process_memory

METHODS = {
    "full_solve": FullSolveMethod(),
    "avgm": NaiveAverage(),
    "owa": OWA(),
    "votes_only": VotesOnly(),
    "centroids_only": CentroidsOnly(),
    "acowa": ACOWA(),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--rows", type=int, required=True)
    parser.add_argument("--features", type=int, required=True)
    parser.add_argument("--parts", type=int, required=True)
    parser.add_argument("--shares", type=float, nargs="+", default=[0.03])
    parser.add_argument("--methods", nargs="+", default=list(METHODS))
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    with threadpool_limits(options.threads):
        record = measure(options)
    options.out.write_text(json.dumps(record))


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Seconds, CPU seconds, memory; of each method its critical path, work, nonzeros and AUC."""
    data = hashed(options.rows, options.features)
    X, y = data.of("train")
    test, right = data.of("test")
    chosen = split_rows(y, options.parts)
    parts = checked_parts([(X[rows], y[rows]) for rows in chosen])
    process_memory.reset_peak()
    wall, cpu = time.perf_counter(), time.process_time()
    found = []
    for share in options.shares:
        at = Computation(parts, MergeOptions(share * largest_l1(X, y)))
        for name in options.methods:
            merged = at.merged(METHODS[name])
            found.append(
                {
                    "method": name,
                    "share": share,
                    "critical_path": merged.critical_path,
                    "work": merged.work,
                    "nonzeros": int((merged.weights != 0).sum()),
                    "auc": auc(test @ merged.weights, right),
                    "bytes": merged.ledger.total(),
                }
            )
    return {
        "seconds": time.perf_counter() - wall,
        "cpu_seconds": time.process_time() - cpu,
        "mib": process_memory.peak_mib(),
        "merges": found,
    }


if __name__ == "__main__":
    main()
