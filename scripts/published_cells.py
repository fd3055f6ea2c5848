"""Writes conf/published/dicee/: a setting for each cell of the authors' README that we can run.

    python scripts/published_cells.py [--check]

The figures are those of results/published/authors_kge_figures.csv. A published column is the method
of ours that computes the same: see docs/published.md.
"""

from __future__ import annotations

import csv
import sys
from collections import defaultdict
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
FIGURES = ROOT / "results" / "published" / "authors_kge_figures.csv"
TARGET = ROOT / "conf" / "published"
SOURCE, STATED = "dice-embeddings README", "300 epochs, batch 1024, Adam 0.1"
UNSTATED = "no setting stated under this table"
METHODS = {"last_epoch": "sgd", "swa": "polyak", "aswa": "aswa_forgetful"}
TITLES = {
    "umls": "UMLS", "fb15k_237": "FB15k-237", "wn18rr": "WN18RR", "yago3_10": "YAGO3-10",
    "complex": "ComplEx", "keci": "Keci(0, 1)", "kvsall": "KvsAll", "allvsall": "AllvsAll",
}  # fmt: skip
FILE = """\
# @package _global_
# {dataset}, {model}, {scoring} in the README of the authors' framework: {setting}
# Made by scripts/published_cells.py. Theirs are single runs.
defaults:
  - override /dataset: {key[0]}
  - override /model: {key[1]}
  - override /optimizer: controls

epochs: 300
batch_size: 1024
lr: 0.1
model:
  dim: 256
  objective: {key[2]}{more}

published:                      # shown beside our figures; no part of a run
  name: {name}
  source: {source}
  test_mrr: {{{figures}}}       # by our names of what they computed
"""


def cells() -> dict[Path, str]:
    """Path → text, of every cell whose graph and model we have."""
    found: dict[tuple[str, str, str], dict[str, str]] = defaultdict(dict)
    settings = {}
    with FIGURES.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            wanted = row["source"] == SOURCE and row["setting"] in (STATED, UNSTATED)
            if wanted and (row["split"], row["metric"]) == ("test", "mrr"):
                key = row["dataset"], row["model"], row["scoring"]
                if all(part in TITLES for part in key):
                    found[key][METHODS[row["optimizer"]]] = row["value"]
                    settings[key] = row["setting"]
    return {TARGET / f"{_name(key)}.yaml": _text(key, found[key], settings[key]) for key in found}


def _name(key: tuple[str, str, str]) -> str:
    dataset, model, scoring = key
    return f"dicee/{dataset}/{model}" + ("" if scoring == "kvsall" else f"_{scoring}")


def _text(key: tuple[str, str, str], figures: dict[str, str], setting: str) -> str:
    assumed = "assumed, they state none" if setting == UNSTATED else "as they state it"
    dataset, model, scoring = (TITLES[part] for part in key)
    return FILE.format(
        key=key, dataset=dataset, model=model, scoring=scoring, name=_name(key), source=SOURCE,
        setting=f"the setting is {assumed}", more="\n  p: 0\n  q: 1" if key[1] == "keci" else "",
        figures=", ".join(f"{ours}: {figures[ours]}" for ours in METHODS.values()),
    )  # fmt: skip


def main() -> int:
    found = cells()
    if "--check" in sys.argv:
        old = {path: path.read_text("utf-8") for path in TARGET.rglob("*.yaml")}
        return int(old != found)
    for path, text in found.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
        print(path.relative_to(ROOT))
    return 0


if __name__ == "__main__":
    sys.exit(main())
