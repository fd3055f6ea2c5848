"""A language model of Austen that trains in a second."""

from __future__ import annotations

from pathlib import Path

from aswa.config import RunConfig, load

SMALL = ["dataset=austen", "model=gpt", "device=cpu", "model.layers=1", "model.dim=16",
         "model.heads=2", "model.context=16", "dataset.train_size=4096", "dataset.valid_size=1000",
         "dataset.test_size=1000", "lr=0.01", "batch_size=32"]  # fmt: skip


def config(tmp_path: Path, *words: str) -> RunConfig:
    return load([*SMALL, f"results_dir={tmp_path}", *words])
