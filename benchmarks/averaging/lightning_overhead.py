"""What averaging callbacks cost a Lightning run: ours beside Lightning's own three.

The task is KINSHIP, embedded, predicted by ComplEx: plain training, one thread, the same seed and
the same batches in every run. Contestants take turns within a repetition, so that a drift of the
machine meets all alike. Printed and written to `results/lightning_overhead.json`: the least CPU
seconds of `Trainer.fit` over the repetitions, which other load disturbs least, and what they are
above those of the run without a callback, an epoch; beside it median and quartiles of the same
difference within each repetition, which show the noise. Sharper is the time within the hooks of
the callbacks alone, an epoch: what a callback does happens there, the noise of training does not.
It is wall time, so the machine has to be quiet: to read the clock of CPU time around a hook of
every batch would take longer than what there is to measure. Validation passes are counted, since a
pass is what a score costs. Lightning's `WeightAveraging` validates the average in place of the
running model, so it takes no more of them; ours validates both.

    python benchmarks/averaging/lightning_overhead.py [--epochs 3] [--repetitions 12] [--dim 256]
"""

from __future__ import annotations

import argparse
import functools
import json
import logging
import os
import platform
import statistics
import time
import warnings
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path
from typing import Any

import lightning
import torch
from lightning.pytorch import Callback, LightningModule, Trainer, seed_everything
from lightning.pytorch.callbacks import (
    EMAWeightAveraging,
    StochasticWeightAveraging,
    WeightAveraging,
)
from torch import Tensor, nn
from torch.utils.data import BatchSampler, DataLoader, RandomSampler

from aswa.averaging import ASWA, EMA, SWA
from aswa.integrations.lightning import AveragingCallback

LR = 0.05


class EveryEpoch(WeightAveraging):
    """Lightning's equal mean of epochs."""

    def should_update(self, step_idx: int | None = None, epoch_idx: int | None = None) -> bool:
        return epoch_idx is not None


CONTESTANTS: dict[str, Callable[[], list[Callback]]] = {
    "no callback": lambda: [],
    "EMAWeightAveraging": lambda: [EMAWeightAveraging(decay=0.99)],
    "AveragingCallback(EMA)": lambda: [AveragingCallback(EMA, decay=0.99)],
    "AveragingCallback(EMA), scored": lambda: [
        AveragingCallback(EMA, "valid_mrr", "max", decay=0.99)
    ],
    "WeightAveraging, epochs": lambda: [EveryEpoch()],
    "StochasticWeightAveraging": lambda: [StochasticWeightAveraging(LR, 1)],
    "AveragingCallback(SWA)": lambda: [AveragingCallback(SWA)],
    "AveragingCallback(ASWA)": lambda: [AveragingCallback(ASWA, "valid_mrr", "max")],
    "AveragingCallback(ASWA), every=3": lambda: [
        AveragingCallback(ASWA, "valid_mrr", "max", every=3)
    ],
}


def triples() -> dict[str, Tensor]:
    """Triples [n, 3] of KINSHIP by split."""
    folder = files("aswa.data") / "embedded" / "kinship"
    rows = {
        split: [line.split("\t") for line in (folder / f"{split}.txt").read_text().splitlines()]
        for split in ("train", "valid")
    }
    entity = {name: i for i, name in enumerate(sorted({h for h, _, _ in rows["train"]}))}
    relation = {name: i for i, name in enumerate(sorted({r for _, r, _ in rows["train"]}))}
    return {
        split: torch.tensor([[entity[h], relation[r], entity[t]] for h, r, t in lines])
        for split, lines in rows.items()
    }


