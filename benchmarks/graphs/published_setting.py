"""Why our ASWA is above the published one: dicee's differences, put in one at a time. A diagnosis.

The published setting: UMLS, dim 256, 300 epochs, batch 1024, Adam at rate 0.1, KvsAll, no dropout.
Three kinds of trajectories, each watched by the same rules (watched.py):

- ours, with our initialisation (normal, 0.1) or one of dicee's two (normal, 1, its default;
  Glorot's normal, its option); and Keci(0, 1), which is ComplEx to us;
- dicee's own, replayed from the weights that it had after every epoch (peers/dicee_trajectory.py),
  with its initialisation or, scaled, with ours; a rule is so judged apart from the training;
- of dicee's ComplEx runs also what its ASWA callback kept, ranked by us and by itself.

dicee's rules differ from ours in three points: the member of a hard update is forgotten, validation
is filtered by the test split too, and ties are ranked as a sort leaves them. Nothing here was
registered beforehand: figures describe these seeds.

    python -m benchmarks.graphs.published_setting --peers-python PATH [--seeds 310 311] [--again]

Cells that stand in the results already are kept, unless `--again` is given.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from aswa.config import RunConfig, load
from aswa.data.knowledge_graph import TailIndex
from aswa.tasks.link_prediction import LinkPrediction
from aswa.training.learner import Learner
from benchmarks import side_by_side as sbs
from benchmarks.graphs import published_report
from benchmarks.graphs.watched import LAST, LearnedKeci, flat, put, replayed, trained, watch

SEEDS = range(310, 315)
OUR_SCALE = 0.1


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--peers-python", help="or the variable ASWA_PEERS_PYTHON")
    parser.add_argument("--seeds", type=int, nargs="+", default=list(SEEDS))
    parser.add_argument("--cells", nargs="+", choices=list(CELLS), default=list(CELLS))
    parser.add_argument("--dim", type=int, default=256)
    parser.add_argument("--epochs", type=int, default=300)
    parser.add_argument("--batch", type=int, default=1024)
    parser.add_argument("--lr", type=float, default=0.1)
    parser.add_argument("--published", type=Path, default=published_report.FIGURES)
    parser.add_argument("--again", action="store_true", help="measure what was measured before")
    parser.add_argument("--name", default="published_setting")
    parser.add_argument("--results", type=Path, default=sbs.RESULTS)
    return parser.parse_args()


def configured(seed: int, options: argparse.Namespace, model: str = "complex") -> RunConfig:
    return load(overrides(seed, options, model))


def overrides(seed: int, options: argparse.Namespace, model: str) -> list[str]:
    """The published setting as `aswa-train` takes it."""
    return [
        "dataset=umls", f"model={model}", f"model.dim={options.dim}", f"epochs={options.epochs}",
        f"batch_size={options.batch}", f"lr={options.lr}", f"seed={seed}", "device=cpu",
        "optimizer=[sgd,swa,early_stopping,aswa]", "optimizer.swa.start=0",
        f"model.init_scale={OUR_SCALE}",
        *(["model.p=0", "model.q=1"] if model == "keci" else []),
    ]  # fmt: skip


def ours(
    seed: int,
    options: argparse.Namespace,
    model: str = "complex",
    scale: Callable[[nn.Parameter], float] = lambda table: OUR_SCALE,
) -> dict[str, Any]:
    """Our training; the initial numbers are those of our seed, at another scale."""
    config = configured(seed, options, model)
    task = LinkPrediction(config, torch.device("cpu"))
    learner = Learner(config, task)
    with torch.no_grad():
        for table in learner.model.parameters():
            table.mul_(scale(table) / OUR_SCALE)
    pairs = TailIndex(task.graph.train, task.n_relations)
    record: dict[str, Any] = {"examples": len(pairs), "batches": 0}
    record["parameters"] = sum(table.numel() for table in learner.model.parameters())
    record["rules"], _ = watch(task, learner.model, trained(learner, options.epochs, record))
    return record


def glorot(table: nn.Parameter) -> float:
    """Standard deviation of `xavier_normal`: it takes the two sides of the table for fans."""
    return math.sqrt(2 / sum(table.shape))


def dicee(
    seed: int,
    options: argparse.Namespace,
    model: str = "ComplEx",
    arguments: tuple[object, ...] = (),
) -> dict[str, Any]:
    """dicee's training, replayed under our rules; and what its own ASWA kept, where it ran."""
    task = LinkPrediction(configured(seed, options), torch.device("cpu"))
    with tempfile.TemporaryDirectory(prefix="dicee-trajectory-") as folder:
        path = Path(folder) / "weights.npz"
        words = [
            "--data", sbs.DATA / "umls", "--model", model, "--seed", seed, "--dim", options.dim,
            "--epochs", options.epochs, "--batch", options.batch, "--lr", options.lr,
            "--weights", path, *arguments,
        ]  # fmt: skip
        python = sbs.peers_python(options.peers_python)
        record = sbs.run(python, sbs.PEERS / "dicee_trajectory.py", words, threads=1)
        with np.load(path) as archive:
            weights = {name: archive[name] for name in archive.files}
    running: nn.Module = task.build_model(torch.Generator())
    if model == "Keci":
        running = LearnedKeci(task.n_entities, task.n_relations, options.dim)
        record["q_coefficient"] = float(weights["q_coefficients"][-1, 0, 0])
    record["rules"], kept = watch(task, running, replayed(running, weights))
    if "kept_entity" in weights:
        replay = flat(kept["dicee's rules"])
        put(running, {name: weights[f"kept_{name}"] for name, _ in running.named_parameters()})
        record["kept"] = {
            "mrr": task.metrics([running], "test")["mrr"],
            "farthest_from_replay": float((flat(running) - replay).abs().max()),
        }
    return record


