"""A KvsAll training epoch on WN18RR and FB15k-237 beside PyKEEN and dicee.

DistMult and ComplEx, dims 32 and 256, reciprocal relations, Adam, one example a distinct (h, r) of
train: the three must count the same number of them, or the script stops. The clock runs from the
first batch being fetched to the last update step. Every contestant trains in a process of its own
for `--seconds` and the epoch is extrapolated by the examples done, marked *, unless it ended
before; ours gets `--our-seconds`, enough for a whole epoch unless a graph is very slow. The first
two batches of a peer do not count; ours trains on two before its clock starts.

Peers are tried at each of `--batches`, under a memory cap; their better one is measured again in
every further repetition, in turns with ours at its default of 1024. Ours at the other sizes is
given beside it, once. Peak memory is that of the whole process; in ours it has the ranking of the
validation split in it, in the peers' it has not.

    python -m benchmarks.graphs.training --data-dir DATA --peers-python PATH [--repetitions 3]
"""

from __future__ import annotations

import argparse
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks import side_by_side as sbs
from benchmarks.graphs import large_graphs as lg

SPEEDUP = 2.0
DEFAULT = 1024  # our batch size
PEERS = {"pykeen": "pykeen_epoch.py", "dicee": "dicee_epoch.py"}


def parse() -> argparse.Namespace:
    parser = lg.parser(__doc__.splitlines()[0], "large_training")
    parser.add_argument("--batches", type=int, nargs="+", default=[64, 256, 1024, 4096])
    parser.add_argument("--seconds", type=float, default=40, help="of a peer's training")
    parser.add_argument("--our-seconds", type=float, default=300)
    return parser.parse_args()


def runners(
    folder: Path, dataset: str, model: str, dim: int, options: argparse.Namespace
) -> dict[str, Callable[[int], dict[str, Any]]]:
    """Contestant → function of the batch size that measures it once."""

    def ours(batch: int) -> dict[str, Any]:
        overrides = [
            f"dataset={dataset}", f"model={model}", f"model.dim={dim}", f"batch_size={batch}",
            f"data_dir={folder.parent}", f"dataset.folder={folder.name}",
        ]  # fmt: skip
        seconds = options.our_seconds if batch == DEFAULT else options.seconds
        return lg.ours("train", overrides, "--seconds", seconds, threads=options.threads)

    def peer(script: str) -> Callable[[int], dict[str, Any]]:
        words = [
            "--data", folder, "--model", sbs.MODELS[model], "--dim", dim,
            "--threads", options.threads, "--cap-gib", options.cap_gib,
            "--seconds", options.seconds,
        ]  # fmt: skip
        return lambda batch: sbs.run(
            options.peers_python, sbs.PEERS / script, [*words, "--batch", batch], options.threads
        )

    peers = PEERS if options.peers_python else {}
    return {"ours": ours} | {name: peer(script) for name, script in peers.items()}


def measure(runs: dict[str, Any], options: argparse.Namespace, where: str) -> dict[str, Any]:
    """Contestant → figures at its better batch size (ours: the default one), and all trials."""
    trials: dict[str, list[dict[str, Any]]] = {}
    for name, run in runs.items():
        sizes = options.batches
        if name == "ours":
            sizes = [*(b for b in sizes if b != DEFAULT), DEFAULT]
        trials[name] = []
        for batch in sizes:
            trials[name].append(run(batch))
            print(f"  {where} {name} batch {batch}", flush=True)
    taken: dict[str, list[dict[str, Any]]] = {}
    for name, tried in trials.items():
        ended = [trial for trial in tried if "seconds" in trial]
        if not ended:
            continue  # no batch size fits into memory
        fastest = min(ended, key=lambda trial: trial["seconds"])
        taken[name] = [ended[-1] if name == "ours" else fastest]
    for repetition in range(1, options.repetitions):
        for name, got in taken.items():
            got.append(runs[name](got[0]["batch"]))
        print(f"  {where} {repetition + 1}/{options.repetitions}", flush=True)
    counts = {name: {record["pairs"] for record in got} for name, got in taken.items()}
    counted = set().union(*counts.values())
    if len(counted) != 1:
        raise SystemExit(f"{where}: not the same number of examples in an epoch: {counts}")
    return {name: figures(got, trials[name]) for name, got in taken.items()} | {
        "pairs": counted.pop()
    }


def figures(got: list[dict[str, Any]], trials: list[dict[str, Any]]) -> dict[str, Any]:
    """Medians over repetitions, and what each batch size gave."""
    return {
        "batch": got[0]["batch"],
        "seconds": sbs.spread([record["seconds"] for record in got]),
        "extrapolated": any(record["extrapolated"] for record in got),
        "peak_mib": max(record["mib"]["peak"] for record in got),
        "trials": [
            {key: trial.get(key) for key in ("batch", "seconds", "extrapolated", "out_of_memory")}
            | {"peak_mib": trial.get("mib", {}).get("peak")}
            for trial in trials
        ],
    }


