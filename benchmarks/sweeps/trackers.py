"""What a tracker costs an epoch: `tracker=csv`, `tensorboard` and `wandb` (offline) on UMLS.

    python -m benchmarks.sweeps.trackers                       # a minute, nothing else running

DistMult at dim 128 with the five methods of `optimizer=all`. A tracker's seconds are all that it
takes from the end of the first epoch to that of the run, the final values included, over those of
the epochs; its start, which imports the package, is given beside. Trackers take turns, and the
first turn is not counted but for that start. Aim: 1 % of an epoch.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from pathlib import Path
from typing import Any

from aswa.config import RunConfig, load
from aswa.registry import trackers
from aswa.training import session
from aswa.training.trackers import Trackers
from benchmarks import side_by_side as sbs

RUN = ("dataset=umls", "model=distmult", "model.dim=128", "lr=0.01")
LENGTHS = (20, 256)
FIRST = str(LENGTHS[0])
TURNS = 5
HEADER = (
    "tracker",
    "epochs",
    "epoch, ms",
    "tracker, ms an epoch",
    "%",
    "first start, s",
    "later, s",
)


class Timed(Trackers):
    """Counts its own seconds, and those of the epochs that it is told of."""

    start_seconds = seconds = epochs_seconds = 0.0
    last: Timed

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        Timed.last = self

    def start(self, *arguments: Any) -> None:
        began = time.perf_counter()
        super().start(*arguments)
        self.start_seconds = time.perf_counter() - began

    def log(self, epoch: int, seconds: float) -> None:
        began = time.perf_counter()
        super().log(epoch, seconds)
        self.seconds += time.perf_counter() - began
        self.epochs_seconds += seconds

    def finish(self, record: Any) -> None:
        began = time.perf_counter()
        super().finish(record)
        self.seconds += time.perf_counter() - began


def measure(config: RunConfig) -> dict[str, float]:
    session.execute(config, report=lambda _: None)
    timed = Timed.last
    return {
        "epoch_ms": 1e3 * timed.epochs_seconds / config.epochs,
        "tracker_ms": 1e3 * timed.seconds / config.epochs,
        "percent": 100 * timed.seconds / timed.epochs_seconds,
        "start_s": timed.start_seconds,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--name", default="trackers")
    parser.add_argument("--results", type=Path, default=sbs.RESULTS)
    options = parser.parse_args()
    machine = sbs.machine(threads=1)
    session.Trackers = Timed  # type: ignore[misc]
    os.environ["WANDB_MODE"] = "offline"
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        for turn in range(TURNS + 1):
            for epochs in LENGTHS:
                for name in ("none", *trackers()):
                    words = [*RUN, f"epochs={epochs}", f"tracker={name}"]
                    config = load([*words, f"results_dir={folder}/{turn}{name}"])
                    found.setdefault(f"{name} {epochs}", []).append(measure(config))
    rows = []
    for key, (first, *turns) in found.items():
        name, epochs = key.split()
        spans = {
            value: sbs.span(sbs.spread([turn[value] for turn in turns]), digits)
            for value, digits in (
                ("epoch_ms", 1),
                ("tracker_ms", 2),
                ("percent", 1),
                ("start_s", 2),
            )
        }
        cells = [spans[value] for value in ("epoch_ms", "tracker_ms", "percent")]
        starts = [f"{first['start_s']:.2f}", spans["start_s"]] if epochs == FIRST else ["", ""]
        rows.append([f"`{name}`", epochs, *cells, *starts])
    text = (
        f"{machine['processor']}, {machine['cores']} cores, torch {machine['torch']}, "
        f"{machine['date']}, load before {machine['load_before']:.2f}; "
        f"median (range) of {TURNS}.\n\n" + sbs.markdown(HEADER, rows)
    )
    sbs.save(options.name, {"machine": machine, "turns": found}, text, options.results)


if __name__ == "__main__":
    main()
