"""Test MRR of our running model beside dicee's: same model, dim, epochs, batch; several seeds.

For UMLS and KINSHIP × DistMult, ComplEx, QMult, Keci: the `sgd` row of our run (the weights after
the last epoch) against dicee without averaging (the same), both KvsAll with reciprocals and Adam,
both with Keci(0, 1), both filtered by train+valid+test over heads and tails. Our learning rate is
the one of our config for (dataset, model), unless `--lr` is given; dicee runs at its own default,
0.1, and at ours. No time is taken here, so runs may go side by side (`--jobs`).

Reported: mean over seeds ± half a 95 % t interval, and the difference to the better dicee column
with its Welch interval. What still differs is named in peers/NOTES.md: initialisation (dicee:
N(0, 1)), Keci's learned coefficients, QMult's normalised relation, and how ties are broken.

    python -m benchmarks.graphs.quality --peers-python PATH [--seeds 5] [--jobs 2]
"""

from __future__ import annotations

import argparse
import math
import statistics
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from scipy import stats

from benchmarks import side_by_side as sbs

DICEE_LR = 0.1
COLUMNS = ("ours", "dicee, its lr", "dicee, our lr")


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--peers-python", help="or the variable ASWA_PEERS_PYTHON")
    parser.add_argument("--datasets", nargs="+", default=list(sbs.DATASETS))
    parser.add_argument("--models", nargs="+", default=list(sbs.MODELS))
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=100)
    parser.add_argument("--dim", type=int, default=32)
    parser.add_argument("--batch", type=int, default=1024)
    parser.add_argument("--lr", type=float, help="ours; default: our config's")
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--name", default="link_prediction_quality")
    parser.add_argument("--results", type=Path, default=sbs.RESULTS)
    return parser.parse_args()


def our_run(dataset: str, model: str, seed: int, options: argparse.Namespace) -> dict[str, float]:
    """Test MRR after the last epoch, and the learning rate that our config chose."""
    overrides = [
        f"dataset={dataset}", f"model={model}", "optimizer=sgd", f"seed={seed}",
        f"model.dim={options.dim}", f"epochs={options.epochs}", f"batch_size={options.batch}",
    ]  # fmt: skip
    if options.lr:
        overrides.append(f"lr={options.lr}")
    record = sbs.ours(overrides, threads=1)
    (mrr,) = (
        row["value"]
        for row in record["rows"]
        if (row["optimizer"], row["split"], row["metric"]) == ("sgd", "test", "mrr")
    )
    return {"mrr": mrr, "lr": float(record["config"]["lr"])}


def dicee_run(
    dataset: str, model: str, seed: int, lr: float, options: argparse.Namespace
) -> dict[str, float]:
    """dicee's test MRR without averaging."""
    arguments = [
        "--data", sbs.DATA / dataset, "--model", sbs.MODELS[model], "--seed", seed, "--lr", lr,
        "--dim", options.dim, "--epochs", options.epochs, "--batch", options.batch,
    ]  # fmt: skip
    python = sbs.peers_python(options.peers_python)
    record = sbs.run(python, sbs.PEERS / "dicee_run.py", arguments, threads=1)
    return {"mrr": record["test"]["MRR"], "lr": lr}


def measure(dataset: str, model: str, options: argparse.Namespace) -> dict[str, Any]:
    """Test MRR of each column, by seed."""
    seeds = range(options.seeds)
    with ThreadPoolExecutor(options.jobs) as pool:
        its_lr = [pool.submit(dicee_run, dataset, model, seed, DICEE_LR, options) for seed in seeds]
        ours = list(pool.map(lambda seed: our_run(dataset, model, seed, options), seeds))
        lr = ours[0]["lr"]
        our_lr = [pool.submit(dicee_run, dataset, model, seed, lr, options) for seed in seeds]
        columns = (ours, [f.result() for f in its_lr], [f.result() for f in our_lr])
    values = {
        name: [one["mrr"] for one in each] for name, each in zip(COLUMNS, columns, strict=True)
    }
    best = max(COLUMNS[1:], key=lambda name: statistics.mean(values[name]))
    return {
        "dataset": dataset,
        "model": model,
        "our_lr": lr,
        "mrr": values,
        "better_dicee": best,
        "difference": difference(values["ours"], values[best]),
    }


def half_width(values: Sequence[float]) -> float:
    """Half of the 95 % t interval of the mean; NaN for fewer than two values."""
    if len(values) < 2:
        return math.nan
    t = float(stats.t.ppf(0.975, len(values) - 1))
    return t * statistics.stdev(values) / math.sqrt(len(values))


def difference(ours: Sequence[float], theirs: Sequence[float]) -> dict[str, float]:
    """Mean of ours minus mean of theirs, and its 95 % Welch interval."""
    gap = statistics.mean(ours) - statistics.mean(theirs)
    if min(len(ours), len(theirs)) < 2:
        return {"mean": gap, "low": math.nan, "high": math.nan}
    interval = stats.ttest_ind(ours, theirs, equal_var=False).confidence_interval(0.95)
    return {"mean": gap, "low": float(interval.low), "high": float(interval.high)}


def report(record: dict[str, Any]) -> str:
    """The record as markdown."""
    settings = record["settings"]
    rows = []
    for cell in record["cells"]:
        gap = cell["difference"]
        means = [
            f"{statistics.mean(cell['mrr'][name]):.3f} ± {half_width(cell['mrr'][name]):.3f}"
            for name in COLUMNS
        ]
        interval = f"{gap['mean']:+.3f} ({gap['low']:+.3f} to {gap['high']:+.3f})"
        rows.append([cell["dataset"], cell["model"], f"{cell['our_lr']:g}", *means, interval])
    heads = ["dataset", "model", "our lr", *COLUMNS, "ours − better dicee"]
    return "\n\n".join(
        [
            f"Test MRR after the last epoch, no averaging: dim {settings['dim']}, "
            f"{settings['epochs']} epochs, KvsAll, batch {settings['batch']}, Adam, "
            f"{settings['seeds']} seeds; mean ± half a 95 % t interval; difference with its Welch "
            f"interval. dicee's own lr is {DICEE_LR}. torch {record['machine']['torch']}.",
            sbs.markdown(heads, rows),
        ]
    )


def main() -> None:
    options = parse()
    keep = ("dim", "batch", "epochs", "seeds", "lr")
    record: dict[str, Any] = {
        "machine": sbs.machine(threads=1),
        "settings": {name: getattr(options, name) for name in keep},
        "cells": [],
    }
    for dataset in options.datasets:
        for model in options.models:
            record["cells"].append(measure(dataset, model, options))
            print(f"  {dataset} {model} done", flush=True)
    sbs.save(options.name, record, report(record), options.results)


if __name__ == "__main__":
    main()