class ComplEx(LightningModule):
    """All tails at once; counts its validation passes."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.entity, self.relation = nn.Embedding(104, 2 * dim), nn.Embedding(25, 2 * dim)
        self.passes = 0

    def scores(self, batch: Tensor) -> Tensor:
        """[n, 104]"""
        (a, b), (c, d) = (
            self.entity(batch[:, 0]).chunk(2, 1),
            self.relation(batch[:, 1]).chunk(2, 1),
        )
        return torch.cat([a * c - b * d, a * d + b * c], 1) @ self.entity.weight.T

    def training_step(self, batch: Tensor) -> Tensor:
        return nn.functional.cross_entropy(self.scores(batch), batch[:, 2])

    def on_validation_start(self) -> None:
        self.passes += 1

    def validation_step(self, batch: Tensor) -> None:
        scores = self.scores(batch)
        rank = 1 + (scores > scores.gather(1, batch[:, 2:])).sum(1)
        self.log("valid_mrr", (1 / rank).mean())

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=LR)


class HookClock:
    """Seconds within the hooks of callbacks; a hook within a hook counts once."""

    def __init__(self) -> None:
        self.seconds, self._depth = 0.0, 0

    def watch(self, callback: Callback) -> None:
        for name in dir(Callback):
            if name.startswith("on_") or name in ("setup", "teardown"):
                setattr(callback, name, self._timed(getattr(callback, name)))

    def _timed(self, hook: Callable[..., None]) -> Callable[..., None]:
        @functools.wraps(hook)
        def timed(*args: Any, **options: Any) -> None:
            self._depth += 1
            start = time.perf_counter()
            try:
                hook(*args, **options)
            finally:
                self._depth -= 1
                if self._depth == 0:
                    self.seconds += time.perf_counter() - start

        return timed


def fit(callbacks: list[Callback], data: dict[str, Tensor], epochs: int, dim: int) -> list[float]:
    """CPU seconds, validation passes and seconds within hooks of one `Trainer.fit`."""
    seed_everything(0, verbose=False)
    model, clock = ComplEx(dim), HookClock()
    for callback in callbacks:
        clock.watch(callback)
    trainer = Trainer(
        accelerator="cpu",
        max_epochs=epochs,
        callbacks=callbacks,
        num_sanity_val_steps=0,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    # Whole batches are indexed at once: a loader that collates single triples costs more than all.
    order = BatchSampler(RandomSampler(range(len(data["train"]))), 64, drop_last=False)
    train = DataLoader(data["train"], batch_size=None, sampler=order)
    valid = DataLoader(data["valid"].split(256), batch_size=None)
    cpu = time.process_time()
    trainer.fit(model, train, valid)
    return [time.process_time() - cpu, model.passes, clock.seconds]


def main() -> None:
    """Run all, print a table, write the results."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--repetitions", type=int, default=12)
    parser.add_argument("--dim", type=int, default=256)
    options = parser.parse_args()
    torch.set_num_threads(1)
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore")
    data = triples()
    times: dict[str, list[list[float]]] = {name: [] for name in CONTESTANTS}
    for repetition in range(options.repetitions + 1):  # the first one warms up
        for name, make in CONTESTANTS.items():
            measured = fit(make(), data, options.epochs, options.dim)
            if repetition:
                times[name].append(measured)
    rows = []
    for name, runs in times.items():
        plain = [run[0] for run in times["no callback"]]
        cpu = [run[0] for run in runs]
        paired = [1000 * (a - b) / options.epochs for a, b in zip(cpu, plain, strict=True)]
        rows.append(
            {
                "callback": name,
                "least_cpu_seconds": round(min(cpu), 4),
                "more_ms_an_epoch": round(1000 * (min(cpu) - min(plain)) / options.epochs, 1),
                "paired_quartiles_ms": [round(q, 1) for q in statistics.quantiles(paired, n=4)],
                "hooks_ms_an_epoch": round(
                    1000 * statistics.median(run[2] for run in runs) / options.epochs, 2
                ),
                "validation_passes": int(runs[0][1]),
            }
        )
        print(rows[-1])
    record = {
        "task": f"KINSHIP, ComplEx of dim {options.dim}, batches of 64",
        "epochs": options.epochs,
        "steps_an_epoch": -(-len(data["train"]) // 64),
        "repetitions": options.repetitions,
        "load_average_1_min": round(os.getloadavg()[0], 1),
        "machine": platform.processor() or platform.machine(),
        "cpus": os.cpu_count(),
        "versions": {"torch": torch.__version__, "lightning": lightning.__version__},
        "rows": rows,
    }
    path = Path(__file__).parents[1] / "results" / "lightning_overhead.json"
    path.write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()
