"""A small GPT beside the frequencies of characters after the last 2, or 4: test loss in nats.

The floor is an interpolated model of character frequencies (tests/character_floor.py) on the same
text. A tenth of 20 passes over a million characters has to be below the floor of context 2:

    python -m benchmarks.language.floors [--dataset shakespeare]                   # about 3 minutes
    python -m benchmarks.language.floors --context 4 --epochs 20 [--dataset ...]   # half an hour
"""

from __future__ import annotations

import argparse
import sys
import tempfile

import torch

from aswa.config import load
from aswa.tasks.language_modeling import LanguageModeling
from aswa.training.session import execute
from benchmarks import side_by_side as sbs

sys.path.append(str(sbs.ROOT / "tests"))
from character_floor import floor

WORDS = [
    "model=gpt", "optimizer=sgd", "base_optimizer=adamw", "schedule=warmup_cosine", "lr=0.002",
    "batch_size=12", "dataset.train_size=1000000", "dataset.valid_size=4096",
    "dataset.test_size=40000", "dataset.epoch_windows=15000", "device=cpu",
]  # fmt: skip


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--dataset", default="austen", choices=["austen", "shakespeare"])
    parser.add_argument("--context", type=int, default=2)
    parser.add_argument("--epochs", type=int, default=2)
    options = parser.parse_args()
    words = [*WORDS, f"dataset={options.dataset}", f"epochs={options.epochs}"]
    with tempfile.TemporaryDirectory() as folder:
        run = load([*words, f"results_dir={folder}"])
        task = LanguageModeling(run, torch.device("cpu"))
        texts = {s: task.vocabulary.decode(task._tokens[s].tolist()) for s in ("train", "test")}
        record = execute(run, report=lambda _: None)
    loss = {row["split"]: row["value"] for row in record["rows"] if row["metric"] == "loss"}
    bar = floor(texts["train"], texts["test"], options.context, task.vocabulary.size)
    print(f"test loss {loss['test']:.3f}, floor of context {options.context}: {bar:.3f}")
    return int(loss["test"] >= bar)


if __name__ == "__main__":
    sys.exit(main())
