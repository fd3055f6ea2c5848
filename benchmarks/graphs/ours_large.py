"""Our side of the benchmarks of large graphs: one process, one measurement, one JSON object.

    rank    filtered ranking of the test split for given weights: `ranks` the ranking alone, `whole`
            the index of known triples, the filter and the ranking. The median of both is over
            `--rounds` in this process. With `--gemm` also how fast this process multiplies
            matrices: large square ones, and the shapes that ranking multiplies.
    train   one KvsAll epoch through Trajectory (optimizer=sgd: nothing rides on it). With
            `--seconds` the epoch is cut short after that time and the rest extrapolated linearly.
    read    parsing the files (and filling the cache), and reading them a second time, from there.

Overrides are as for aswa-train. Peak memory is that of the whole process, imports, reading the
graph and its validation ranking included, except where it is said to begin later.

    python -m benchmarks.graphs.ours_large rank dataset=umls model=complex model.dim=32 --out r.json
"""

from __future__ import annotations

import argparse
import importlib
import itertools
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from aswa.config import RunConfig, load
from aswa.data.folders import EMBEDDED, find_folder
from aswa.data.knowledge_graph import read_graph
from aswa.tasks.link_prediction import LinkPrediction
from aswa.training.trajectory import Trajectory
from benchmarks.peers import process_memory

FIXED = ["device=cpu", "tracker=none", "optimizer=sgd", "epochs=1", "lr=0.01"]
WARM_UP = 2  # batches before the clock, and of a cut epoch before its rate is taken


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("command", choices=["rank", "train", "read"])
    parser.add_argument("overrides", nargs="+", help="as for aswa-train")
    parser.add_argument("--weights", type=Path, help="rank: entity.npy, relation.npy")
    parser.add_argument("--rounds", type=int, default=1, help="rank: times in this process")
    parser.add_argument("--gemm", action="store_true", help="rank: measure matrix products too")
    parser.add_argument("--ranks", type=Path, help="rank: write them here (.npy)")
    parser.add_argument("--seconds", type=float, help="train: cut the epoch short")
    parser.add_argument("--out", type=Path, required=True)
    return parser.parse_intermixed_args()


def timed(function: Callable[[], Any]) -> tuple[float, Any]:
    start = time.perf_counter()
    result = function()
    return time.perf_counter() - start, result


def best(function: Callable[[], Any], seconds: float = 1.0) -> float:
    """Least time of a call, of as many as fit (three or more), after one that does not count."""
    function()
    times, start = [], time.perf_counter()
    while len(times) < 3 or time.perf_counter() - start < seconds:
        times.append(timed(function)[0])
    return min(times)


def gemm(m: int, n: int, k: int, width: int) -> dict[str, Any]:
    """GFLOP/s of fp32 products: the best large square one, and ranking's own.

    The latter is [m, k] × [n, k]ᵀ in blocks of `width` columns, written one after the other.
    """
    square = {}
    for size in (2048, 3072, 4096):
        a, b = torch.rand(size, size), torch.rand(size, size)
        square[size] = 2e-9 * size**3 / best(lambda a=a, b=b: torch.mm(a, b))
    q, blocks = torch.rand(m, k), torch.rand(n, k).split(width)
    places = torch.empty(m * n).split([m * len(block) for block in blocks])

    def as_in_ranking() -> None:
        for block, place in zip(blocks, places, strict=True):
            torch.mm(q, block.T, out=place.view(m, -1))

    at_shape = 2e-9 * m * n * k / best(as_in_ranking)
    rate = max(square.values())
    return {"square": square, "rate": rate, "shape": [m, n, k, width], "at_shape": at_shape}


def most_queries(model: Any, rank_once: Callable[[], Any]) -> int:
    """The most (h, r) that a ranking composes at a time."""
    sizes, queries = [], model.queries

    def watched(h: Tensor, r: Tensor) -> Tensor:
        sizes.append(len(h))
        return queries(h, r)

    model.queries = watched
    rank_once()
    del model.queries
    return max(sizes)


