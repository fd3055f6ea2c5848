"""What several runs, or dropout, predict together: MC dropout, ensembles over seeds, MultiSWAG.

    python scripts/language_ensembles.py results/language_lora

Needs runs of texts with save_weights=true and optimizer=language. Writes RESULTS_DIR/ensembles.csv.
"""

from __future__ import annotations

import argparse
import csv
import json
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from aswa.training.loaded import Loaded, load

SAMPLES = 15  # of dropout


class Dropping(nn.Module):
    """A model whose dropout stays on, with random numbers of its own."""

    def __init__(self, model: nn.Module, seed: int) -> None:
        super().__init__()
        self._model, self._seed = [model], seed  # not a child: its mode is nobody else's

    def forward(self, tokens: Tensor) -> Tensor:
        model = self._model[0]
        with torch.random.fork_rng():
            torch.manual_seed(self._seed)
            logits: Tensor = model.train()(tokens)
            model.eval()
        return logits


def contestants(runs: Sequence[Path]) -> Iterator[tuple[str, Loaded, list[nn.Module]]]:
    """Name, a run whose task evaluates, and members."""
    last = [load(run, "sgd") for run in runs]
    yield "MC dropout, one run", last[0], [Dropping(last[0].model, i) for i in range(SAMPLES)]
    for method, of in (("sgd", "last epochs"), ("swa", "SWA"), ("aswa", "ASWA")):
        loaded = [load(run, method) for run in runs]
        yield f"ensemble of {of}", loaded[0], [each.model for each in loaded]
    drawn = [load(run, "swag") for run in runs]
    yield "MultiSWAG", drawn[0], [member for each in drawn for member in each.members]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("results", type=Path)
    results = parser.parse_args().results
    by_setting = defaultdict(list)
    for path in sorted(results.glob("runs/*/*/*/result.json")):
        record = json.loads(path.read_bytes())
        if "swag" in record["methods"]:
            unit = record["dataset"], record["model"], record["setting_id"]
            by_setting[unit].append((record["seed"], path.parent))
    rows = []
    for (dataset, model, setting), runs in by_setting.items():
        for name, loaded, members in contestants([folder for _, folder in sorted(runs)]):
            for metric, value in loaded.task.metrics(members, "test").items():
                rows.append([dataset, model, setting, name, len(members), metric, value])
    with (results / "ensembles.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["dataset", "model", "setting_id", "name", "members", "metric", "value"])
        writer.writerows(rows)
    print(results / "ensembles.csv")


if __name__ == "__main__":
    main()
