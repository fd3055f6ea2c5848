"""What a mixing step costs, beside one pass over all numbers of a population.

N members of P fp32 numbers in eight layers. The bar is one in-place `lerp_` over N · P numbers in
flat tensors (two reads and a write each). Also a naive loop: for WASH a mask over all coordinates,
and a permutation of each. Median of interleaved repetitions.

    python -m benchmarks.averaging.mixing [--members 5] [--repetitions 9] [--write]
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import nn

from aswa.averaging.mixing import Average, Mixing, Pull, Shuffle, SparseAverage

RESULT = Path(__file__).parents[1] / "results" / "mixing"
SIZES = (30_000, 300_000, 11_000_000)


class Layers(nn.Module):
    """Eight layers of equal size."""

    def __init__(self, numbers: int) -> None:
        super().__init__()
        layer = numbers // 8
        self.layers = nn.ModuleList(nn.Linear(layer, 1, bias=False) for _ in range(8))


def naive_shuffle(members: list[nn.Module], p: float, generator: torch.Generator) -> None:
    """WASH by a mask over all coordinates."""
    with torch.no_grad():
        for tensors in zip(*(m.parameters() for m in members), strict=True):
            values = torch.stack([t.detach() for t in tensors])
            order = torch.rand(values.shape, generator=generator).argsort(0)
            mask = torch.rand(values.shape[1:], generator=generator) < p
            mixed = torch.where(mask, values.gather(0, order), values)
            for tensor, value in zip(tensors, mixed, strict=True):
                tensor.copy_(value)


def cases(members: list[nn.Module]) -> dict[str, Callable[[], object]]:
    size = sum(p.numel() for p in members[0].parameters())
    flat, target = torch.randn(len(members), size), torch.randn(len(members), size)
    generator = torch.Generator().manual_seed(0)

    def step(mixing: Mixing) -> Callable[[], object]:
        return lambda: mixing.step(members, [], 1.0)

    average = Average(every=1)
    return {
        "flat lerp_ over N P": lambda: flat.lerp_(target, 0.01),
        "PAPA": step(Pull(0.99, every=1)),
        "PAPA-all, DART, IMWA": lambda: average.epoch(members, [], 1),
        **{f"WASH p={p}": step(Shuffle(p, decrease=False)) for p in (0.001, 0.01, 0.05)},
        "sparse average p=0.01": step(SparseAverage(0.01, decrease=False)),
        "WASH p=0.01, naive": lambda: naive_shuffle(members, 0.01, generator),
    }


def measure(numbers: int, n: int, repetitions: int) -> dict[str, float]:
    """Median milliseconds of each case."""
    members: list[nn.Module] = [Layers(numbers) for _ in range(n)]
    timed = cases(members)
    seconds: dict[str, list[float]] = {name: [] for name in timed}
    for _ in range(repetitions + 1):  # the first is a warm-up
        for name, call in timed.items():
            start = time.perf_counter()
            call()
            seconds[name].append(time.perf_counter() - start)
    return {name: 1000 * statistics.median(values[1:]) for name, values in seconds.items()}


def table(found: dict[int, dict[str, float]], n: int) -> str:
    lines = [f"| step, N = {n} | " + " | ".join(f"P = {size:,}" for size in found) + " |"]
    lines.append("| --- |" + " ---: |" * len(found))
    for name in next(iter(found.values())):
        cells = []
        for of_size in found.values():
            bar = of_size["flat lerp_ over N P"]
            cells.append(f"{of_size[name]:.2f} ms ({of_size[name] / bar:.1f}×)")
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--members", type=int, default=5)
    parser.add_argument("--repetitions", type=int, default=9)
    parser.add_argument("--write", action="store_true", help=f"to {RESULT}.json and .md")
    args = parser.parse_args()
    torch.set_num_threads(1)
    found = {size: measure(size, args.members, args.repetitions) for size in SIZES}
    text = table(found, args.members)
    print(text)
    if args.write:
        made = {"torch": torch.__version__, "machine": platform.machine(), "threads": 1}
        record = {"members": args.members, **made, "milliseconds": found}
        RESULT.with_suffix(".json").write_text(json.dumps(record, indent=1) + "\n")
        head = f"# Mixing steps\n\nOne thread, torch {torch.__version__}, medians.\n\n"
        RESULT.with_suffix(".md").write_text(f"{head}{text}\n")


if __name__ == "__main__":
    main()
