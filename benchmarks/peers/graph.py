"""Reads a knowledge graph's three text files into integer ids, as numpy only (peers venv).

Ids are the sorted order of the names over train+valid+test, entities and relations apart: the
convention of the golden files and of the benchmarks.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

SPLITS = ("train", "valid", "test")


@dataclass(frozen=True)
class Graph:
    """Triples of each split as int64 [n, 3] (head, relation, tail); the names behind the ids."""

    train: np.ndarray
    valid: np.ndarray
    test: np.ndarray
    entities: list[str]
    relations: list[str]


def read(folder: Path) -> Graph:
    """The graph in `folder`/{train,valid,test}.txt, tab-separated head, relation, tail."""
    named = {
        split: [line.split("\t") for line in (folder / f"{split}.txt").read_text().splitlines()]
        for split in SPLITS
    }
    every = [triple for triples in named.values() for triple in triples]
    entities = sorted({h for h, _, _ in every} | {t for _, _, t in every})
    relations = sorted({r for _, r, _ in every})
    entity_id = {name: i for i, name in enumerate(entities)}
    relation_id = {name: i for i, name in enumerate(relations)}
    ids = {
        split: np.array([(entity_id[h], relation_id[r], entity_id[t]) for h, r, t in triples])
        for split, triples in named.items()
    }
    return Graph(ids["train"], ids["valid"], ids["test"], entities, relations)
