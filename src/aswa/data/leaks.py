"""Facts of a graph that make valid or test look easier, or harder, than they are.

Some published splits repeat rows, hold facts of train in valid or test, and ask for entities that
train has not.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from aswa.data.knowledge_graph import KnowledgeGraph

BEFORE = {"train": (), "valid": ("train",), "test": ("train", "valid")}  # splits that a model has


def clean(graph: KnowledgeGraph, split: str) -> Tensor:
    """Which triples of a split test what was learnt, bool [n].

    Left out are rows that repeat an earlier one of the split, facts of train (for test also of
    valid), and facts with an entity that train has not.
    """
    keys = {name: _keys(graph, name) for name in (split, *BEFORE[split])}
    leaked = [torch.isin(keys[split], keys[name]) for name in BEFORE[split]]
    return ~torch.stack([_repeated(keys[split]), _unseen(graph, split), *leaked]).any(0)


def leaks(graph: KnowledgeGraph) -> dict[str, int]:
    """Number of such rows by what is wrong with them; a row can count in several.

    `valid_in_train`, `test_in_train`, `test_in_valid`: facts that stand in the other split too;
    `<split>_repeated`: rows that repeat an earlier one; `valid_unseen`, `test_unseen`: rows with an
    entity that train has not.
    """
    keys = {split: _keys(graph, split) for split in BEFORE}
    found: dict[str, Any] = {
        f"{split}_in_{other}": torch.isin(keys[split], keys[other])
        for split, others in BEFORE.items()
        for other in others
    }
    found |= {f"{split}_repeated": _repeated(keys[split]) for split in BEFORE}
    found |= {f"{split}_unseen": _unseen(graph, split) for split in ("valid", "test")}
    return {name: int(rows.sum()) for name, rows in found.items()}


def _keys(graph: KnowledgeGraph, split: str) -> Tensor:
    """One number for each triple, int64 [n]."""
    h, r, t = getattr(graph, split).unbind(1)
    return (h * len(graph.relations) + r) * len(graph.entities) + t


def _repeated(keys: Tensor) -> Tensor:
    """Whether an earlier row has the same key, bool [n]."""
    order = torch.argsort(keys, stable=True)
    repeated = torch.zeros_like(keys, dtype=torch.bool)
    repeated[order[1:]] = keys[order[1:]] == keys[order[:-1]]
    return repeated


def _unseen(graph: KnowledgeGraph, split: str) -> Tensor:
    """Whether a row has an entity that train has not, bool [n]."""
    seen = torch.zeros(len(graph.entities), dtype=torch.bool)
    seen[graph.train[:, [0, 2]].flatten()] = True
    return ~seen[getattr(graph, split)[:, [0, 2]]].all(1)
