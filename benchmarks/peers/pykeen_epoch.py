"""One KvsAll (LCWA) training epoch of PyKEEN on a large graph, cut short (peers venv).

What is measured: the steps inside PyKEEN's own `LCWATrainingLoop.train`, batches fetched by its
data loader included, the first few left out (batch_clock.py); inverse triples, Adam, binary
cross-entropy, no regularizer, progress bars and automatic memory search off. Its `gc.collect()` at
the end of an epoch is not in it: beside an epoch of this length it is nothing.
"""

from __future__ import annotations

import argparse
import contextlib
from typing import Any

import command_line
import process_memory
from batch_clock import BatchClock, Enough


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


if __name__ == "__main__":
    command_line.run_epoch("pykeen", __doc__.splitlines()[0], measure)
