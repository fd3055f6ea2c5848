"""Whether each network of the paper learns CIFAR-10: a small budget, and a floor for its accuracy.

    python -m benchmarks.images.learning                       # an hour on two cores

One run a network with all five methods, as `aswa-train` makes it. Floors are above guessing (10 %)
by more than chance allows: they catch a network that does not learn, not a slow one. The budgets
are what a CPU can do, and say nothing about which network or method is better.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path
from typing import Any

from aswa.config import load
from aswa.training.session import execute
from benchmarks import side_by_side as sbs

# network → training images, epochs, learning rate, floor of the test accuracy of SGD's last epoch
BUDGETS: dict[str, tuple[int, int, float, float]] = {
    "vgg16": (2000, 6, 0.02, 0.15),
    "vgg19": (4000, 8, 0.02, 0.15),
    "vgg16_bn": (2000, 3, 0.05, 0.20),
    "vgg19_bn": (4000, 4, 0.05, 0.20),
    "preresnet110": (1500, 4, 0.1, 0.20),
    "preresnet164": (1500, 4, 0.1, 0.20),
    "wide_resnet28x10": (500, 4, 0.05, 0.15),
}
SHARED = (
    "dataset=cifar10", "optimizer=all", "base_optimizer=sgd", "base_optimizer.weight_decay=0.0005",
    "schedule=constant", "batch_size=64", "dataset.valid_ratio=0.01", "dataset.test_size=500",
    "device=cpu", "optimizer.swa.start=1",
)  # fmt: skip


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--networks", nargs="+", choices=BUDGETS, default=list(BUDGETS))
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--name", default="image_learning")
    parser.add_argument("--results", type=Path, default=sbs.RESULTS)
    return parser.parse_args()


def learned(network: str, threads: int, folder: str) -> dict[str, Any]:
    """Losses, and test accuracy by method, of one run."""
    images, epochs, lr, floor = BUDGETS[network]
    words = [f"model={network}", f"dataset.train_size={images}", f"epochs={epochs}", f"lr={lr}"]
    if not network.startswith("vgg") or network.endswith("bn"):
        words.append("model.batch_norm_batches=8")
    config = load([*SHARED, *words, f"threads={threads}", f"results_dir={folder}"])
    start = time.perf_counter()
    record = execute(config)
    history = json.loads((config.folder / "history.json").read_text())
    accuracy = {
        row["optimizer"]: row["value"]
        for row in record["rows"]
        if (row["split"], row["metric"]) == ("test", "accuracy")
    }
    return {
        "network": network, "images": images, "epochs": epochs, "lr": lr, "floor": floor,
        "train_loss": history["train_loss"], "test_accuracy": accuracy,
        "decisions": record["decisions"], "seconds": time.perf_counter() - start,
    }  # fmt: skip


def text(cells: list[dict[str, Any]], machine: dict[str, Any]) -> str:
    methods = list(cells[0]["test_accuracy"])
    rows = [
        (c["network"], f"{c['images']} × {c['epochs']}", f"{c['lr']:g}",
         f"{c['train_loss'][0]:.2f} to {c['train_loss'][-1]:.2f}",
         *(f"{c['test_accuracy'][m]:.3f}" for m in methods), f"{c['floor']:.2f}",
         f"{c['seconds']:.0f}")
        for c in cells
    ]  # fmt: skip
    header = ("network", "images × epochs", "lr", "training loss", *methods, "floor", "seconds")
    return "\n\n".join(
        [
            "# Networks learn: test accuracy on 500 images of CIFAR-10 after a small budget",
            f"{machine['processor']}, {machine['threads']} threads, torch {machine['torch']}, "
            f"{machine['date']}; one seed. The floor is for SGD.",
            sbs.markdown(header, rows),
        ]
    )


def main() -> None:
    options = parse()
    machine = sbs.machine(options.threads)
    cells: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as folder:
        for network in options.networks:
            cells.append(learned(network, options.threads, folder))
            record = {"machine": machine, "shared": SHARED, "cells": cells}
            sbs.save(options.name, record, text(cells, machine), options.results)
    failed = [c["network"] for c in cells if c["test_accuracy"]["sgd"] < c["floor"]
              or not c["train_loss"][-1] < c["train_loss"][0]]  # fmt: skip
    if failed:
        raise SystemExit(f"below the floor: {', '.join(failed)}")


if __name__ == "__main__":
    main()
