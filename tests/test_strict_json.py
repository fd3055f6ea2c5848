"""No file of ours holds a bare NaN or Infinity, which most readers of JSON refuse."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from aswa.results.store import pack
from small_sweep import SMALL, train

ROOT = Path(__file__).resolve().parents[1]


def refuse(constant: str) -> None:
    raise ValueError(f"a bare {constant}")


def texts(folder: Path) -> Iterator[tuple[Path, str]]:
    """Every JSON text under a folder, hidden and packed ones too; a line each of .jsonl."""
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        content = path.read_bytes()
        inner = path.with_suffix("") if path.suffix == ".gz" else path
        if inner != path:
            content = gzip.decompress(content)
        if inner.suffix == ".json":
            yield path, content.decode()
        elif inner.suffix == ".jsonl":
            yield from ((path, line) for line in content.decode().splitlines())


def check(folder: Path) -> list[str]:
    """Names of the files that could be read."""
    found = []
    for path, text in texts(folder):
        try:
            json.loads(text, parse_constant=refuse)
        except ValueError as error:
            pytest.fail(f"{path}: {error}")
        found.append(path.name)
    return found


@pytest.mark.slow
def test_files_of_runs_with_values_that_are_no_numbers(tmp_path: Path, data_dir: Path) -> None:
    """SWA has no score before its start; a loss that diverges becomes NaN."""
    sweep = ("-m", *SMALL, "epochs=4", "optimizer=all", "lr=0.01,1e30")
    done = train(*sweep, f"results_dir={tmp_path}", f"data_dir={data_dir}")
    assert done.returncode == 1 and "Diverged" in done.stderr, done.stderr
    (history,) = tmp_path.glob("runs/*/*/*/history.json")
    assert json.loads(history.read_bytes())["valid"]["swa"][0] is None
    pack(history, history)
    names = check(tmp_path)
    expected = {"result.json", "history.json", "history.json.gz", "plan.json", "plan_cache.json"}
    assert expected < set(names) and names.count("status.json") == 2


@pytest.mark.parametrize("folder", ["results", "benchmarks"])
def test_committed_files(folder: str) -> None:
    assert check(ROOT / folder)
