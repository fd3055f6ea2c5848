"""When do sparse gradients by the embedding tables pay? See `LinkPrediction._sparse_pays`.

One training step of negative sampling, dense against sparse, as the rows that a batch touches grow
relative to the table. Both give the same weights (tests/test_objectives.py); only time differs.

    python benchmarks/sparse_gradient.py
"""

from __future__ import annotations

import statistics
import time

import torch

from aswa.config import BaseOptimizerConfig
from aswa.models import kge
from aswa.tasks.objectives import NegativeSampling
from aswa.training.optimizers import build_optimizer

N_ENTITIES, N_RELATIONS, N_TRIPLES = 40_943, 22, 30_000


def step_ms(rule: str, dim: int, batch: int, negatives: int, sparse: bool, n: int = 15) -> float:
    """Median milliseconds of a step."""
    generator = torch.Generator().manual_seed(0)
    model = kge.build("complex", N_ENTITIES, N_RELATIONS, dim, generator=generator)
    model.sparse_gradient = sparse
    optimizer = build_optimizer(BaseOptimizerConfig(rule), model, 0.01)
    columns = [torch.randint(k, (N_TRIPLES,), generator=generator)
               for k in (N_ENTITIES, N_RELATIONS, N_ENTITIES)]  # fmt: skip
    objective = NegativeSampling(torch.stack(columns, 1), N_ENTITIES, negatives)
    times = []
    start = time.perf_counter()
    for loss, _ in objective.losses(model, batch, generator):
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        now = time.perf_counter()
        times.append(now - start)
        start = now
        if len(times) == n:
            break
    return 1e3 * statistics.median(times[1:])


def main() -> None:
    """Print the table."""
    torch.set_num_threads(1)
    print(f"{'rule':8} {'dim':>4} {'rows/table':>10} {'dense ms':>9} {'sparse ms':>9} {'gain':>5}")
    for rule in ("adagrad", "sgd"):
        for dim in (32, 256):
            for batch, negatives in ((64, 8), (256, 8), (1024, 8), (1024, 38), (1024, 78)):
                rows = batch * (2 + negatives) / N_ENTITIES
                dense = step_ms(rule, dim, batch, negatives, sparse=False)
                sparse = step_ms(rule, dim, batch, negatives, sparse=True)
                gain = dense / sparse
                print(f"{rule:8} {dim:4} {rows:10.2f} {dense:9.2f} {sparse:9.2f} {gain:5.1f}")


if __name__ == "__main__":
    main()
