"""What one averaging step costs, against one in-place `lerp_` over a flat tensor of that size.

The model has the tensors of a WideResNet-28-10: 36.5 million fp32 numbers, in 158 parameters and
running statistics; no forward pass is made. Timed, in interleaved repetitions so that a drift of
the machine meets all alike: the flat `lerp_` (the bar), `SWA.update`, `EMA.step`, and `ASWA.update`
when it ends in a soft update and when it ends in a rejection, with an `evaluate` that returns a
prepared number at once. So ASWA's figure is its arithmetic: building the look-ahead, comparing,
copying it into the ensemble or dropping it. `AveragedModel.update_parameters` of torch, its equal
mean, stands beside. Printed: median milliseconds and the median of the
ratios taken within each repetition. Target: at most 1.5, and 2.5 where the look-ahead is copied
too. Beside that: bytes read and written a second, as a share of those of a flat `copy_` (target:
80 % for the plain averages). With `--device cuda` each timing is closed by a synchronisation, and
an EMA with `device="cpu"` is timed beside a copy from the GPU into pinned memory.

    python benchmarks/averaging/step.py [--threads 1] [--repetitions 25] [--device cpu]
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel

from aswa.averaging import ASWA, EMA, SWA

TARGET = 1.5
TARGETS = {"ASWA.update, soft": 2.5}
COPY, LERP, BUS = "flat copy_", "flat lerp_", "copy to pinned memory"
OFFLOADED = "EMA.step, device=cpu"
TORCH = "torch's AveragedModel"
# Times that a number is read or written; over the bus, once.
TRANSFERS = {COPY: 2, LERP: 3, TORCH: 3, "SWA.update": 3, "EMA.step": 3, "ASWA.update, soft": 5,
             "ASWA.update, reject": 3, BUS: 1, OFFLOADED: 1}  # fmt: skip


def wide_resnet_tensors(width: int = 10, blocks: int = 4) -> list[tuple[int, ...]]:
    """Shapes of the parameters and running statistics of a WideResNet-28 of this width."""
    shapes: list[tuple[int, ...]] = [(16, 3, 3, 3), (16,)]
    channels = 16
    for stage in range(3):
        out = 16 * width * 2**stage
        for block in range(blocks):
            before = channels if block == 0 else out
            shapes += [(before,)] * 4 + [(out, before, 3, 3), (out,)]
            shapes += [(out,)] * 4 + [(out, out, 3, 3), (out,)]
            if block == 0:
                shapes += [(out, before, 1, 1), (out,)]
        channels = out
    return [*shapes, *[(channels,)] * 4, (10, channels), (10,)]


class Weights(nn.Module):
    """Parameters of the given shapes, filled at random."""

    def __init__(self, shapes: list[tuple[int, ...]], device: str) -> None:
        super().__init__()
        self.tensors = nn.ParameterList(torch.randn(shape, device=device) for shape in shapes)


def aswa_step(model: nn.Module, soft: bool) -> Callable[[], None]:
    """One ASWA update a call, every one soft, or every one a rejection."""
    aswa, calls = ASWA(model), [0.0]

    def evaluate(module: nn.Module) -> float:
        if module is model:
            return 0.0
        calls[0] += 1.0
        return calls[0] if soft else -1.0

    def step() -> None:
        decision = aswa.update(model, evaluate)
        if decision.value != expected:
            raise RuntimeError(f"meant to time a {expected} update, got {decision.value}")

    expected = "hard"
    step()
    expected = "soft" if soft else "reject"
    return step


def candidates(device: str) -> tuple[dict[str, Callable[[], object]], int, int]:
    """What is timed, by name, the bar first; numbers and tensors in the model."""
    shapes = wide_resnet_tensors()
    model = Weights(shapes, device)
    size = sum(p.numel() for p in model.parameters())
    average, running = torch.randn(size, device=device), torch.randn(size, device=device)
    swa, ema, theirs = SWA(model), EMA(model, decay=0.99), AveragedModel(model)
    steps: dict[str, Callable[[], object]] = {
        LERP: lambda: average.lerp_(running, 0.01),
        COPY: lambda: average.copy_(running),
        TORCH: lambda: theirs.update_parameters(model),
        "SWA.update": lambda: swa.update(model, lambda module: 0.0),
        "EMA.step": lambda: ema.step(model),
        "ASWA.update, soft": aswa_step(model, soft=True),
        "ASWA.update, reject": aswa_step(model, soft=False),
    }
    if device.startswith("cuda"):
        offloaded, pinned = EMA(model, decay=0.99, device="cpu"), torch.empty(size, pin_memory=True)
        steps[BUS] = lambda: pinned.copy_(running)
        steps[OFFLOADED] = lambda: offloaded.step(model)
    for step in list(steps.values()) * 2:  # first calls allocate
        step()
    with torch.no_grad():  # averages and running weights differ, as in training
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter))
    return steps, size, len(shapes)


def measure(repetitions: int, device: str) -> dict[str, Any]:
    """Medians in milliseconds and ratios to the bar."""
    steps, size, tensors = candidates(device)

    def wait() -> None:
        if device.startswith("cuda"):
            torch.cuda.synchronize()

    times: dict[str, list[float]] = {name: [] for name in steps}
    for _ in range(repetitions):
        for name, step in steps.items():
            wait()
            start = time.perf_counter()
            step()
            wait()
            times[name].append(1e3 * (time.perf_counter() - start))
    bar = times[LERP]
    rates = {
        name: 4e-6 * size * TRANSFERS[name] / statistics.median(values)
        for name, values in times.items()
    }
    return {
        "numbers": size,
        "tensors": tensors,
        "repetitions": repetitions,
        "device": torch.cuda.get_device_name() if device.startswith("cuda") else "cpu",
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "load_average_1_min": round(os.getloadavg()[0], 1),
        "machine": f"{platform.system()} {platform.machine()}",
        "median_ms": {name: statistics.median(values) for name, values in times.items()},
        "gb_per_second": {name: round(rate, 2) for name, rate in rates.items()},
        "share_of_copy": {name: round(_share(name, times), 3) for name in times},
        "ratio": {
            name: statistics.median(a / b for a, b in zip(values, bar, strict=True))
            for name, values in times.items()
        },
    }


def _share(name: str, times: dict[str, list[float]]) -> float:
    """Of the rate of a copy: median of the ratios taken within each repetition."""
    bar = BUS if name in (BUS, OFFLOADED) else COPY
    pairs = zip(times[name], times[bar], strict=True)
    return statistics.median(b / a for a, b in pairs) * TRANSFERS[name] / TRANSFERS[bar]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--repetitions", type=int, default=25)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--out", type=Path, help="also write the figures as JSON")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    record = measure(options.repetitions, options.device)
    print(
        f"{record['numbers']:,} numbers in {record['tensors']} tensors, {record['device']}, "
        f"{record['threads']} thread(s), torch {record['torch']}, n = {record['repetitions']}"
    )
    for name, milliseconds in record["median_ms"].items():
        ratio, share = record["ratio"][name], record["share_of_copy"][name]
        judged = name not in (LERP, COPY, TORCH, BUS, OFFLOADED)
        verdict = "ok" if ratio <= TARGETS.get(name, TARGET) else "ABOVE"
        verdict = verdict if judged else "the bar" if name == LERP else ""
        print(
            f"{name:22} {milliseconds:8.2f} ms   {ratio:5.2f} x   {verdict:8}"
            f"{record['gb_per_second'][name]:8.2f} GB/s, {share:.0%} of a copy"
        )
    if options.out:
        options.out.parent.mkdir(parents=True, exist_ok=True)
        options.out.write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()
