"""One row of scaling.py, in a process of its own: seconds, MRR and memory of answering.

    python -m benchmarks.queries.scaling_row --out FILE --weights FILE --k 64 [--queries 1000]
    python -m benchmarks.queries.scaling_row --out FILE --entities 32000 --k 64

The first answers drawn queries on FB15k-237's test split with given weights; the second random
queries with random weights, of which only time and memory mean anything.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import torch

from aswa.data.folders import find_folder
from aswa.data.knowledge_graph import read_graph
from aswa.models import kge
from aswa.queries.algebra import STRUCTURES, columns
from aswa.queries.answering import Answerer
from aswa.queries.cache import cached_queries
from aswa.queries.fuzzy_logic import LOGICS
from aswa.queries.generation import Answers, Queries
from aswa.queries.ranking import QueryRanking
from benchmarks.peers import process_memory

RELATIONS, HARD = 40, 5  # of random queries


def random_queries(name: str, n: int, n_entities: int) -> Queries:
    """Queries with a few answers each, all by chance."""
    generator = torch.Generator().manual_seed(0)
    sizes = {"e": n_entities, "r": RELATIONS}
    drawn = [torch.randint(sizes[c], (n,), generator=generator) for c in columns(STRUCTURES[name])]
    answers = torch.randint(n_entities, (n, HARD), generator=generator)
    query = torch.arange(n).repeat_interleave(HARD)
    hard = Answers.of(query, answers.flatten(), n)
    easy = Answers.of(query[:0], answers.flatten()[:0], n)
    return Queries(name, torch.stack(drawn, 1), easy, hard, torch.empty(0, dtype=torch.int64))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--weights", type=Path)
    parser.add_argument("--entities", type=int)
    parser.add_argument("--structures", nargs="+", default=list(STRUCTURES))
    parser.add_argument("--queries", type=int, default=1000)
    parser.add_argument("--first", type=int, help="answer only so many of the queries")
    parser.add_argument("--k", type=int, required=True, help="0: all, exactly")
    parser.add_argument("--tnorm", default="product")
    parser.add_argument("--dim", type=int, default=32)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--memory-budget", type=int, default=256, help="MiB, as in conf/")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    if options.weights:
        graph = read_graph(find_folder("fb15k-237", None)).with_reciprocals()
        n, m = len(graph.entities), len(graph.relations)
        queries = cached_queries(graph, "test", options.structures, options.queries)
        del graph
    else:
        n, m = options.entities, RELATIONS
        queries = {name: random_queries(name, options.queries, n) for name in options.structures}
    if options.first:
        queries = {name: first(each, options.first) for name, each in queries.items()}
    model = kge.build("complex", n, m, options.dim).eval()
    if options.weights:
        model.load_state_dict(torch.load(options.weights))
    answerer = Answerer(model, LOGICS[options.tnorm](), options.k or n)
    fresh = process_memory.reset_peak()
    before = process_memory.resident_mib()
    rows: dict[str, Any] = {}
    for name, each in queries.items():
        ranking = QueryRanking(each, n, torch.device("cpu"), options.memory_budget * 2**20)
        start = time.perf_counter()
        metrics = ranking.metrics(answerer)
        seconds = time.perf_counter() - start
        rows[name] = {"queries": len(each), "seconds": seconds, "mrr": metrics["mrr"]}
    peak = process_memory.peak_mib()
    record = {"rows": rows, "mib": peak - before, "peak_mib": peak, "peak_is_fresh": fresh}
    options.out.write_text(json.dumps(record))


def first(queries: Queries, n: int) -> Queries:
    """The first n of the queries."""

    def of(answers: Answers) -> Answers:
        return Answers(answers.starts[: n + 1], answers.entities[: answers.starts[n]])

    rows, easy, hard = queries.rows[:n], of(queries.easy), of(queries.hard)
    return Queries(queries.structure, rows, easy, hard, queries.needed[: len(hard.entities)])


if __name__ == "__main__":
    main()
