"""Time and memory as a graph grows, and a graph of YAGO3-10's size, for our side alone.

Generated graphs (generated_graph.py: a benchmark only) with `--base` × 1, 2, 4, 8, 16 entities, as
many relations in all, triples in proportion to entities. For each, in processes of their own:
seconds of a KvsAll epoch (cut after `--seconds` and extrapolated, marked *), seconds and memory of
ranking the same number of test triples, parsing rate. Memory of ranking is the peak from the moment
everything but the ranking is in memory, less what was resident then: `ranks` the ranking alone,
`whole` with the building of the index of known triples and the filter, which grow with the graph.

Exponents are least-squares slopes in log-log of the medians: epoch against examples × entities,
ranking seconds and memory against entities. A slope of 1 is linear, of 0 flat.

The last section does the same for one graph with YAGO3-10's numbers of entities, relations and
triples, under a stated memory budget of the ranking (`memory_budget`, MiB).

    python -m benchmarks.graphs.scaling [--repetitions 3]
    python -m benchmarks.graphs.scaling --datasets yago --parsing-only --name parsing
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import side_by_side as sbs
from benchmarks.graphs import large_graphs as lg
from benchmarks.graphs.generated_graph import YAGO, Size, generate, write

PARSING = 2e6  # triples a second
CACHED = 200_000  # triples from which a graph is surely cached
LINEAR, FLAT = 1.1, 0.1  # greatest slopes that count as near-linear and as flat


def parse() -> argparse.Namespace:
    parser = lg.parser(__doc__.splitlines()[0], "scaling")
    parser.set_defaults(models=["complex"], dims=[32], datasets=["growing", "yago"])
    parser.add_argument("--base", type=int, default=8000, help="entities of the smallest graph")
    parser.add_argument("--factors", type=int, nargs="+", default=[1, 2, 4, 8, 16])
    parser.add_argument("--triples", type=int, default=5, help="of train, for each entity")
    parser.add_argument("--relations", type=int, default=20)
    parser.add_argument("--test", type=int, default=2000)
    parser.add_argument("--seconds", type=float, default=60, help="of training, then it stops")
    parser.add_argument("--memory-budget", type=int, default=256, help="MiB, as in conf/")
    parser.add_argument("--parsing-only", action="store_true", help="yago: neither train nor rank")
    return parser.parse_args()


def settings(size: Size, folder: Path, model: str, dim: int, budget: int) -> list[str]:
    """Overrides for a generated graph in `folder`."""
    return [
        *size.overrides(folder.name), f"data_dir={folder.parent}", f"model={model}",
        f"model.dim={dim}", f"memory_budget={budget}",
    ]  # fmt: skip


def parsing(size: Size, folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    """Triples a second from the text files (nothing in the cache), and when read again."""
    records = []
    for _ in range(options.repetitions):
        cache = folder.parent / "cache"
        shutil.rmtree(cache, ignore_errors=True)
        lg.fresh_cache(cache)
        words = settings(size, folder, "complex", 32, options.memory_budget)
        records.append(lg.ours("read", words, threads=options.threads))
        if size.train >= CACHED and not cache.exists():
            raise SystemExit(f"nothing in {cache}: the first reading may not have been one of text")
    return {
        "triples": records[0]["triples"],
        "peak_mib": max(record["mib"]["peak"] for record in records),
        **{
            f"{when}_per_second": sbs.spread(
                [record["triples"] / record["seconds"][when] for record in records]
            )
            for when in ("first", "again")
        },
    }


def measure(
    size: Size, folder: Path, model: str, dim: int, options: argparse.Namespace
) -> dict[str, Any]:
    """Epoch and ranking of one graph."""
    words = settings(size, folder, model, dim, options.memory_budget)
    trained, ranked = [], []
    for _ in range(options.repetitions):
        cut = ("--seconds", options.seconds)
        trained.append(lg.ours("train", words, *cut, threads=options.threads))
        ranked.append(lg.ours("rank", words, "--rounds", 3, threads=options.threads))
    one = trained[0]
    return {
        "model": model, "dim": dim, "entities": one["entities"], "pairs": one["pairs"],
        "train_triples": size.train, "ranks": ranked[0]["ranks"],
        "epoch_s": sbs.spread([record["seconds"] for record in trained]),
        "extrapolated": any(record["extrapolated"] for record in trained),
        "rank_s": sbs.spread([s for record in ranked for s in record["seconds"]["ranks"]]),
        "rank_whole_s": sbs.spread([s for record in ranked for s in record["seconds"]["whole"]]),
        "rank_mib": sbs.spread([record["mib"]["ranks"] for record in ranked]),
        "rank_whole_mib": sbs.spread([record["mib"]["whole"] for record in ranked]),
        "train_peak_mib": max(record["mib"]["peak"] for record in trained),
        "rank_peak_mib": max(record["mib"]["peak"] for record in ranked),
    }  # fmt: skip


def slope(x: list[float], y: list[float]) -> float:
    """Exponent of y ∝ x^slope, by least squares on logarithms."""
    return float(np.polyfit(np.log(x), np.log(np.maximum(y, 1e-9)), 1)[0])


def exponents(cells: list[dict[str, Any]]) -> dict[str, float]:
    """Of one model's graphs."""
    entities = [cell["entities"] for cell in cells]
    scores = [cell["pairs"] * cell["entities"] for cell in cells]
    against = {
        "epoch_s": scores, "rank_s": entities, "rank_mib": entities, "rank_whole_mib": entities,
    }  # fmt: skip
    return {
        key: slope(x, [max(cell[key]["median"], 1.0 if "mib" in key else 0) for cell in cells])
        for key, x in against.items()
    }


