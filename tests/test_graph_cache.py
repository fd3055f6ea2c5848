"""Large graphs are parsed once."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from aswa.data import graph_cache, knowledge_graph, triples_file
from aswa.data.folders import SPLITS
from aswa.data.knowledge_graph import read_graph
from written_graph import text, write, write_graph


def test_a_large_graph_is_parsed_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Then it is found in the cache, memory-mapped and the same; changed files, or a damaged or
    unwritable cache, are parsed anew."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    write_graph(tmp_path)
    read_graph(tmp_path)
    assert not (tmp_path / "cache").exists()  # too small to be worth it
    monkeypatch.setattr(knowledge_graph, "CACHED_FROM", 0)
    parsed: list[Path] = []

    def parse(content: bytes, path: Path) -> object:
        parsed.append(path)
        return triples_file.parse(content, path)

    monkeypatch.setattr(knowledge_graph, "parse", parse)
    first = read_graph(tmp_path)
    again = read_graph(tmp_path)
    assert len(parsed) == 3
    assert (again.entities, again.relations) == (first.entities, first.relations)
    for split in SPLITS:
        assert torch.equal(getattr(again, split), getattr(first, split))
    (entry,) = (tmp_path / "cache" / "aswa" / "graphs").iterdir()
    assert isinstance(graph_cache.load(entry.stem).triples, np.memmap)

    whole = entry.read_bytes()
    for damaged in (whole[:-4] + b"abcd", whole[:-5], whole[:70], b"", b"\xff" + whole[1:]):
        entry.write_bytes(damaged)
        parsed.clear()
        assert torch.equal(read_graph(tmp_path).test, first.test)
        assert len(parsed) == 3
        assert entry.read_bytes() == whole
    write(tmp_path, "test", text([("d", "in", "d")]))
    assert not torch.equal(read_graph(tmp_path).test, first.test)
    assert len(parsed) == 6
    monkeypatch.setenv("XDG_CACHE_HOME", "/proc/no")
    read_graph(tmp_path)
    assert len(parsed) == 9


def test_a_changed_file_is_not_hidden_by_the_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its checksum is asked for whether it was parsed or found."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(knowledge_graph, "CACHED_FROM", 0)
    write_graph(tmp_path)
    for _ in range(2):
        with pytest.raises(ValueError, match=r"valid\.txt"):
            read_graph(tmp_path, {"valid": "0" * 64})
        read_graph(tmp_path)
