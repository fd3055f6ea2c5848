"""A small GPT beside the frequencies of characters after the last 2, or 4: test loss in nats.

The floor is an interpolated model of character frequencies (tests/character_floor.py) on the same
text. The budget is 20 epochs of 15,000 random windows of 64 characters; a tenth of it, as a run of
its own, has to be below the floor of context 2, all of it below that of context 4.

    python -m benchmarks.language.floors [--epochs 2]    # an hour; the tenth alone: 5 minutes
    python -m benchmarks.language.floors --page docs/language.md    # the saved table, on the page
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path
from typing import Any

import torch

from aswa.config import load
from aswa.tasks.language_modeling import LanguageModeling
from aswa.training.session import execute
from benchmarks import side_by_side as sbs
from scripts.pages import fill

sys.path.append(str(sbs.ROOT / "tests"))
from character_floor import floor

WORDS = [
    "model=gpt", "optimizer=sgd", "base_optimizer=adamw", "schedule=warmup_cosine", "lr=0.002",
    "batch_size=12", "dataset.train_size=1000000", "dataset.valid_size=4096",
    "dataset.test_size=40000", "dataset.epoch_windows=15000", "device=cpu",
]  # fmt: skip
CONTEXTS = {2: 2, 20: 4}  # epochs → context of the floor
NAMES = {"austen": "Austen", "shakespeare": "Shakespeare"}


def compared(dataset: str, epochs: int) -> dict[str, Any]:
    """Test loss of a run, and of the floor on its text."""
    words = [*WORDS, f"dataset={dataset}", f"epochs={epochs}"]
    with tempfile.TemporaryDirectory() as folder:
        run = load([*words, f"results_dir={folder}"])
        task = LanguageModeling(run, torch.device("cpu"))
        texts = {s: task.vocabulary.decode(task._tokens[s].tolist()) for s in ("train", "test")}
        record = execute(run, report=lambda _: None)
    loss = {row["split"]: row["value"] for row in record["rows"] if row["metric"] == "loss"}
    bar = floor(texts["train"], texts["test"], CONTEXTS[epochs], task.vocabulary.size)
    about = {"dataset": dataset, "epochs": epochs, "context": CONTEXTS[epochs]}
    return {**about, "loss": loss["test"], "floor": bar, "seconds": record["seconds"]["total"]}


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--epochs", type=int, choices=[*CONTEXTS], help="only this budget")
    parser.add_argument("--page", type=Path, help="put the saved table there, and run nothing")
    options = parser.parse_args()
    if options.page:
        fill(options.page, "floors", (sbs.RESULTS / "language_floors.md").read_text().strip())
        return 0
    found = []
    for epochs in [options.epochs] if options.epochs else CONTEXTS:
        for dataset in NAMES:
            found.append(compared(dataset, epochs))
            print(found[-1], flush=True)
    rows = [
        [NAMES[each["dataset"]], str(each["epochs"]), f"{each['loss']:.3f}",
         f"{each['floor']:.3f} (context {each['context']})"]
        for each in found
    ]  # fmt: skip
    text = sbs.markdown(["text", "epochs", "test loss, nats", "floor"], rows)
    if not options.epochs:
        record = {"runs": found, "machine": sbs.machine(1)}
        sbs.save("language_floors", record, text, sbs.RESULTS)
    return int(any(each["loss"] >= each["floor"] for each in found))


if __name__ == "__main__":
    sys.exit(main())