CELLS: dict[str, Callable[[int, argparse.Namespace], dict[str, Any]]] = {
    "ours": ours,
    "ours, normal 1": lambda seed, options: ours(seed, options, scale=lambda table: 1.0),
    "ours, Glorot": lambda seed, options: ours(seed, options, scale=glorot),
    "ours, Keci(0, 1)": lambda seed, options: ours(seed, options, "keci"),
    "dicee": lambda seed, options: dicee(seed, options, arguments=("--method", "aswa")),
    "dicee, normal 0.1": lambda seed, options: dicee(
        seed, options, arguments=("--init-factor", OUR_SCALE)
    ),
    "dicee, Keci(0, 1)": lambda seed, options: dicee(seed, options, "Keci"),
}


def check_against_a_run(cell: dict[str, Any], seed: int, options: argparse.Namespace) -> None:
    """Stop unless `aswa-train` comes to the same figures as this script's own loop."""
    record = sbs.ours(overrides(seed, options, "complex"), threads=1)
    rules = {LAST: "sgd", "mean of all epochs": "swa", "best epoch": "early_stopping"}
    run = {
        row["optimizer"]: row["value"]
        for row in record["rows"]
        if (row["split"], row["metric"]) == ("test", "mrr")
    }
    for rule, method in {**rules, "ASWA": "aswa"}.items():
        if cell["rules"][rule]["mrr"] != run[method]:
            raise SystemExit(
                f"{rule}, seed {seed}: {cell['rules'][rule]['mrr']}, not {run[method]}"
            )


def main() -> None:
    options = parse()
    torch.set_num_threads(1)
    keep = ("dim", "batch", "epochs", "lr")
    settings = {name: getattr(options, name) for name in keep}
    path = options.results / f"{options.name}.json"
    record: dict[str, Any] = {"machine": sbs.machine(threads=1), "settings": settings, "cells": {}}
    if path.exists() and not options.again:
        earlier = json.loads(path.read_text())
        if earlier["settings"] != settings:
            raise SystemExit(f"{path} has other settings; give --again, or another --name")
        record = earlier
    for seed in options.seeds:
        for name in options.cells:
            by_seed = record["cells"].setdefault(name, {})
            if str(seed) in by_seed:
                continue
            by_seed[str(seed)] = CELLS[name](seed, options)
            if name == "ours" and seed == options.seeds[0]:
                check_against_a_run(by_seed[str(seed)], seed, options)
            print(f"  {name}, seed {seed}: done", file=sys.stderr, flush=True)
            options.results.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps(record, indent=1) + "\n")
    if missing := CELLS.keys() - record["cells"].keys():
        raise SystemExit(f"{path} lacks {sorted(missing)}: no page yet; run the rest of --cells")
    text = published_report.report(record, options.published)
    sbs.save(options.name, record, text, options.results)


if __name__ == "__main__":
    main()
