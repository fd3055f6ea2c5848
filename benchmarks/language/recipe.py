"""nanoGPT's recipe for CPUs on another Shakespeare: 4 layers, d 128, T 64, batch 12, 2,000 steps.

nanoGPT's README has a validation loss of 1.88 nats a character on tiny Shakespeare (1.1 million
characters of plays, 65 symbols, the last tenth held out, an estimate from random windows). Here are
30 plays with a folded alphabet, whole other plays held out, every held-out token scored once.

    python -m benchmarks.language.recipe [--seed 0] [--page docs/language.md]
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from aswa.config import load
from aswa.training.session import execute
from benchmarks import side_by_side as sbs
from scripts.pages import fill

ANCHOR = 1.88
WORDS = [
    "dataset=shakespeare", "model=gpt", "optimizer=sgd", "base_optimizer=adamw", "lr=0.001",
    "schedule=warmup_cosine", "batch_size=12", "dataset.epoch_windows=6000", "epochs=4",
    "device=cpu",
]  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--page", type=Path)
    options = parser.parse_args()
    seed, page = options.seed, options.page
    with tempfile.TemporaryDirectory() as folder:
        record = execute(load([*WORDS, f"seed={seed}", f"results_dir={folder}"]), lambda _: None)
    loss = {r["split"]: r["value"] for r in record["rows"] if r["metric"] == "loss"}
    text = sbs.markdown(
        ["nats a character after 2,000 steps", "loss"],
        [
            ["ours, valid (Macbeth, Twelfth Night)", f"{loss['valid']:.3f}"],
            ["ours, test (The Tempest, Richard III)", f"{loss['test']:.3f}"],
            ["nanoGPT's README, tiny Shakespeare", f"{ANCHOR:.2f}"],
        ],
    )
    found = {"loss": loss, "seed": seed, "seconds": record["seconds"], "machine": sbs.machine(1)}
    sbs.save("language_recipe", found, text, sbs.RESULTS)
    if page:
        fill(page, "recipe", text)


if __name__ == "__main__":
    main()
