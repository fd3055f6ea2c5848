"""One measurement of image training in a process of its own: a loop of steps, or epochs."""

from __future__ import annotations

import argparse
import itertools
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from aswa.config import RunConfig, load
from aswa.tasks.image_classification import ImageClassification
from aswa.training.learner import Learner
from aswa.training.session import pick_device
from aswa.training.trajectory import Trajectory


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--loop", choices=["ours", "usual", "methods"], required=True)
    parser.add_argument("--steps", type=int, default=8, help="on the clock")
    parser.add_argument("--warm-up", type=int, default=2, help="steps before it")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("overrides", nargs="*", help="as for aswa-train")
    return parser.parse_args()


def usual_batches(config: RunConfig, task: ImageClassification) -> Iterator[Any]:
    """torchvision's transforms on PIL images, one after the other, in a DataLoader of 2 workers."""
    from PIL import Image
    from torchvision import transforms

    options = config.model.options
    transform = transforms.Compose(
        [
            transforms.RandomCrop(32, padding=4),
            transforms.RandomHorizontalFlip(),
            transforms.ToTensor(),
            transforms.Normalize(options["mean"], options["std"]),
        ]
    )
    images, labels = task._splits["train"]
    pictures = images.cpu().permute(0, 2, 3, 1).contiguous().numpy()

    class Cifar(torch.utils.data.Dataset[Any]):
        def __len__(self) -> int:
            return len(pictures)

        def __getitem__(self, i: int) -> Any:
            return transform(Image.fromarray(pictures[i])), int(labels[i])

    pinned = task.device.type == "cuda"
    loader = torch.utils.data.DataLoader(
        Cifar(), config.batch_size, shuffle=True, num_workers=2, pin_memory=pinned
    )
    return iter(loader)


def usual_loop(config: RunConfig, task: ImageClassification, model: nn.Module) -> Iterator[int]:
    """The loop of most repositories: fp32, contiguous, the loss read at every step."""
    model = model.to(memory_format=torch.contiguous_format).train()
    rule = config.base_optimizer
    optimizer = torch.optim.SGD(
        model.parameters(), config.lr, momentum=rule.momentum, weight_decay=rule.weight_decay
    )
    for images, labels in usual_batches(config, task):
        images, labels = images.to(task.device), labels.to(task.device)
        loss = F.cross_entropy(model(images), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        loss.item()
        yield len(labels)


def our_loop(learner: Learner, batch_size: int) -> Iterator[int]:
    """The steps of a learner, epoch after epoch."""
    for epoch in itertools.count():
        learner.begin(epoch)
        while learner.step():
            yield batch_size
        learner.forget()


def flops_per_image(model: nn.Module, batch: int, device: torch.device) -> float:
    """Of forward and backward, a multiply-add counted as two."""
    images = torch.zeros(batch, 3, 32, 32, device=device)
    with FlopCounterMode(display=False) as counter:
        model(images).sum().backward()
    model.zero_grad(set_to_none=True)
    return counter.get_total_flops() / batch


def matrix_rate(device: torch.device, dtype: torch.dtype) -> float:
    """The machine's best measured rate of a large matrix product, FLOP/s."""
    n = 8192 if device.type == "cuda" else 2048
    a, b = (torch.randn(n, n, device=device, dtype=dtype) for _ in range(2))
    best = 0.0
    for _ in range(10):
        start = _now(device)
        for _ in range(5 if device.type == "cuda" else 1):
            a @ b
        seconds = (_now(device) - start) / (5 if device.type == "cuda" else 1)
        best = max(best, 2 * n**3 / seconds)
    return best


def _now(device: torch.device) -> float:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()


def main() -> None:
    options = parse()
    torch.set_num_threads(options.threads)
    config = load(options.overrides)
    device = pick_device(config.device)
    task = ImageClassification(config, device)
    record: dict[str, Any] = {"device": str(device), "torch": torch.__version__}
    trajectory = Trajectory(config, task)
    if options.loop == "methods":
        seconds = []
        for _ in range(options.warm_up + options.steps):  # epochs here
            start = _now(device)
            trajectory.advance()
            seconds.append(_now(device) - start)
        record |= {"epoch_seconds": seconds[options.warm_up :], "parts": trajectory.timers.seconds}
    else:
        model = trajectory.model
        record["flops_per_image"] = flops_per_image(model, config.batch_size, device)
        half = {"bf16": torch.bfloat16, "fp16": torch.float16}.get(config.precision, torch.float32)
        record["matrix_flops"] = matrix_rate(device, half)
        ours = options.loop == "ours"
        loop = (
            our_loop(trajectory.learners[0], config.batch_size)
            if ours
            else usual_loop(config, task, model)
        )
        for _ in range(options.warm_up):
            next(loop)
        start = _now(device)
        images = sum(itertools.islice(loop, options.steps))
        record["images_per_second"] = images / (_now(device) - start)
    options.out.write_text(json.dumps(record))


if __name__ == "__main__":
    main()
