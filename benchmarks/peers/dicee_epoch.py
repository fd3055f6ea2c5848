"""One KvsAll training epoch of dicee on a large graph, cut short (peers venv).

What is measured: the steps of its own CPU trainer, batches fetched by its data loader included, the
first few left out (batch_clock.py); reading the graph, vocabularies, evaluation and writing are not
in it. The run ends there.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import tempfile
from types import SimpleNamespace
from typing import Any

import command_line
import process_memory
from batch_clock import BatchClock, Enough


def watch(trainer_class: Any, clock: BatchClock, options: argparse.Namespace) -> dict[str, Any]:
    """Put the clock into the trainer; what it learns besides is in the result."""
    learnt: dict[str, Any] = {}
    epoch_start, run_batch = trainer_class.on_train_epoch_start, trainer_class._run_batch

    def begin(trainer: Any, *args: Any, **kwargs: Any) -> None:
        epoch_start(trainer, *args, **kwargs)
        learnt["pairs"] = len(trainer.train_dataloaders.dataset)
        learnt["before"] = process_memory.peak_mib()
        process_memory.cap(options.cap_gib)
        clock.begin()

    def timed(trainer: Any, i: int, x: Any, y: Any) -> float:
        loss = run_batch(trainer, i, x, y)
        clock.batch(len(x))
        return loss

    def end(trainer: Any, *args: Any, **kwargs: Any) -> None:
        raise Enough

    trainer_class.on_train_epoch_start, trainer_class._run_batch = begin, timed
    trainer_class.on_train_epoch_end = end
    return learnt


def measure(options: argparse.Namespace) -> dict[str, Any]:
    import dicee_stubs
    import torch
    from dicee_run import dicee_arguments

    torch.set_num_threads(options.threads)
    dicee_stubs.without_network()
    from dicee.executer import Execute
    from dicee.trainer.torch_trainer import TorchTrainer

    clock = BatchClock(options.seconds)
    learnt = watch(TorchTrainer, clock, options)
    settings = SimpleNamespace(
        data=options.data, model=options.model, p=0, q=1, dim=options.dim, epochs=1,
        batch=options.batch, lr=options.lr, seed=0, eval_model="val_test", method="none",
    )  # fmt: skip
    with tempfile.TemporaryDirectory(prefix="dicee-epoch-") as storage:
        os.chdir(storage)
        try:
            with contextlib.suppress(Enough):
                Execute(dicee_arguments(settings, storage)).start()
        finally:
            os.chdir("/")
    memory = {"peak": process_memory.peak_mib(), "peak_before_training": learnt["before"]}
    return clock.figures(learnt["pairs"]) | {"mib": memory}


if __name__ == "__main__":
    command_line.run_epoch("dicee", __doc__.splitlines()[0], measure)
