"""`aswa-queries DATASET`: draw logical queries on a graph, print their statistics, write files.

    aswa-queries umls                                  # 1,000 of each structure, for the test split
    aswa-queries fb15k_237 --split valid --structures 2p 3p --queries 100 --out queries/

The queries are those that `task=query_answering` answers; the files are in the form of BetaE's.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from aswa.config.members import folders_of_members
from aswa.config.messages import nearest
from aswa.data.fetching.sources import read_datasets
from aswa.data.folders import find_folder
from aswa.queries.algebra import STRUCTURES, structure
from aswa.registry import kinds


def main(argv: list[str] | None = None) -> int:
    """Console entry point. Returns 0, or 2 if a word is wrong or the graph is not there."""
    args = _parser().parse_args(argv)
    try:
        return _run(args)
    except (FileNotFoundError, ValueError) as error:
        print(f"aswa-queries: {error}", file=sys.stderr)
        return 2


def _run(args: argparse.Namespace) -> int:
    known = read_datasets(*(folder / "dataset" for folder in folders_of_members()))
    with_queries = {name for name, kind in kinds().items() if "query_answering" in kind.tasks}
    graphs = {name: each for name, each in known.items() if each.kind in with_queries}
    if args.dataset not in graphs:
        raise ValueError(f"{args.dataset}: no such graph; {nearest(args.dataset, graphs)}")
    for name in args.structures:
        structure(name)
    for option in ("queries", "max_answers"):
        if getattr(args, option) < 1:
            raise ValueError(f"--{option.replace('_', '-')}: must be at least 1")
    files = graphs[args.dataset]
    folder = find_folder(files.folder, args.data_dir)

    # Only now what takes a second to import.
    from aswa.data.knowledge_graph import read_graph
    from aswa.queries.betae import write_betae
    from aswa.queries.cache import cached_queries
    from aswa.queries.statistics import describe

    graph = read_graph(folder, files.sha256).with_reciprocals()
    start = time.perf_counter()
    drawn = cached_queries(
        graph, args.split, args.structures, args.queries,
        seed=args.seed, max_answers=args.max_answers,
    )  # fmt: skip
    print(f"{args.dataset}, {args.split}: {time.perf_counter() - start:.1f} s\n")
    print(describe(drawn.values()))
    if args.out is not None:
        found = {name: queries for name, queries in drawn.items() if len(queries)}
        write_betae(args.out, graph, {args.split: found})
        print(f"\nwritten to {args.out}; answer them with task.folder={args.out}")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="aswa-queries",
        description="Draw logical queries whose answers need edges of a split, and say what they "
        "are like. Drawn queries are kept in the user's cache.",
    )
    parser.add_argument("dataset", help="a knowledge graph of conf/dataset/")
    parser.add_argument("--split", choices=("valid", "test"), default="test", help="held out")
    parser.add_argument(
        "--structures", nargs="+", default=list(STRUCTURES), metavar="NAME",
        help=f"some of {', '.join(STRUCTURES)} (default: all)",
    )  # fmt: skip
    parser.add_argument("--queries", type=int, default=1000, help="of each structure")
    parser.add_argument("--seed", type=int, default=0, help="task.query_seed of a run")
    parser.add_argument("--max-answers", type=int, default=100, help="task.max_answers of a run")
    parser.add_argument("--data-dir", help="folder of dataset folders; see aswa-fetch")
    parser.add_argument("--out", type=Path, help="write BetaE's files into this folder")
    return parser


if __name__ == "__main__":
    sys.exit(main())
