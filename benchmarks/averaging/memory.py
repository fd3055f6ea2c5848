"""What each method holds beside the running model, in bytes: tensors that live as long as it does.

ComplEx of 128 dimensions on UMLS by default. Each of the methods watches a few epochs of the model
alone; counted are the storages of all tensors that are there after its last update and were not
before it was built, and those of its `state_dict()`, which a checkpoint holds. What an update takes
and gives back at once is not counted. `step.py` beside this file has the time of an update.

    python -m benchmarks.averaging.memory [--dataset umls] [--model complex]
"""

from __future__ import annotations

import argparse
import gc
import json
from pathlib import Path
from typing import Any

import torch
from torch import nn

from aswa.config import load
from aswa.tasks.link_prediction import LinkPrediction
from aswa.training.riders import build_riders
from benchmarks import side_by_side as sbs

EPOCHS = 8


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--dataset", default="umls")
    parser.add_argument("--model", default="complex")
    parser.add_argument("--out", type=Path, default=sbs.RESULTS / "averaging_memory.json")
    return parser.parse_args()


def storages() -> dict[int, int]:
    """Address → bytes of the storage of every tensor that Python holds.

    Subclasses but parameters, such as what torch.compile traces with, may have no storage.
    """
    gc.collect()
    plain = (torch.Tensor, torch.nn.Parameter)
    tensors = [o for o in gc.get_objects() if type(o) in plain and o.device.type == "cpu"]
    return {s.data_ptr(): s.nbytes() for s in (t.untyped_storage() for t in tensors)}


def distinct_bytes(value: Any) -> int:
    """Of the tensors in a nested state, each storage once."""
    if isinstance(value, torch.Tensor):
        return value.untyped_storage().nbytes()
    parts = value.values() if isinstance(value, dict) else ()
    return sum(map(distinct_bytes, parts))


def held(method: str, words: list[str]) -> dict[str, Any]:
    """Bytes of a method after its last update."""
    config = load([*words, f"optimizer={method}", f"epochs={EPOCHS}"])
    model = LinkPrediction(config, torch.device("cpu")).build_model(torch.Generator())
    weights = sum(p.untyped_storage().nbytes() for p in model.parameters())
    before = storages()
    averager = build_riders(config, model, None)[method].averager
    score = iter(range(1, 2 * EPOCHS + 2))

    def evaluate(module: nn.Module) -> float:  # grows: every update of ASWA but the first is soft
        return float(next(score))

    for _ in range(EPOCHS):
        averager.step(model)
        averager.update(model, evaluate)
    own = sum(n for address, n in storages().items() if address not in before)
    saved = distinct_bytes(averager.state_dict())
    label = config.method_labels[method]
    return {"method": method, "label": label, "model": weights, "held": own, "saved": saved}


def main() -> None:
    options = parse()
    words = [f"dataset={options.dataset}", f"model={options.model}", "lr=0.1"]
    methods = list(load([*words, "optimizer=paper"]).methods)
    found = [held(method, words) for method in methods]
    for row in found:
        print(
            f"{row['label']:20} holds {row['held']:>8,} bytes, {row['held'] / row['model']:.2f} of "
            f"the model; a checkpoint {row['saved']:>8,}"
        )
    options.out.parent.mkdir(parents=True, exist_ok=True)
    said = {"dataset": options.dataset, "model": options.model, "torch": torch.__version__}
    options.out.write_text(json.dumps({**said, "methods": found}, indent=1) + "\n")


if __name__ == "__main__":
    main()
