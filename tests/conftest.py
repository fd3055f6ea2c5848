"""Fixtures of several test files: the folder of datasets, caches, a small graph, a file server."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from hypothesis import settings

from aswa.data.fetching import download
from aswa.data.knowledge_graph import KnowledgeGraph
from fetch_server import Server

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


@pytest.fixture(scope="session", autouse=True)
def user_cache_of_the_tests(tmp_path_factory: pytest.TempPathFactory) -> None:
    """No test reads or writes the user's cache: platformdirs asks XDG_CACHE_HOME on Linux."""
    os.environ["XDG_CACHE_HOME"] = str(tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="session")
def small_graph() -> KnowledgeGraph:
    """12 entities, 3 relations (6 with reciprocals), 60 / 12 / 12 distinct triples."""
    generator = torch.Generator().manual_seed(0)
    numbers = torch.randperm(12 * 3 * 12, generator=generator)[:84]
    h, r, t = numbers // 36, numbers // 12 % 3, numbers % 12
    train, valid, test = torch.stack([h, r, t], 1).split([60, 12, 12])
    entities, relations = tuple(map("e{:02}".format, range(12))), ("r0", "r1", "r2")
    return KnowledgeGraph(entities, relations, train, valid, test).with_reciprocals()


@pytest.fixture
def server() -> Iterator[Server]:
    """Closed at the end."""
    running = Server()
    yield running
    running.close()


@pytest.fixture
def nothing_of_this_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither the cache nor the datasets of the person who runs the tests; no long pauses."""
    monkeypatch.setattr(download, "TRIES", 3)
    monkeypatch.setattr(download, "PAUSE", 0.01)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("ASWA_DATA_DIR", raising=False)