def rank(config: RunConfig, options: argparse.Namespace) -> dict[str, Any]:
    """Time, memory and (as a file) ranks of the test split."""
    task = LinkPrediction(config, torch.device("cpu"))
    model: Any = task.build_model(torch.Generator().manual_seed(0))
    if options.weights:
        for table in ("entity", "relation"):
            rows = torch.from_numpy(np.load(options.weights / f"{table}.npy"))
            with torch.no_grad():
                getattr(model, table).copy_(rows)
    model.eval()
    start_peak = process_memory.peak_mib()
    fresh_peak = process_memory.reset_peak()
    before = process_memory.resident_mib()
    whole, alone = [], []
    for _ in range(options.rounds):
        vars(task).pop("_test", None)  # so that its index and filter are built again
        build, ranking = timed(lambda: task._test)
        seconds, ranks = timed(lambda ranking=ranking: ranking.ranks(model.score_blocks))
        whole.append(build + seconds)
        alone.append(seconds)
    peak = process_memory.peak_mib()
    process_memory.reset_peak()
    filter_built = process_memory.resident_mib()
    rows = most_queries(model, lambda: task._test.ranks(model.score_blocks))
    pairs = task.graph.test[:, 0] * task.n_relations + task.graph.test[:, 1]
    queries = len(torch.unique(pairs))
    if options.ranks:
        np.save(options.ranks, ranks.numpy())
    record = {
        "ranks": len(ranks), "queries": queries, "mrr": float(ranks.reciprocal().mean()),
        "seconds": {"ranks": alone, "whole": whole},
        "gflop": 2e-9 * queries * task.n_entities * config.model.options["dim"],
        "mib": {
            "peak": max(start_peak, peak), "before": before, "whole": peak - before,
            "ranks": process_memory.peak_mib() - filter_built, "peak_is_fresh": fresh_peak,
        },
    }  # fmt: skip
    if options.gemm:
        dim = config.model.options["dim"]
        record["gemm"] = gemm(rows, task.n_entities, dim, task._test.width)
    return record


class CutEpoch:
    """Stands in for `task.losses`: the same batches until the time is up; when each was done."""

    def __init__(self, task: LinkPrediction, seconds: float | None) -> None:
        self._losses, self._seconds = task.losses, seconds
        self.start = 0.0
        self.ends: list[float] = []
        self.pairs: list[int] = []
        self.cut = False

    def __call__(
        self, model: Any, generator: torch.Generator, start: int = 0
    ) -> Iterator[tuple[Tensor, int]]:
        self.start = time.perf_counter()
        for loss, n in self._losses(model, generator, start):
            yield loss, n
            self.ends.append(time.perf_counter())  # the update step of the batch is done
            self.pairs.append(n)
            late = self._seconds and self.ends[-1] - self.start > self._seconds
            if late and len(self.ends) > WARM_UP:
                self.cut = True
                return

    def epoch_seconds(self, total: int) -> float:
        """The whole epoch: what was done, and the rest at the rate of the later batches."""
        i = WARM_UP - 1
        rate = (self.ends[-1] - self.ends[i]) / sum(self.pairs[WARM_UP:])
        return self.ends[-1] - self.start + rate * (total - sum(self.pairs))


def train(config: RunConfig, options: argparse.Namespace) -> dict[str, Any]:
    """Seconds of one epoch, measured or extrapolated, and memory."""
    importlib.import_module("torch._dynamo")  # seconds, which the first optimizer would pay

    task = LinkPrediction(config, torch.device("cpu"))
    graph = task.graph
    total = len(torch.unique(graph.train[:, 0] * task.n_relations + graph.train[:, 1]))
    start_peak = process_memory.peak_mib()
    losses, epoch = task.losses, CutEpoch(task, options.seconds)
    task.losses = epoch  # type: ignore[method-assign]
    trajectory = Trajectory(config, task)
    # Threads and memory are new in the first batches, and the index of the objective is built once
    # a run, like the peers' data sets.
    for loss, _ in itertools.islice(losses(trajectory.model, torch.Generator()), WARM_UP):
        loss.backward()
    trajectory.advance()
    seconds = trajectory.timers.seconds["train"]
    return {
        "pairs": total, "entities": task.n_entities, "batch": config.batch_size,
        "seconds": epoch.epoch_seconds(total) if epoch.cut else seconds,
        "extrapolated": epoch.cut, "pairs_done": sum(epoch.pairs),
        "mib": {"peak": process_memory.peak_mib(), "peak_before_training": start_peak},
    }  # fmt: skip


def read(config: RunConfig, options: argparse.Namespace) -> dict[str, Any]:
    """Triples a second of the first reading (no cache, if that is empty) and of the next.

    A small graph is read before: what the libraries load when first used is a time of its own.
    """
    folder = find_folder(config.dataset.folder, config.data_dir)
    start, _ = timed(lambda: read_graph(EMBEDDED / "umls"))
    first, graph = timed(lambda: read_graph(folder))
    again, _ = timed(lambda: read_graph(folder))
    triples = len(graph.train) + len(graph.valid) + len(graph.test)
    return {
        "triples": triples, "seconds": {"start": start, "first": first, "again": again},
        "mib": {"peak": process_memory.peak_mib()},
    }  # fmt: skip


def main() -> None:
    options = parse()
    config = load([*FIXED, *options.overrides])
    torch.set_num_threads(config.threads)
    record = {"rank": rank, "train": train, "read": read}[options.command](config, options)
    options.out.write_text(json.dumps(record))


if __name__ == "__main__":
    main()
