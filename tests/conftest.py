"""What the tests share: where the datasets are, and a small graph."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch
from hypothesis import settings

from aswa.data.knowledge_graph import KnowledgeGraph

ROOT = Path(__file__).resolve().parents[1]

torch.set_num_threads(1)
settings.register_profile("aswa", deadline=None)
settings.load_profile("aswa")


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """Folder of dataset folders: $ASWA_DATA_DIR, or ../shared/data beside the checkout."""
    folder = Path(os.environ.get("ASWA_DATA_DIR") or ROOT.parent / "shared" / "data")
    if not folder.is_dir():
        pytest.skip(f"no datasets in {folder}; set ASWA_DATA_DIR to try them")
    return folder


@pytest.fixture(scope="session")
def small_graph() -> KnowledgeGraph:
    """12 entities, 3 relations (6 with reciprocals), 60 / 12 / 12 distinct triples."""
    generator = torch.Generator().manual_seed(0)
    numbers = torch.randperm(12 * 3 * 12, generator=generator)[:84]
    h, r, t = numbers // 36, numbers // 12 % 3, numbers % 12
    train, valid, test = torch.stack([h, r, t], 1).split([60, 12, 12])
    entities, relations = tuple(map("e{:02}".format, range(12))), ("r0", "r1", "r2")
    return KnowledgeGraph(entities, relations, train, valid, test).with_reciprocals()
