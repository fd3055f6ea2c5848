"""PyKEEN's filtered ranking of the test split for given weights, timed (peers venv).

What is measured: `RankBasedEvaluator(filtered=True).evaluate`, or with `--path loop`
`LCWAEvaluationLoop`, its dataset (where the filter is built; also given apart as `build_seconds`)
included: everything from the triples as ids to the metrics. Reading the graph and making the model
are outside the clock, and so is a first ranking of a few triples.

`--batches` tries each size on the first `--share` of the test triples (on one batch at least),
smallest first, and stops at the first that fails for want of memory (`--cap-gib`); `--batch` ranks
all of them and can write the realistic ranks (`--ranks`: .npz with tail, head). `batch_used` is the
largest batch that came by: PyKEEN halves a batch that does not fit and says nothing.
"""

from __future__ import annotations

import argparse
import json
import time
from importlib.metadata import version
from typing import Any

import command_line
import process_memory


class Ranking:
    """A model and triples, to be ranked with any batch size."""

    def __init__(self, options: argparse.Namespace) -> None:
        import graph
        import pykeen_parts
        import torch
        from pykeen.evaluation import evaluator

        self.path, self.batch_used = options.path, 0
        data = graph.read(options.data)
        splits = {name: torch.as_tensor(getattr(data, name)) for name in graph.SPLITS}
        self.test, self.known = splits["test"], [splits["train"], splits["valid"]]
        self.factory = pykeen_parts.factory(data)
        self.model = pykeen_parts.build(options.model, self.factory, options.dim)
        pykeen_parts.set_weights(self.model, options.model, options.weights)
        self.model.eval()
        inner = evaluator._evaluate_batch

        def counted(batch: Any, **kwargs: Any) -> Any:
            self.batch_used = max(self.batch_used, len(batch))
            return inner(batch=batch, **kwargs)

        evaluator._evaluate_batch = counted

    def run(self, n: int, batch: int) -> tuple[dict[str, Any], Any]:
        """Rank both sides of the first n triples: figures, and the evaluator with its ranks."""
        from pykeen.evaluation import LCWAEvaluationLoop, RankBasedEvaluator
        from pykeen.triples import CoreTriplesFactory

        evaluator = RankBasedEvaluator(filtered=True, clear_on_finalize=False)
        triples, self.batch_used = self.test[:n], 0
        before, start = process_memory.resident_mib(), time.perf_counter()
        if self.path == "evaluator":
            result = evaluator.evaluate(
                self.model, triples, batch_size=batch, use_tqdm=False,
                additional_filter_triples=self.known,
            )  # fmt: skip
            built = start
        else:
            tested = CoreTriplesFactory.create(
                triples, num_entities=self.model.num_entities,
                num_relations=self.factory.real_num_relations,
            )  # fmt: skip
            loop = LCWAEvaluationLoop(
                model=self.model, triples_factory=tested, evaluator=evaluator,
                additional_filter_triples=self.known,
            )  # fmt: skip
            built = time.perf_counter()
            result = loop.evaluate(batch_size=batch, use_tqdm=False)
        seconds = time.perf_counter() - start
        figures = {
            "batch": batch, "batch_used": self.batch_used or batch, "ranks": 2 * len(triples),
            "seconds": seconds, "build_seconds": built - start,
            "resident_before_mib": before, "peak_mib": process_memory.peak_mib(),
            "mrr": float(result.get_metric("both.realistic.inverse_harmonic_mean_rank")),
        }  # fmt: skip
        return figures, evaluator


def main() -> None:
    parser = command_line.ranking_parser(__doc__.splitlines()[0])
    parser.add_argument("--path", choices=["evaluator", "loop"], default="evaluator")
    options = parser.parse_args()
    import numpy as np
    import torch

    torch.set_num_threads(options.threads)
    process_memory.cap(options.cap_gib)
    ranking = Ranking(options)
    record: dict[str, Any] = {"peer": "pykeen", "version": version("pykeen"), "trials": []}
    everything = len(ranking.test)
    ranking.run(8, 8)
    for batch in sorted({min(batch, everything) for batch in options.batches or []}):
        n = max(batch, int(options.share * everything))
        try:
            figures, _ = ranking.run(n, batch)
        except (MemoryError, RuntimeError) as error:
            if not process_memory.is_out_of_memory(error):
                raise
            break
        record["trials"].append(figures)
        if figures["batch_used"] < batch:
            break
    if options.batch:
        record["full"], evaluator = ranking.run(len(ranking.test), options.batch)
        if options.ranks:
            sides = {
                side: np.concatenate(evaluator.ranks[side, "realistic"])
                for side in ("tail", "head")
            }
            np.savez(options.ranks, **sides)
    options.out.write_text(json.dumps(record))


if __name__ == "__main__":
    main()