def ratio(cell: dict[str, Any]) -> float | None:
    """The better peer's epoch over ours."""
    got = cell["figures"]
    peers = [got[name]["seconds"]["median"] for name in PEERS if name in got]
    return min(peers) / got["ours"]["seconds"]["median"] if peers else None


def below_both(cell: dict[str, Any]) -> bool | None:
    """Whether our peak memory is the least."""
    got = cell["figures"]
    peers = [got[name]["peak_mib"] for name in PEERS if name in got]
    return got["ours"]["peak_mib"] < min(peers) if peers else None


def others(trials: list[dict[str, Any]]) -> str:
    """Seconds of each batch size, short."""
    words = []
    for trial in trials:
        if trial["seconds"] is None:
            words.append(f"{trial['batch']}: out of memory")
        else:
            star = "*" if trial["extrapolated"] else ""
            words.append(f"{trial['batch']}: {trial['seconds']:.0f}{star}")
    return ", ".join(words)


def report(record: dict[str, Any]) -> str:
    rows, tried = [], []
    for cell in record["cells"]:
        where = [cell["dataset"], cell["model"], str(cell["dim"])]
        line, trials = [*where, f"{cell['figures']['pairs']:,}"], list(where)
        for name in ("ours", *PEERS):
            got = cell["figures"].get(name)
            if got is None:
                line.append("–")
                trials.append("–")
                continue
            s, star = got["seconds"], "*" if got["extrapolated"] else ""
            line.append(f"{sbs.span(s)}{star}, batch {got['batch']}")
            trials.append(others(got["trials"]))
        got = cell["ratio"]
        line.append(f"{got:.1f}×{' **missed**' if got < SPEEDUP else ''}" if got else "–")
        for name in ("ours", *PEERS):
            one = cell["figures"].get(name)
            line.append(f"{one['peak_mib']:,.0f}" if one else "–")
        rows.append(line)
        tried.append(trials)
    where = ["dataset", "model", "dim"]
    heads = [
        *where, "examples", "epoch s: ours", "PyKEEN", "dicee", "better peer / ours",
        "peak MiB: ours", "PyKEEN", "dicee",
    ]  # fmt: skip
    settings = f"n = {record['settings']['repetitions']}, medians (least–greatest)"
    return "\n\n".join(
        [
            lg.heading(record["machine"], settings),
            sbs.markdown(heads, rows),
            lg.STAR + " Each batch size once, epoch seconds:",
            sbs.markdown([*where, "ours", "PyKEEN", "dicee"], tried),
            verdicts(record["cells"]),
        ]
    )


def verdicts(cells: list[dict[str, Any]]) -> str:
    """Both targets and whether they are met."""
    got = [cell["ratio"] for cell in cells if cell["ratio"]]
    less = [cell["least_memory"] for cell in cells if cell["least_memory"] is not None]
    if not got:
        return "No peers, no verdict."
    what = f"An epoch at least {SPEEDUP:g}× faster than the better peer's"
    return (
        f"Targets. {lg.verdict(sum(x >= SPEEDUP for x in got), len(got), what)} "
        f"{lg.verdict(sum(less), len(less), 'Peak memory below both')}"
    )


def main() -> None:
    options = parse()
    if options.peers_python or "ASWA_PEERS_PYTHON" in os.environ:
        options.peers_python = sbs.peers_python(options.peers_python)
    keep = ("repetitions", "batches", "seconds", "our_seconds", "cap_gib")
    record: dict[str, Any] = {
        "machine": sbs.machine(options.threads),
        "settings": {name: getattr(options, name) for name in keep},
        "cells": [],
    }
    with tempfile.TemporaryDirectory(prefix="large-graphs-") as name:
        lg.fresh_cache(Path(name) / "cache")
        for dataset in options.datasets:
            folder = lg.plain_copy(dataset, options.data_dir, Path(name) / "data")
            for model in options.models:
                for dim in options.dims:
                    runs = runners(folder, dataset, model, dim, options)
                    got = measure(runs, options, f"{dataset} {model} {dim}")
                    cell = {"dataset": dataset, "model": model, "dim": dim, "figures": got}
                    cell |= {"ratio": ratio(cell), "least_memory": below_both(cell)}
                    record["cells"].append(cell)
                    lg.keep(record, options)
    sbs.save(options.name, record, report(record), options.results)


if __name__ == "__main__":
    main()
