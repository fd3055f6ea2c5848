"""What the five methods hold beside a gpt with low-rank adapters, in bytes, and beside a whole one.

Counted are the storages of all tensors after the last update that were not there before the methods
were built, and what their states hold. Frozen tensors are shared, so with adapters both follow the
adapters, not the model.

    python -m benchmarks.language.adapter_memory [--page docs/language.md]
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from torch import nn

from aswa.averaging import ASWA, EMA, SGD, SWA, EarlyStopping
from aswa.models.text.gpt import GPT
from aswa.models.text.lora import Adapted
from benchmarks import side_by_side as sbs
from benchmarks.averaging.memory import distinct_bytes, storages
from scripts.pages import fill

LAYERS, HEADS, DIM, CONTEXT, SYMBOLS, RANK = 4, 4, 128, 64, 81, 8
UPDATES = 4


def held(model: nn.Module) -> dict[str, int]:
    """Bytes of the model, of what of it is trained, of five methods and of their states."""
    before = storages()
    averagers = [SGD(model), SWA(model), EMA(model), EarlyStopping(model), ASWA(model)]
    for update in range(UPDATES):
        for each in averagers:
            each.step(model)
            each.update(model, lambda module, value=update: float(value))
    own = sum(n for address, n in storages().items() if address not in before)
    return {
        "model": sum(p.untyped_storage().nbytes() for p in model.parameters()),
        "trained": sum(p.untyped_storage().nbytes() for p in model.parameters() if p.requires_grad),
        "held": own,
        "saved": sum(distinct_bytes(each.state_dict()) for each in averagers),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--page", type=Path)
    page = parser.parse_args().page
    generator = torch.Generator().manual_seed(0)
    sizes = (SYMBOLS, LAYERS, HEADS, DIM, CONTEXT)
    models = {
        "whole": GPT(*sizes, generator=generator),
        "adapters": Adapted(GPT(*sizes), ["q", "v"], RANK, 16.0, generator=generator),
    }
    found = {name: held(model) for name, model in models.items()}
    rows = [[name, *(f"{n:,}" for n in each.values())] for name, each in found.items()]
    header = ["trained", "model, bytes", "trained, bytes", "five methods hold", "their states"]
    text = sbs.markdown(header, rows)
    sbs.save("language_adapter_memory", {**found, "torch": torch.__version__}, text, sbs.RESULTS)
    if page:
        fill(page, "memory", text)


if __name__ == "__main__":
    main()
