"""Packed records of runs: another machine goes on from them, and nothing is computed again."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from aswa import analyze
from aswa.results.store import CorruptRecord, read_record, result_paths, write_record
from small_sweep import SMALL, train

SCRIPT = Path(__file__).parents[1] / "scripts" / "pack_runs.py"
SWEEP = ["-m", *SMALL, "optimizer=aswa"]


def pack_runs(results: Path, target: Path) -> int:
    spec = importlib.util.spec_from_file_location("pack_runs", SCRIPT)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    packed: int = module.pack_runs(results, target)
    return packed


def tables(results: Path) -> dict[str, bytes]:
    assert analyze.main([str(results)]) == 0
    analysis = results / "analysis"
    files = [analysis / "results.csv", *sorted(analysis.glob("tables/*"))]
    return {path.name: path.read_bytes() for path in files if "cost" not in path.name}


@pytest.mark.slow
def test_a_sweep_goes_on_from_packed_runs_on_another_machine(tmp_path: Path) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    assert train(*SWEEP, "seed=0,1", f"results_dir={here}").returncode == 0
    assert pack_runs(here, there) == 2
    other = {"HOME": str(tmp_path / "home"), "XDG_CACHE_HOME": str(tmp_path / "cache")}
    done = train(*SWEEP, "seed=0,1", f"results_dir={there}", **other)
    assert done.returncode == 0
    assert not list(there.glob("runs/*/*/*/result.json"))
    assert tables(there) == tables(here)
    for folder in (here, there):
        assert train(*SWEEP, "seed=0,1,2", f"results_dir={folder}", **other).returncode == 0
    assert len(list(there.glob("runs/*/*/*/result.json"))) == 1
    assert len(list(result_paths(there))) == 3
    assert tables(there) == tables(here)


def test_a_packed_record_is_read_and_a_damaged_one_refused(tmp_path: Path) -> None:
    folder = tmp_path / "runs" / "umls" / "keci" / "abc"
    result = {"run_id": "abc", "status": "done", "dataset": "umls", "model": "keci", "seed": 0}
    write_record(folder / "result.json", {**result, "rows": []})
    write_record(folder / "status.json", {"status": "done"})
    write_record(folder / "history.json", {"epoch": []})
    assert pack_runs(tmp_path, tmp_path / "other") == 1
    packed = tmp_path / "other" / "runs" / "umls" / "keci" / "abc" / "result.json.gz"
    path = packed.with_suffix("")
    assert read_record(path) == read_record(folder / "result.json")
    content = packed.read_bytes()
    assert pack_runs(tmp_path, tmp_path / "other") == 1
    assert packed.read_bytes() == content
    for damaged in (content[:-9], content[:40] + b"x" + content[41:], b"garbage"):
        packed.write_bytes(damaged)
        with pytest.raises(CorruptRecord):
            read_record(path)
