"""dicee's filtered ranking of the test split for given weights, timed (peers venv).

What is measured: `Evaluator.evaluate_lp_k_vs_all`, which ranks the test split at the end of a
KvsAll run: dicee reads the graph, builds its vocabularies, data set and model as always; then,
instead of training, the weights are put in place, and where it would evaluate the timing happens.
The vocabularies, which are its filter, are made when the graph is read: outside the clock, and so
is a first ranking of a few triples.

`--batches`, `--share`, `--batch`, `--ranks` as in pykeen_ranking.py; the ranks are written in the
order of our ids (.npz with triples [n, 3] in our ids, reciprocals included, and rank [n]).
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from importlib.metadata import version
from types import SimpleNamespace
from typing import Any

import command_line
import process_memory


def ids(vocabulary: Any) -> dict[str, int]:
    """dicee's name → id, which is a dict or a table whose first column is the name."""
    if isinstance(vocabulary, dict):
        return vocabulary
    names = vocabulary["entity" if "entity" in vocabulary.columns else "relation"]
    return {name: i for i, name in enumerate(names)}


class Translation:
    """For each of dicee's ids the one of ours."""

    def __init__(self, kg: Any, data: Any) -> None:
        import numpy as np

        entity, relation = ids(kg.entity_to_idx), ids(kg.relation_to_idx)
        ours = [*data.relations, *(f"{name}_inverse" for name in data.relations)]
        assert set(entity) == set(data.entities) and set(relation) == set(ours)
        self.entity = np.empty(len(entity), dtype=np.int64)
        self.relation = np.empty(len(relation), dtype=np.int64)
        self.entity[[entity[name] for name in data.entities]] = np.arange(len(entity))
        self.relation[[relation[name] for name in ours]] = np.arange(len(relation))

    def triples(self, theirs: Any) -> Any:
        import numpy as np

        h, r, t = np.asarray(theirs).T
        return np.stack([self.entity[h], self.relation[r], self.entity[t]], 1)


class Ranking:
    """What happens where dicee would evaluate."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options, self.record = options, {"peer": "dicee", "version": version("dicee")}
        self.ranks: list[int] = []

    def install(self) -> None:
        """Put ourselves in the place of training and of evaluation."""
        from dicee.evaluator import Evaluator
        from dicee.trainer.torch_trainer import TorchTrainer

        predict = Evaluator._evaluate_entity_prediction

        def keeping_ranks(evaluator: Any, *args: Any) -> Any:
            self.ranks, hits = predict(evaluator, *args)
            return self.ranks, hits

        def weights_only(trainer: Any, model: Any, train_dataloaders: Any) -> None:
            trainer.model = model

        Evaluator._evaluate_entity_prediction = keeping_ranks
        TorchTrainer.fit = weights_only
        Evaluator.eval = lambda evaluator, dataset, trained_model, form_of_labelling: self.measure(
            evaluator, dataset, trained_model, form_of_labelling
        )

    def measure(self, evaluator: Any, kg: Any, model: Any, form: str) -> dict[str, Any]:
        import graph
        import numpy as np
        import torch

        evaluator.vocab_preparation(kg)
        translation = Translation(kg, graph.read(self.options.data))
        for table, order in (("entity", translation.entity), ("relation", translation.relation)):
            rows = np.load(self.options.weights / f"{table}.npy")[order]
            weight = getattr(model, f"{table}_embeddings").weight
            assert weight.shape == rows.shape, (weight.shape, rows.shape)
            weight.data.copy_(torch.from_numpy(rows))
        test = np.asarray(kg.test_set)
        shuffled = test[np.random.default_rng(0).permutation(len(test))]
        trials = self.record["trials"] = []
        self.run(evaluator, model, shuffled[:8], 8, form)
        for batch in sorted({min(batch, len(test)) for batch in self.options.batches or []}):
            sample = shuffled[: max(batch, int(self.options.share * len(test)))]
            try:
                trials.append(self.run(evaluator, model, sample, batch, form))
            except (MemoryError, RuntimeError) as error:
                if not process_memory.is_out_of_memory(error):
                    raise
                break
        if self.options.batch:
            self.record["full"] = self.run(evaluator, model, test, self.options.batch, form)
            if self.options.ranks:
                triples = translation.triples(test)
                np.savez(self.options.ranks, triples=triples, rank=np.array(self.ranks))
        return {}

    def run(self, evaluator: Any, model: Any, triples: Any, batch: int, form: str) -> Any:
        evaluator.args.batch_size = batch
        before, start = process_memory.resident_mib(), time.perf_counter()
        metrics = evaluator.evaluate_lp_k_vs_all(model, triples, "", form)
        return {
            "batch": batch, "batch_used": batch, "ranks": len(triples),
            "seconds": time.perf_counter() - start, "build_seconds": 0.0,
            "resident_before_mib": before, "peak_mib": process_memory.peak_mib(),
            "mrr": float(metrics["MRR"]),
        }  # fmt: skip


def main() -> None:
    options = command_line.ranking_parser(__doc__.splitlines()[0]).parse_args()
    import dicee_stubs
    import torch
    from dicee_run import dicee_arguments

    torch.set_num_threads(options.threads)
    process_memory.cap(options.cap_gib)
    dicee_stubs.without_network()
    from dicee.executer import Execute

    ranking = Ranking(options)
    ranking.install()
    settings = SimpleNamespace(
        data=options.data, model=options.model, p=0, q=1, dim=options.dim, epochs=1, batch=1024,
        lr=0.01, seed=0, eval_model="val_test", method="none",
    )  # fmt: skip
    with tempfile.TemporaryDirectory(prefix="dicee-ranking-") as storage:
        os.chdir(storage)
        Execute(dicee_arguments(settings, storage)).start()
        os.chdir("/")
    options.out.write_text(json.dumps(ranking.record))


if __name__ == "__main__":
    main()
