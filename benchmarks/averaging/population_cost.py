"""What a population costs in training and at prediction, beside one model and one averaged module.

Training: an optimizer step of N members on batches of their own, the mixing after it and the mean
that methods watch. Prediction: one averaged module against the ensemble of N members. Two models:
ComplEx of 128 dimensions over 14,541 entities and 474 relations (FB15k-237 with reciprocals,
KvsAll, batch 1024, Adam), and PreResNet-20 on images of 32 × 32 (batch 128, SGD). Inputs are
random, since no cost depends on them. Times are medians of interleaved repetitions on one thread;
memory is counted, the bytes of all tensors that are held, activations not among them.

    python -m benchmarks.averaging.population_cost [--members 5] [--repetitions 5] [--write]
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim import SGD, Adam, Optimizer

from aswa.averaging.mixing import Average, Independent, Mixing, Pull, Shuffle
from aswa.averaging.weights import AveragedWeights
from aswa.models import image, kge
from aswa.models.kge.ensemble import as_one
from aswa.models.kge.link_predictor import LinkPredictor
from aswa.tasks.image_classification import mean_prediction

RESULT = Path(__file__).parents[1] / "results" / "population_cost"
MIB = 2**20
PREDICTED = (1, 256)  # queries or images at a time


class Setting(NamedTuple):
    """A model that is trained: how it is made, its loss on a random batch, its optimizer."""

    name: str
    build: Callable[[torch.Generator], nn.Module]
    loss: Callable[[nn.Module], Tensor]
    optimizer: Callable[[nn.Module], Optimizer]
    predict: Callable[[Sequence[nn.Module], int], Tensor]


def link_prediction() -> Setting:
    entities, relations, batch = 14_541, 474, 1024

    def build(generator: torch.Generator) -> nn.Module:
        return kge.build("complex", entities, relations, generator=generator, dim=128)

    def loss(model: nn.Module) -> Tensor:
        assert isinstance(model, LinkPredictor)
        h, r = torch.randint(entities, (batch,)), torch.randint(relations, (batch,))
        scores = model.score_all(h, r)
        return F.binary_cross_entropy_with_logits(scores, torch.zeros_like(scores))

    def predict(members: Sequence[nn.Module], n: int) -> Tensor:
        one = cached_ensemble(tuple(members))
        return one.score_all(torch.arange(n), torch.arange(n) % relations)

    ensembles: dict[tuple[nn.Module, ...], LinkPredictor] = {}

    def cached_ensemble(members: tuple[nn.Module, ...]) -> LinkPredictor:
        if members not in ensembles:  # built once, as in an evaluation
            ensembles[members] = as_one(members)
        return ensembles[members]

    return Setting(
        "ComplEx, FB15k-237's size", build, loss, lambda m: Adam(m.parameters(), 0.1, fused=True),
        predict,
    )  # fmt: skip


def images() -> Setting:
    inputs, labels = torch.randn(256, 3, 32, 32), torch.randint(10, (256,))

    def build(generator: torch.Generator) -> nn.Module:
        return image.build("preresnet20", 10, generator=generator, depth=20)

    def loss(model: nn.Module) -> Tensor:
        return F.cross_entropy(model(inputs[:128]), labels[:128])

    def predict(members: Sequence[nn.Module], n: int) -> Tensor:
        return mean_prediction([member(inputs[:n]) for member in members])

    return Setting(
        "PreResNet-20", build, loss, lambda m: SGD(m.parameters(), 0.1, momentum=0.9), predict
    )


def mixings() -> dict[str, Mixing]:
    return {
        "independent": Independent(),
        "PAPA, every 10": Pull(0.99, every=10),
        "PAPA-all, DART, IMWA": Average(every=1),
        "WASH p=0.001": Shuffle(0.001),
        "WASH p=0.05": Shuffle(0.05),
        "WASH+Opt p=0.001": Shuffle(0.001, moments=True),
    }


def held(models: Sequence[nn.Module], optimizers: Sequence[Optimizer]) -> int:
    """Bytes of weights, gradients and optimizer state."""

    def tensors() -> Iterator[Tensor]:
        for model in models:
            yield from model.parameters()
            yield from model.buffers()
            yield from (p.grad for p in model.parameters() if p.grad is not None)
        for optimizer in optimizers:
            for state in optimizer.state.values():
                yield from (value for value in state.values() if torch.is_tensor(value))

    return sum(t.numel() * t.element_size() for t in tensors())


def seconds(call: Callable[[], object]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def train_step(setting: Setting, models: Sequence[nn.Module], own: Sequence[Optimizer]) -> None:
    for model, optimizer in zip(models, own, strict=True):
        optimizer.zero_grad()
        setting.loss(model).backward()
        optimizer.step()


def mix(mixing: Mixing, models: Sequence[nn.Module], own: Sequence[Optimizer]) -> int:
    """Ten steps and the end of an epoch, so that every operator acts at least once."""
    moved = sum(mixing.step(models, own, 1.0) for _ in range(10))
    return moved + mixing.epoch(models, own, 1)


def measure(setting: Setting, n: int, repetitions: int) -> dict[str, Any]:
    """Milliseconds and MiB of training and prediction."""
    models = [setting.build(torch.Generator().manual_seed(m)) for m in range(n)]
    own = [setting.optimizer(model) for model in models]
    mean = AveragedWeights(models[0])
    timed: dict[str, list[float]] = {}

    def clock(name: str, call: Callable[[], object]) -> None:
        timed.setdefault(name, []).append(1000 * seconds(call))

    operators, sent = mixings(), dict[str, float]()
    for _ in range(repetitions + 1):  # the first is a warm-up
        clock("one", lambda: train_step(setting, models[:1], own[:1]))
        clock("all", lambda: train_step(setting, models, own))
        clock("mean", lambda: mean.assign_mean(models))
        for name, mixing in operators.items():
            start = time.perf_counter()
            sent[name] = mix(mixing, models, own) / 10
            timed.setdefault(f"mix {name}", []).append(100 * (time.perf_counter() - start))
    module = mean.module.eval()
    for model in models:
        model.eval()
    with torch.no_grad():
        for size in PREDICTED:
            for _ in range(repetitions + 1):
                clock(f"predict one {size}", partial(setting.predict, [module], size))
                clock(f"predict all {size}", partial(setting.predict, models, size))
    weights = sum(p.numel() * 4 for p in models[0].parameters())
    return {
        "numbers": weights // 4,
        "milliseconds": {name: statistics.median(found[1:]) for name, found in timed.items()},
        "sent": sent,
        "MiB": {
            "train one": held(models[:1], own[:1]) / MIB,
            "train all": (held(models, own) + weights) / MIB,
            "predict one": weights / MIB,
            "predict all": n * weights / MIB,
        },
    }


def tables(found: dict[str, dict[str, Any]], n: int) -> str:
    lines = []
    for name, of in found.items():
        ms, mib, alone = of["milliseconds"], of["MiB"], of["milliseconds"]["one"]
        lines += [
            f"## {name}, {of['numbers']:,} numbers\n",
            f"| training, N = {n} | a step | mixing and mean | to one model | "
            "numbers sent a step | MiB held |",
            "| --- | ---: | ---: | ---: | ---: | ---: |",
            f"| one model | {alone:.1f} ms | | 1.0× | 0 | {mib['train one']:.1f} |",
        ]
        for mixing, sent in of["sent"].items():
            rest = ms[f"mix {mixing}"] + ms["mean"]
            whole = (ms["all"] + rest) / alone
            lines.append(
                f"| {mixing} | {ms['all']:.1f} ms | {rest:.2f} ms | {whole:.1f}× | {sent:,.0f} | "
                f"{mib['train all']:.1f} |"
            )
        lines += [
            "\n| prediction | of 1 | of 256 | MiB of weights |",
            "| --- | ---: | ---: | ---: |",
        ]
        for who, said in (("one", "one averaged module"), ("all", f"ensemble of {n}")):
            times = " | ".join(f"{ms[f'predict {who} {size}']:.2f} ms" for size in PREDICTED)
            lines.append(f"| {said} | {times} | {mib[f'predict {who}']:.1f} |")
        lines.append("")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--members", type=int, default=5)
    parser.add_argument("--repetitions", type=int, default=5)
    parser.add_argument("--write", action="store_true", help=f"to {RESULT}.json and .md")
    args = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    settings = [link_prediction(), images()]
    found = {each.name: measure(each, args.members, args.repetitions) for each in settings}
    text = tables(found, args.members)
    print(text)
    if args.write:
        made = {"torch": torch.__version__, "machine": platform.machine(), "threads": 1}
        record = {"members": args.members, **made, "found": found}
        RESULT.with_suffix(".json").write_text(json.dumps(record, indent=1) + "\n")
        head = (
            f"# What a population costs\n\nOne thread, torch {torch.__version__}, medians. Numbers "
            "sent: by all members together; MiB held: weights, gradients, optimizer state and the "
            "mean, without activations. PAPA-all, DART and IMWA merge once in ten steps here. The "
            "machine had other work: read the ratios.\n\n"
        )
        RESULT.with_suffix(".md").write_text(f"{head}{text}")


if __name__ == "__main__":
    main()
