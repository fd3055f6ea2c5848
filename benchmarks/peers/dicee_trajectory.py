"""dicee's weights after every epoch of one KvsAll run, in our order of ids (peers venv).

Writes to `--weights` an .npz with `entity` [epochs + 1, n_entities, dim], `relation` [epochs + 1,
2 · n_relations, dim] (place 0 is the initialisation, relations first and then their reciprocals in
the same order) and, for Keci, `q_coefficients` [epochs + 1, q]; with `--method aswa` also what its
callback kept, `kept_entity` and so on. Rows are laid out as dicee lays them out (NOTES.md).

The record on `--out` has what a comparison of the settings needs: batches an epoch, the loss of the
first batch, the optimizer with its settings, and the metrics that dicee itself reports.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import dicee_run
import graph


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder of train, valid, test.txt")
    parser.add_argument("--model", choices=["ComplEx", "Keci"], required=True)
    parser.add_argument("--dim", type=int, default=256)
    parser.add_argument("--epochs", type=int, default=300)
    parser.add_argument("--batch", type=int, default=1024)
    parser.add_argument("--lr", type=float, default=0.1)
    parser.add_argument("--method", choices=["none", "aswa"], default="none")
    parser.add_argument("--init-factor", type=float, default=1.0, help="of the initial numbers")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--weights", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.set_defaults(p=0, q=1, eval_model="val_test")
    return parser.parse_args()


class Recorder:
    """Keeps a copy of the weights where dicee's trainer calls back; scales the initial ones."""

    def __init__(self, trainer_class: type, factor: float) -> None:
        self.weights: list[dict[str, Any]] = []
        self.trainer: Any = None
        self.factor = factor
        for name in ("on_fit_start", "on_train_epoch_end"):
            setattr(trainer_class, name, self._keeping(getattr(trainer_class, name)))

    def _keeping(self, callback: Callable[..., None]) -> Callable[..., None]:
        def keep(trainer: Any, *args: Any, **kwargs: Any) -> None:
            self.trainer = trainer
            if not self.weights:
                for parameter in trainer.model.parameters():
                    parameter.data.mul_(self.factor)
            self.weights.append(tables(trainer.model))
            callback(trainer, *args, **kwargs)

        return keep


def tables(model: Any) -> dict[str, Any]:
    """A copy of the model's parameters by our names."""
    names = {"entity_embeddings": "entity", "relation_embeddings": "relation"}
    copies = {}
    for name, parameter in model.named_parameters():
        short = name.removesuffix(".weight")
        copies[names.get(short, short)] = parameter.detach().clone().numpy()
    return copies


def in_our_order(weights: dict[str, Any], kg: Any, data: graph.Graph) -> dict[str, Any]:
    """Rows of entities and relations in the order of our ids; [..., rows, dim]."""
    from dicee_ranking import Translation

    places = Translation(kg, data)
    for name, ours in (("entity", places.entity), ("relation", places.relation)):
        for key in (name, f"kept_{name}"):
            if key in weights:
                ordered = weights[key].copy()
                ordered[..., ours, :] = weights[key]
                weights[key] = ordered
    return weights


def main() -> None:
    options = parse()
    data = graph.read(options.data)
    import dicee_stubs
    import numpy as np
    import torch

    torch.set_num_threads(1)
    dicee_stubs.without_network()
    from dicee.executer import Execute
    from dicee.trainer.torch_trainer import TorchTrainer

    dicee_stubs.pickles_once()
    recorder = Recorder(TorchTrainer, options.init_factor)
    with tempfile.TemporaryDirectory(prefix="dicee-run-") as storage:
        args = dicee_run.dicee_arguments(options, storage)
        os.chdir(storage)
        run = Execute(args)
        report = run.start()
        os.chdir("/")
    model, trainer = run.trained_model, recorder.trainer
    weights = {
        name: np.stack([epoch[name] for epoch in recorder.weights]) for name in recorder.weights[0]
    }
    if options.method == "aswa":
        weights |= {f"kept_{name}": table for name, table in tables(model).items()}
    in_our_order(weights, run.knowledge_graph, data)
    np.savez(options.weights, **weights)
    record = {
        "versions": {"dicee": version("dicee"), "torch": torch.__version__},
        "batches": len(trainer.train_dataloaders),
        "examples": len(trainer.train_dataloaders.dataset),
        "first_loss": model.training_step_outputs[0],
        "optimizer": " ".join(str(trainer.optimizer).split()),
        "loss": str(model.loss),
        "parameters": report["NumParam"],
        "valid": report["Val"],
        "test": report["Test"],
    }
    options.out.write_text(json.dumps(record))


if __name__ == "__main__":
    main()