def growing(options: argparse.Namespace, scratch: Path) -> dict[str, Any]:
    """The graphs of growing size, and the exponents of each model."""
    record: dict[str, Any] = {"graphs": [], "exponents": {}}
    for factor in options.factors:
        entities = options.base * factor
        size = Size(entities, options.relations, options.triples * entities, 500, options.test)
        folder = scratch / f"generated-{entities}"
        write(folder, generate(size), size)
        read = parsing(size, folder, options)
        for model in options.models:
            for dim in options.dims:
                cell = measure(size, folder, model, dim, options) | {"parsing": read}
                record["graphs"].append(cell)
                print(f"  × {factor} {model} {dim}", flush=True)
        shutil.rmtree(folder)
    for model in options.models:
        for dim in options.dims:
            cells = [c for c in record["graphs"] if (c["model"], c["dim"]) == (model, dim)]
            record["exponents"][f"{model} {dim}"] = exponents(cells)
    return record


def yago(options: argparse.Namespace, scratch: Path) -> dict[str, Any]:
    """The graph of YAGO3-10's size."""
    folder = scratch / "generated-yago"
    write(folder, generate(YAGO), YAGO)
    cells = [
        measure(YAGO, folder, model, dim, options)
        for model in ([] if options.parsing_only else options.models)
        for dim in options.dims
    ]
    return {
        "parsing": parsing(YAGO, folder, options), "graphs": cells,
        "memory_budget_mib": options.memory_budget,
    }  # fmt: skip


def graphs_table(cells: list[dict[str, Any]]) -> str:
    rows = []
    for cell in cells:
        star = "*" if cell["extrapolated"] else ""
        rows.append(
            [
                cell["model"], str(cell["dim"]), f"{cell['entities']:,}", f"{cell['pairs']:,}",
                sbs.span(cell["epoch_s"]) + star, f"{cell['ranks']:,}", sbs.span(cell["rank_s"], 2),
                sbs.span(cell["rank_whole_s"], 2), sbs.span(cell["rank_mib"], 0),
                sbs.span(cell["rank_whole_mib"], 0),
                f"{cell['train_peak_mib']:,.0f}, {cell['rank_peak_mib']:,.0f}",
            ]
        )  # fmt: skip
    heads = [
        "model", "dim", "entities", "examples", "epoch s", "ranks", "ranking s", "with the filter",
        "ranking adds MiB", "with the filter", "peak MiB: training, ranking",
    ]  # fmt: skip
    return sbs.markdown(heads, rows)


