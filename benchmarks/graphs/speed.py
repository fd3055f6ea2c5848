"""Speed of link prediction beside dicee and PyKEEN on the same machine, in turns.

For UMLS and KINSHIP × DistMult, ComplEx, QMult, Keci (dim 32, KvsAll with reciprocals, batch 1024,
Adam, one thread), in each repetition every contestant runs once, in a fresh process, before the
next repetition begins, so a drift of the machine meets all:

- **training epoch**, ms, without validation and averaging. Ours: seconds of training / epochs of
  the `optimizer=sgd` run (a mean: its slow first epochs are in it). dicee: median epoch of its run
  without averaging. PyKEEN: median epoch, with its `gc.collect()` stubbed out and as shipped; QuatE
  stands beside QMult; it has no Keci.
- **whole ASWA run**, s, from configuration to a model evaluated on validation and test. Ours:
  `seconds.run` of ours_run.py; dicee: `Execute.start()`, as shipped and with its three vocabulary
  pickles written once. Imports and interpreter start are excluded here (dicee's take longer than
  ours) and included in the columns "with process start".
- **five for the price of one**: our `optimizer=all` run (five methods on one trajectory) over our
  `optimizer=sgd` run, which validates the running model once an epoch for its learning curve.

Figures are medians over repetitions, ranges in the JSON. Targets: epoch ≥ 5× dicee and ≥ 10× PyKEEN
without gc; ASWA run ≥ 40× dicee as shipped, ≥ 15× with pickles once; all five ≤ 1.5×.

Without peers (no `--peers-python`, no ASWA_PEERS_PYTHON) ours alone is timed.

    python -m benchmarks.graphs.speed --peers-python PATH [--repetitions 3]
"""

from __future__ import annotations

import argparse
import os
import statistics
from pathlib import Path
from typing import Any

from benchmarks import side_by_side as sbs
from scripts.pages import fill

PYKEEN = {"distmult": "DistMult", "complex": "ComplEx", "qmult": "QuatE"}
TARGETS = {
    "epoch / dicee": 5.0,
    "epoch / PyKEEN no gc": 10.0,
    "ASWA run / dicee": 40.0,
    "ASWA run / dicee, pickles once": 15.0,
}
MOST = {"five / one": 1.5}


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--peers-python", help="or the variable ASWA_PEERS_PYTHON")
    parser.add_argument("--datasets", nargs="+", default=list(sbs.DATASETS))
    parser.add_argument("--models", nargs="+", default=list(sbs.MODELS))
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=100)
    parser.add_argument("--pykeen-epochs", type=int, default=20)
    parser.add_argument("--dim", type=int, default=32)
    parser.add_argument("--batch", type=int, default=1024)
    parser.add_argument("--lr", type=float, default=0.1, help="for all; no effect on speed")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--name", default="link_prediction_speed")
    parser.add_argument("--results", type=Path, default=sbs.RESULTS)
    parser.add_argument("--page", type=Path, help="fill in this page's block of speed too")
    return parser.parse_args()


def contestants(dataset: str, model: str, options: argparse.Namespace) -> dict[str, Any]:
    """Name → function that runs it once and returns its record."""
    common = [
        f"dataset={dataset}", f"model={model}", f"model.dim={options.dim}", f"lr={options.lr}",
        f"epochs={options.epochs}", f"batch_size={options.batch}",
    ]  # fmt: skip
    peer = [
        "--data", sbs.DATA / dataset, "--dim", options.dim, "--batch", options.batch,
        "--lr", options.lr, "--threads", options.threads,
    ]  # fmt: skip
    dicee = [*peer, "--model", sbs.MODELS[model], "--epochs", options.epochs]
    pykeen = [*peer, "--model", PYKEEN.get(model), "--epochs", options.pykeen_epochs]

    def us(*overrides: str) -> Any:
        return lambda: sbs.ours([*common, *overrides], options.threads)

    def them(script: str, *arguments: object) -> Any:
        python = options.peers_python
        return lambda: sbs.run(python, sbs.PEERS / script, arguments, options.threads)

    runs = {
        "ours sgd": us("optimizer=sgd"),
        "ours all": us("optimizer=all"),
        "ours aswa": us("optimizer=aswa"),
    }
    if not options.peers_python:
        return runs
    runs |= {
        "dicee none": them("dicee_run.py", *dicee),
        "dicee aswa": them("dicee_run.py", *dicee, "--method", "aswa"),
        "dicee aswa once": them("dicee_run.py", *dicee, "--method", "aswa", "--pickles-once"),
    }
    if model in PYKEEN:
        runs["pykeen no gc"] = them("pykeen_run.py", *pykeen, "--no-gc")
        runs["pykeen"] = them("pykeen_run.py", *pykeen)
    return runs


def figures(contestant: str, record: dict[str, Any]) -> dict[str, float]:
    """What is kept of one record."""
    if contestant.startswith("ours"):
        seconds, epochs = record["seconds"], record["config"]["epochs"]
        return {
            "epoch_ms": 1e3 * seconds["train"] / epochs,
            "run_s": seconds["run"],
            "process_s": record["process_seconds"],
            **{f"{part}_s": seconds[part] for part in ("train", "evaluate", "average")},
        }
    epoch = {"epoch_ms": statistics.median(record["epoch_ms"])}
    if contestant.startswith("pykeen"):
        return epoch
    start = record["seconds"]["start"]
    return {**epoch, "run_s": start, "process_s": record["process_seconds"]}


