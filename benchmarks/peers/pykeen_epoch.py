"""One KvsAll (LCWA) training epoch of PyKEEN on a large graph, cut short (peers venv).

What is measured: the steps inside PyKEEN's own `LCWATrainingLoop.train`, batches fetched by its
data loader included, the first few left out (batch_clock.py); inverse triples, Adam, binary
cross-entropy, no regularizer, progress bars and automatic memory search off. Its `gc.collect()` at
the end of an epoch is not in it: beside an epoch of this length it is nothing.
"""

from __future__ import annotations

import argparse
import contextlib
import json
from importlib.metadata import version
from pathlib import Path
from typing import Any

import process_memory
from batch_clock import BatchClock, Enough


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder of train, valid, test.txt")
    parser.add_argument("--model", choices=["DistMult", "ComplEx"], required=True)
    parser.add_argument("--dim", type=int, required=True)
    parser.add_argument("--batch", type=int, required=True)
    parser.add_argument("--seconds", type=float, default=40, help="of training, then it stops")
    parser.add_argument("--lr", type=float, default=0.01)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--cap-gib", type=float, default=16)
    parser.add_argument("--out", type=Path, required=True)
    return parser.parse_args()


def measure(options: argparse.Namespace) -> dict[str, Any]:
    import graph
    import pykeen_parts
    import torch
    from pykeen.training import LCWATrainingLoop, TrainingCallback

    torch.set_num_threads(options.threads)
    factory = pykeen_parts.factory(graph.read(options.data))
    model = pykeen_parts.build(options.model, factory, options.dim)
    clock, total = BatchClock(options.seconds), [0]

    class Watch(TrainingCallback):
        def post_batch(self, epoch: int, batch: Any, **kwargs: Any) -> None:
            clock.batch(len(batch["pairs"]))

    class Loop(LCWATrainingLoop):
        def _train_epoch(self, batches: Any, **kwargs: Any) -> float:
            total[0] = len(batches.dataset)
            clock.begin()
            return super()._train_epoch(batches=batches, **kwargs)

    loop = Loop(
        model=model,
        triples_factory=factory,
        optimizer=torch.optim.Adam(model.get_grad_params(), lr=options.lr),
        automatic_memory_optimization=False,
    )
    before = process_memory.peak_mib()
    process_memory.cap(options.cap_gib)
    with contextlib.suppress(Enough):
        loop.train(
            factory, num_epochs=1, batch_size=options.batch, use_tqdm=False, callbacks=Watch()
        )
    memory = {"peak": process_memory.peak_mib(), "peak_before_training": before}
    return clock.figures(total[0]) | {"mib": memory}


def main() -> None:
    options = parse()
    record: dict[str, Any] = {"peer": "pykeen", "version": version("pykeen")}
    record["batch"] = options.batch
    try:
        record |= measure(options)
    except (MemoryError, RuntimeError) as error:
        if not process_memory.is_out_of_memory(error):
            raise
        record["out_of_memory"] = options.cap_gib
    options.out.write_text(json.dumps(record))


if __name__ == "__main__":
    main()