def rates(read: dict[str, Any]) -> str:
    first, again = (
        {key: value / 1e6 for key, value in read[f"{when}_per_second"].items()}
        for when in ("first", "again")
    )
    return (
        f"{sbs.span(first, 2)} million triples/s from text, "
        f"{again['median']:.1f} million/s when read again"
    )


def report(record: dict[str, Any]) -> str:
    about = record["settings"]
    budget = about["memory_budget"]
    head = f"ranking's memory budget {budget} MiB; n = {about['repetitions']}, medians (range)"
    parts = [lg.heading(record["machine"], head)]
    targets = []
    if grown := record.get("growing"):
        parts += ["Generated graphs, for benchmarks only.", graphs_table(grown["graphs"]), lg.STAR]
        for name, got in grown["exponents"].items():
            parts.append(
                f"Exponents, {name}: epoch {got['epoch_s']:.2f} (against examples × entities); "
                f"against entities: ranking {got['rank_s']:.2f}, its memory {got['rank_mib']:.2f}, "
                f"with index and filter {got['rank_whole_mib']:.2f}."
            )
        found = grown["exponents"].values()
        linear, flat = (
            sum(e[key] <= most for e in found)
            for key, most in (("epoch_s", LINEAR), ("rank_mib", FLAT))
        )
        targets += [
            lg.verdict(linear, len(found), f"Epoch near-linear (at most {LINEAR:g})"),
            lg.verdict(flat, len(found), f"Ranking memory flat (at most {FLAT:g})"),
        ]
        parts.append("Parsing: " + "; ".join(_parsed(grown["graphs"])) + ".")
    if big := record.get("yago"):
        parts += [
            f"A generated graph of YAGO3-10's size ({YAGO.entities:,} entities, {YAGO.relations} "
            f"relations, {YAGO.train:,} + {YAGO.valid:,} + {YAGO.test:,} triples), not YAGO3-10. "
            f"Parsing: {rates(big['parsing'])}; peak {big['parsing']['peak_mib']:,.0f} MiB.",
        ]
        fast = big["parsing"]["first_per_second"]["median"] >= PARSING
        targets.append(
            lg.verdict(int(fast), 1, f"Parsing at least {PARSING / 1e6:g} million triples/s")
        )
        if cells := big["graphs"]:
            parts.append(graphs_table(cells))
            within = [cell["rank_mib"]["max"] <= budget for cell in cells]
            what = f"Ranking adds at most its {budget} MiB"
            targets.append(lg.verdict(sum(within), len(within), what))
    return "\n\n".join([*parts, "Targets. " + " ".join(targets)])


def _parsed(cells: list[dict[str, Any]]) -> list[str]:
    seen = {cell["entities"]: cell["parsing"] for cell in cells}
    return [f"{entities:,} entities, {rates(read)}" for entities, read in seen.items()]


def main() -> None:
    options = parse()
    record: dict[str, Any] = {
        "machine": sbs.machine(options.threads),
        "settings": {k: v for k, v in vars(options).items() if isinstance(v, int | float | list)},
    }
    parts = {"growing": growing, "yago": yago}
    with tempfile.TemporaryDirectory(prefix="scaling-") as name:
        lg.fresh_cache(Path(name) / "cache")
        for part in options.datasets:
            record[part] = parts[part](options, Path(name))
            lg.keep(record, options)
    sbs.save(options.name, record, report(record), options.results)


if __name__ == "__main__":
    main()