def measure(dataset: str, model: str, options: argparse.Namespace) -> dict[str, Any]:
    """Contestant → figure → {median, min, max} over the repetitions."""
    runs = contestants(dataset, model, options)
    taken: dict[str, list[dict[str, float]]] = {name: [] for name in runs}
    for repetition in range(options.repetitions):
        for name, run in runs.items():
            taken[name].append(figures(name, run()))
            print(f"  {dataset} {model} {repetition + 1}/{options.repetitions} {name}", flush=True)
    return {
        name: {key: sbs.spread([one[key] for one in each]) for key in each[0]}
        for name, each in taken.items()
    }


def ratios(cell: dict[str, Any]) -> dict[str, float]:
    """How many times faster we are (or, for five / one, dearer); only what was measured."""
    # name → (contestant above the line, contestant below, figure of both)
    pairs = {
        "epoch / dicee": ("dicee none", "ours sgd", "epoch_ms"),
        "epoch / PyKEEN no gc": ("pykeen no gc", "ours sgd", "epoch_ms"),
        "epoch / PyKEEN": ("pykeen", "ours sgd", "epoch_ms"),
        "ASWA run / dicee": ("dicee aswa", "ours aswa", "run_s"),
        "ASWA run / dicee, pickles once": ("dicee aswa once", "ours aswa", "run_s"),
        "ASWA process / dicee": ("dicee aswa", "ours aswa", "process_s"),
        "ASWA process / dicee, pickles once": ("dicee aswa once", "ours aswa", "process_s"),
        "five / one": ("ours all", "ours sgd", "run_s"),
    }
    return {
        name: cell[above][figure]["median"] / cell[below][figure]["median"]
        for name, (above, below, figure) in pairs.items()
        if above in cell
    }


def verdict(name: str, value: float | None) -> str:
    """A ratio as a table cell; a missed target is marked."""
    if value is None:
        return "–"
    missed = value < TARGETS.get(name, 0) or value > MOST.get(name, float("inf"))
    return f"{value:.1f}×{' **missed**' if missed else ''}"


def report(record: dict[str, Any]) -> str:
    """The record as markdown."""
    about, settings = record["machine"], record["settings"]
    times, speedups = [], []
    for cell in record["cells"]:
        where, got, ratio = [cell["dataset"], cell["model"]], cell["figures"], cell["ratios"]

        def show(contestant: str, figure: str, digits: int = 1, got: Any = got) -> str:
            if contestant not in got:
                return "–"
            return sbs.span(got[contestant][figure], digits)

        whole = ("ours aswa", "dicee aswa", "dicee aswa once")
        trained = ("ours sgd", "dicee none", "pykeen no gc", "pykeen")
        times.append(
            [
                *where,
                *(show(contestant, "epoch_ms") for contestant in trained),
                *(show(contestant, "run_s", 2) for contestant in whole),
                *(show(contestant, "process_s") for contestant in whole),
                *(show(contestant, "run_s", 2) for contestant in ("ours sgd", "ours all")),
            ]
        )
        speedups.append([*where, *(verdict(name, ratio.get(name)) for name in record["columns"])])
    heads = [
        "dataset", "model", "epoch ms: ours", "dicee", "PyKEEN no gc", "PyKEEN", "ASWA run s: ours",
        "dicee", "dicee, pickles once", "with process start: ours", "dicee", "dicee, pickles once",
        "one method s", "five s",
    ]  # fmt: skip
    return "\n\n".join(
        [
            f"{about['processor']}, {about['cores']} cores, {about['threads']} thread(s), torch "
            f"{about['torch']}, {about['date']}, load before {about['load_before']:.2f}; dim "
            f"{settings['dim']}, KvsAll, batch {settings['batch']}, {settings['epochs']} epochs; "
            f"n = {settings['repetitions']}, medians (least–greatest).",
            sbs.markdown(heads, times),
            "How many times faster ours is (last column: how many times dearer five methods are):",
            sbs.markdown(["dataset", "model", *record["columns"]], speedups),
            "Targets: " + ", ".join(f"{k} ≥ {v:g}" for k, v in TARGETS.items()) + "; "
            + ", ".join(f"{k} ≤ {v:g}" for k, v in MOST.items()) + ".",
        ]
    )  # fmt: skip


def main() -> None:
    options = parse()
    if options.peers_python or "ASWA_PEERS_PYTHON" in os.environ:
        options.peers_python = sbs.peers_python(options.peers_python)
    else:
        print("no peers: ours alone is timed (benchmarks/README.md says how to install them)")
    keep = ("dim", "batch", "epochs", "pykeen_epochs", "lr", "repetitions")
    record: dict[str, Any] = {
        "machine": sbs.machine(options.threads),
        "settings": {name: getattr(options, name) for name in keep},
        "columns": [
            "epoch / dicee", "epoch / PyKEEN no gc", "epoch / PyKEEN", "ASWA run / dicee",
            "ASWA run / dicee, pickles once", "ASWA process / dicee",
            "ASWA process / dicee, pickles once", "five / one",
        ],
        "cells": [],
    }  # fmt: skip
    for dataset in options.datasets:
        for model in options.models:
            cell = measure(dataset, model, options)
            record["cells"].append(
                {"dataset": dataset, "model": model, "figures": cell, "ratios": ratios(cell)}
            )
    sbs.save(options.name, record, report(record), options.results)
    if options.page:
        fill(options.page, "speed", report(record))


if __name__ == "__main__":
    main()
