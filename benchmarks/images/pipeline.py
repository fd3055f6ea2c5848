"""Images a second of the data pipeline alone: ours, and torchvision's transforms in a DataLoader.

    python -m benchmarks.images.pipeline --out benchmarks/results/image_pipeline.json

Both crop, flip and normalise CIFAR-10 for a network on a CPU, in batches of 128. The DataLoader has
two workers, which is what a machine with two cores can use; ours has two threads.
"""

from __future__ import annotations

import argparse
import itertools
import json
import statistics
import time
from collections.abc import Iterator
from pathlib import Path

import torch

from aswa.config import load
from aswa.data.augmentation import crop_and_flip, draw_crops
from aswa.tasks.image_classification import ImageClassification
from benchmarks.images.training_row import usual_batches

WORDS = ["dataset=cifar10", "model=vgg16", "lr=0.05", "batch_size=128", "device=cpu"]


def our_batches(task: ImageClassification, size: int) -> Iterator[torch.Tensor]:
    """What `ImageClassification.losses` feeds the network, without the network."""
    images, labels = task._splits["train"]
    generator = torch.Generator().manual_seed(0)
    drawn = (torch.randperm(len(labels), generator=generator), *draw_crops(len(labels), generator))
    for mine, *crops in zip(*(numbers.split(size) for numbers in drawn), strict=True):
        yield task._input(crop_and_flip(images.index_select(0, mine), *crops))


def rate(batches: Iterator[object], n_batches: int, size: int) -> float:
    """Images a second, after ten batches that start workers and fill caches."""
    for _ in itertools.islice(batches, 10):
        pass
    start = time.perf_counter()
    for _ in itertools.islice(batches, n_batches):
        pass
    return n_batches * size / (time.perf_counter() - start)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repetitions", type=int, default=5)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    torch.set_num_threads(2)
    config = load(WORDS)
    task = ImageClassification(config, torch.device("cpu"))
    found: dict[str, list[float]] = {"ours": [], "torchvision": []}
    for _ in range(options.repetitions):
        found["ours"].append(rate(our_batches(task, 128), 300, 128))
        found["torchvision"].append(rate(usual_batches(config, task), 150, 128))
    ratio = statistics.median(found["ours"]) / statistics.median(found["torchvision"])
    record = {"torch": torch.__version__, "images_per_second": found, "times_faster": ratio}
    options.out.write_text(json.dumps(record, indent=1) + "\n")
    print(json.dumps(record))


if __name__ == "__main__":
    main()
