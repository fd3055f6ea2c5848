"""One dicee run (KvsAll, reciprocals, Adam), timed; prints one JSON object. Runs in the peers venv.

What is measured, all by a wall clock inside this process, imports excluded:
- `seconds.start`: `Execute(args).start()`, i.e. reading the graph, training, averaging, writing
  what dicee writes, and its final evaluation (`--eval-model`, validation and test by default);
- `seconds.fit`: its trainer's `fit`, i.e. training and averaging;
- `epoch_ms`: one number an epoch, from the end of the epoch-start callbacks to the beginning of the
  epoch-end callbacks: training alone, data loader included, averaging and evaluation excluded;
- `callback_ms`: the epoch-end callbacks, where averaging and its validation happen.
`import_seconds` is given apart. dicee prints progress on stderr while it works, as shipped.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

METHODS = {"none": None, "aswa": "adaptive_swa", "swa": "swa", "ema": "ema"}


def parse(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder of train, valid, test.txt")
    parser.add_argument("--model", choices=["DistMult", "ComplEx", "QMult", "Keci"], required=True)
    parser.add_argument("--dim", type=int, default=32, help="real numbers in one embedding")
    parser.add_argument("--epochs", type=int, default=100)
    parser.add_argument("--batch", type=int, default=1024)
    parser.add_argument("--lr", type=float, default=0.1, help="dicee's own default is 0.1")
    parser.add_argument("--method", choices=sorted(METHODS), default="none")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--p", type=int, default=0, help="Keci only")
    parser.add_argument("--q", type=int, default=1, help="Keci only")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--eval-model", default="val_test", help="splits ranked at the end")
    parser.add_argument("--pickles-once", action="store_true", help="see dicee_stubs.py")
    parser.add_argument("--out", type=Path, help="write the JSON here instead of standard output")
    return parser.parse_args(argv)


class EpochClock:
    """Wraps the trainer's `fit` and epoch callbacks; keeps their times."""

    def __init__(self, trainer_class: type) -> None:
        self.fit_seconds = 0.0
        self.epoch_ms: list[float] = []
        self.callback_ms: list[float] = []
        clock, began = time.perf_counter, [0.0]
        fit = trainer_class.fit
        epoch_start = trainer_class.on_train_epoch_start
        epoch_end = trainer_class.on_train_epoch_end

        def timed_fit(trainer: Any, *args: Any, **kwargs: Any) -> Any:
            start = clock()
            result = fit(trainer, *args, **kwargs)
            self.fit_seconds = clock() - start
            return result

        def timed_start(trainer: Any, *args: Any, **kwargs: Any) -> None:
            epoch_start(trainer, *args, **kwargs)
            began[0] = clock()

        def timed_end(trainer: Any, *args: Any, **kwargs: Any) -> None:
            trained = clock()
            epoch_end(trainer, *args, **kwargs)
            self.epoch_ms.append(1e3 * (trained - began[0]))
            self.callback_ms.append(1e3 * (clock() - trained))

        trainer_class.fit = timed_fit
        trainer_class.on_train_epoch_start = timed_start
        trainer_class.on_train_epoch_end = timed_end


def dicee_arguments(options: argparse.Namespace, storage: str) -> Any:
    """dicee's Python defaults (Adam, KvsAll, its own CPU trainer) with this run's settings."""
    from dicee.config import Namespace

    args = Namespace()
    args.dataset_dir = str(options.data.resolve())
    args.path_to_store_single_run = str(Path(storage) / "run")
    args.model, args.p, args.q = options.model, options.p, options.q
    args.embedding_dim, args.num_epochs = options.dim, options.epochs
    args.batch_size, args.lr, args.random_seed = options.batch, options.lr, options.seed
    args.scoring_technique, args.optim, args.trainer = "KvsAll", "Adam", "torchCPUTrainer"
    args.eval_model = options.eval_model
    if METHODS[options.method]:
        setattr(args, METHODS[options.method], True)
    return args


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Run dicee once in a temporary folder and return the record."""
    began = time.perf_counter()
    import dicee_stubs
    import torch

    torch.set_num_threads(options.threads)
    dicee_stubs.without_network()
    from dicee.executer import Execute
    from dicee.trainer.torch_trainer import TorchTrainer

    if options.pickles_once:
        dicee_stubs.pickles_once()
    clock = EpochClock(TorchTrainer)
    imported = time.perf_counter() - began
    home = Path.cwd()
    with tempfile.TemporaryDirectory(prefix="dicee-run-") as storage:
        args = dicee_arguments(options, storage)
        os.chdir(storage)
        try:
            start = time.perf_counter()
            report = Execute(args).start()
            total = time.perf_counter() - start
        finally:
            os.chdir(home)
    return {
        "peer": "dicee",
        "versions": {"dicee": version("dicee"), "torch": torch.__version__},
        "config": {k: str(v) if isinstance(v, Path) else v for k, v in vars(options).items()},
        "seconds": {"start": total, "fit": clock.fit_seconds},
        "import_seconds": imported,
        "epoch_ms": clock.epoch_ms,
        "callback_ms": clock.callback_ms,
        "valid": report.get("Val"),
        "test": report.get("Test"),
        "parameters": report.get("NumParam"),
    }


def main() -> None:
    options = parse()
    record = measure(options)
    text = json.dumps(record)
    if options.out:
        options.out.write_text(text)
    else:
        sys.stdout.write("\n" + text + "\n")


if __name__ == "__main__":
    main()
