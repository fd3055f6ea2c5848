"""PyKEEN's training epoch (LCWA = KvsAll, inverse triples, Adam), timed; prints one JSON object.

What is measured: `epoch_ms`, one number an epoch: the time between the ends of successive epochs of
PyKEEN's own `LCWATrainingLoop.train` (progress bars off, automatic memory search off), the data
loader included, evaluation excluded. `--no-gc` replaces the `gc.collect()` at the end of each epoch
by nothing; without it PyKEEN is as shipped. Keci does not exist in PyKEEN; QuatE is its nearest to
QMult. `--dim` counts real numbers in a row (ComplEx: dim/2 complex, QuatE: dim/4 quaternions).
Runs in the peers venv.
"""

from __future__ import annotations

import argparse
import itertools
import json
import sys
import time
from importlib.metadata import version
from pathlib import Path
from types import SimpleNamespace
from typing import Any

# Real numbers in one unit of PyKEEN's `embedding_dim`, and what switches the regularizers off.
REALS = {"DistMult": 1, "ComplEx": 2, "QuatE": 4}
NO_REGULARIZER: dict[str, dict[str, Any]] = {
    "DistMult": {"regularizer": None},
    "ComplEx": {"regularizer": None},
    "QuatE": {"entity_regularizer": None, "relation_regularizer": None},
}


def parse(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder of train, valid, test.txt")
    parser.add_argument("--model", choices=sorted(REALS), required=True)
    parser.add_argument("--dim", type=int, default=32, help="real numbers in one embedding")
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--batch", type=int, default=1024)
    parser.add_argument("--lr", type=float, default=0.1)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--no-gc", action="store_true", help="stub PyKEEN's gc.collect()")
    parser.add_argument("--out", type=Path, help="write the JSON here instead of standard output")
    return parser.parse_args(argv)


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Train once, return the record."""
    began = time.perf_counter()
    import graph
    import torch
    from pykeen.models import model_resolver
    from pykeen.training import LCWATrainingLoop, TrainingCallback, training_loop
    from pykeen.triples import CoreTriplesFactory

    torch.set_num_threads(options.threads)
    if options.no_gc:
        training_loop.gc = SimpleNamespace(collect=lambda: 0)
    imported = time.perf_counter() - began

    class Clock(TrainingCallback):
        def __init__(self) -> None:
            super().__init__()
            self.ends: list[float] = []

        def post_epoch(self, epoch: int, epoch_loss: float, **kwargs: Any) -> None:
            self.ends.append(time.perf_counter())

    data = graph.read(options.data)
    factory = CoreTriplesFactory.create(
        torch.as_tensor(data.train),
        num_entities=len(data.entities),
        num_relations=len(data.relations),
        create_inverse_triples=True,
    )
    model = model_resolver.make(
        options.model,
        triples_factory=factory,
        embedding_dim=options.dim // REALS[options.model],
        loss="BCEWithLogits",
        random_seed=options.seed,
        **NO_REGULARIZER[options.model],
    )
    optimizer = torch.optim.Adam(model.get_grad_params(), lr=options.lr)
    loop = LCWATrainingLoop(
        model=model,
        triples_factory=factory,
        optimizer=optimizer,
        automatic_memory_optimization=False,
    )
    clock, start = Clock(), time.perf_counter()
    losses = loop.train(
        factory,
        num_epochs=options.epochs,
        batch_size=options.batch,
        use_tqdm=False,
        callbacks=clock,
    )
    total = time.perf_counter() - start
    ends = clock.ends
    return {
        "peer": "pykeen",
        "versions": {"pykeen": version("pykeen"), "torch": torch.__version__},
        "config": {k: str(v) if isinstance(v, Path) else v for k, v in vars(options).items()},
        "seconds": {"fit": total},
        "import_seconds": imported,
        "epoch_ms": [1e3 * (b - a) for a, b in itertools.pairwise(ends)],
        "loss": [losses[0], losses[-1]],
        "parameters": model.num_parameters,
    }


def main() -> None:
    options = parse()
    text = json.dumps(measure(options))
    if options.out:
        options.out.write_text(text)
    else:
        sys.stdout.write(text + "\n")


if __name__ == "__main__":
    main()
