"""What queries cost on FB15k-237, and as k and the graph grow; ours alone, on a CPU.

A ComplEx of 32 dimensions is trained for some epochs. Then, each in a process of its own:

- 1,000 test queries of each structure answered and ranked, by k: milliseconds a query, MRR, and the
  peak of memory above what was resident with weights and queries. Budget: `--memory-budget` for
  ranking, which is the option of that name, and `BESIDE` for answering: together the target;
- the first queries of each structure with a variable, by k and exactly (every variable over all
  entities): how far the MRR of a beam is from the exact one;
- random queries over random weights with more and more entities: time and memory.

    python -m benchmarks.queries.scaling
"""

from __future__ import annotations

import argparse
import math
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any

import torch

from aswa.config import load
from aswa.queries.algebra import STRUCTURES
from aswa.training.session import execute
from benchmarks import side_by_side as sbs

BESIDE = 256  # MiB: matrices of truth values at each level of a query, blocks of scores, filters
CHAINED = ("2p", "3p", "ip", "pi", "up", "inp", "pin", "pni")


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=10, help="of training")
    parser.add_argument("--queries", type=int, default=1000)
    parser.add_argument("--ks", type=int, nargs="+", default=[4, 16, 64, 256])
    parser.add_argument(
        "--exact", type=int, default=50, help="queries a structure answered exactly"
    )
    parser.add_argument("--tnorms", nargs="+", default=["product", "minimum", "lukasiewicz"])
    parser.add_argument(
        "--entities", type=int, nargs="+", default=[8000, 16000, 32000, 64000, 128000]
    )
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--memory-budget", type=int, default=256, help="MiB, as in conf/")
    parser.add_argument("--weights", type=Path, help="of an earlier training")
    parser.add_argument("--results", type=Path, default=sbs.RESULTS)
    return parser.parse_args()


def train(folder: Path, epochs: int) -> Path:
    """Weights of a ComplEx on FB15k-237, as conf/experiment/link_prediction_cpu.yaml has it."""
    words = ["dataset=fb15k_237", "model=complex", "model.dim=32", "optimizer=sgd", "lr=0.01"]
    words += [f"epochs={epochs}", "batch_size=256", "device=cpu", "save_weights=true"]
    config = load([*words, f"results_dir={folder}"])
    execute(config, report=lambda _: None)
    return config.folder / "weights" / "sgd.pt"


def row(options: argparse.Namespace, **arguments: Any) -> dict[str, Any]:
    """The record of scaling_row.py."""
    words: list[Any] = ["--threads", options.threads, "--memory-budget", options.memory_budget]
    for key, value in arguments.items():
        words += [f"--{key}", *(value if isinstance(value, (list, tuple)) else [value])]
    found = sbs.run(sys.executable, sbs.HERE / "queries" / "scaling_row.py", words, options.threads)
    return {**arguments, **found, "weights": None}


def slope(xs: list[float], ys: list[float]) -> float:
    """Least squares in log-log."""
    x, y = ([math.log(v) for v in values] for values in (xs, ys))
    return statistics.linear_regression(x, y).slope


def main() -> None:
    options = parse()
    machine = sbs.machine(options.threads)
    with tempfile.TemporaryDirectory(prefix="query-scaling-") as name:
        torch.set_num_threads(options.threads)
        weights = options.weights or train(Path(name), options.epochs)
        given = {"weights": weights, "queries": options.queries}
        whole = [
            row(options, **given, k=k, tnorm=tnorm)
            for tnorm in options.tnorms
            for k in (options.ks if tnorm == "product" else [64])
        ]
        some = {**given, "structures": CHAINED, "first": options.exact}
        exact = [row(options, **some, k=k) for k in [*options.ks, 1024, 0]]
    growing = [
        row(options, entities=n, k=64, queries=200, structures=["2p"]) for n in options.entities
    ]
    record = {"whole": whole, "exact": exact, "growing": growing, "machine": machine}
    sbs.save("query_scaling", record, describe(record, options), options.results)


def describe(record: dict[str, Any], options: argparse.Namespace) -> str:
    """The page."""
    machine, budget = record["machine"], options.memory_budget + BESIDE
    parts = [
        f"{machine['processor']}, {machine['cores']} cores, {options.threads} thread(s), torch "
        f"{machine['torch']}, {machine['date']}, load before {machine['load_before']:.2f}; "
        f"FB15k-237, ComplEx, dim 32, {options.epochs} epochs; n = 1."
    ]
    lines = [
        [each["tnorm"], str(each["k"]), *(_ms(each, s) for s in STRUCTURES), _total(each),
         f"{each['mib']:.0f}"]
        for each in record["whole"]
    ]  # fmt: skip
    heads = ["t-norm", "k", *STRUCTURES, "all, s", "MiB"]
    most = max(each["mib"] for each in record["whole"])
    verdict = "met" if most <= budget else "missed"
    parts += [
        f"Milliseconds a query, answered and ranked, {options.queries} of each structure:",
        sbs.markdown(heads, lines),
        f"Memory above weights and queries: at most {most:.0f} MiB (budget {budget}: {verdict}).",
        f"MRR of the same, {options.queries} of each structure:",
        sbs.markdown(heads[:-2], [
            [each["tnorm"], str(each["k"]), *(f"{each['rows'][s]['mrr']:.3f}" for s in STRUCTURES)]
            for each in record["whole"]
        ]),
        f"MRR of the first {options.exact} queries of each structure with a variable, product:",
        sbs.markdown(["k", *CHAINED, "mean", "ms a query"], [
            [str(each["k"] or "all, exactly"),
             *(f"{each['rows'][s]['mrr']:.4f}" for s in CHAINED),
             f"{statistics.fmean(each['rows'][s]['mrr'] for s in CHAINED):.4f}",
             f"{statistics.fmean(1e3 * _seconds(each, s) for s in CHAINED):.2f}"]
            for each in record["exact"]
        ]),
    ]  # fmt: skip
    product = [each for each in record["whole"] if each["tnorm"] == "product"]
    growing = record["growing"]
    by_k = slope([e["k"] for e in product], [_seconds(e, "2p") for e in product])
    by_n = slope([e["entities"] for e in growing], [_seconds(e, "2p") for e in growing])
    memory = slope([e["entities"] for e in growing], [e["mib"] for e in growing])
    parts += [
        "Random 2p queries over random weights, k = 64:",
        sbs.markdown(["entities", "ms a query", "MiB"], [
            [f"{e['entities']:,}", _ms(e, "2p"), f"{e['mib']:.0f}"] for e in growing
        ]),
        f"Slopes in log-log: time against k {by_k:.2f} (2p on FB15k-237), time against entities "
        f"{by_n:.2f}, memory against entities {memory:.2f}.",
    ]  # fmt: skip
    return "\n\n".join(parts)


def _seconds(each: dict[str, Any], structure: str) -> float:
    """Of one query."""
    found = each["rows"][structure]
    return float(found["seconds"] / found["queries"])


def _ms(each: dict[str, Any], structure: str) -> str:
    return f"{1e3 * _seconds(each, structure):.2f}"


def _total(each: dict[str, Any]) -> str:
    return f"{sum(found['seconds'] for found in each['rows'].values()):.0f}"


if __name__ == "__main__":
    main()
