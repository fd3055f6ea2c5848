"""Rules of the house: who may import whom, what may be inferred, how long a file is."""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SOURCE = ROOT / "src" / "aswa"
FILES = sorted(SOURCE.rglob("*.py"))

# Room → the rooms that it may import; the order is that of DESIGN's one direction.
MAY_IMPORT: dict[str, set[str]] = {
    "__init__": {"averaging", "training"},
    "files": set(),
    "commands": set(),
    "registry": set(),
    "averaging": set(),
    "integrations": {"averaging"},
    "distributed": set(),
    "results": {"files"},
    "config": {"files", "registry"},
    "kinds": {"config"},
    "data": {"kinds", "config", "registry", "files"},
    "models": {"registry"},
    "tasks": {"models", "data", "averaging", "config", "distributed"},
    "merging": {"data", "config", "registry", "distributed"},
    "queries": {"tasks", "models", "data", "kinds", "config", "registry", "files"},
    "trackers": {"config"},
    "training": {
        "trackers",
        "tasks",
        "averaging",
        "results",
        "config",
        "registry",
        "files",
        "distributed",
    },
    "sweeping": {"training", "data", "results", "config", "registry", "files"},
    "analysis": {"results", "files"},
    "train": {"sweeping", "config", "files"},
    "status": {"sweeping"},
    "fetch": {"data", "config", "registry", "files"},
    "export": {"training", "config", "results"},
    "ensemble": {"training", "config", "files"},
    "analyze": {"analysis"},
}
WITHOUT_TORCH = ("files", "commands", "registry", "config", "kinds", "results", "analysis")


def room(path: Path) -> str:
    """The package or module of `aswa` that a file belongs to."""
    return path.relative_to(SOURCE).parts[0].removesuffix(".py")


def imports(path: Path) -> Iterator[str]:
    """Dotted names of all that a file imports, anywhere in it; relative ones do not occur."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            yield from (f"{node.module}.{name.name}" for name in node.names)


def rooms_imported(path: Path) -> set[str]:
    """The rooms that a file imports, but its own."""
    found = {name.split(".")[1] for name in imports(path) if re.match(r"aswa\.\w", name)}
    return found - {room(path)}


@pytest.mark.parametrize("name", MAY_IMPORT)
def test_dependencies_point_one_way(name: str) -> None:
    files = [path for path in FILES if room(path) == name]
    assert files
    for path in files:
        wrong = rooms_imported(path) - MAY_IMPORT[name]
        assert not wrong, f"{path.relative_to(ROOT)} imports {wrong}"


def test_every_room_has_a_place() -> None:
    """And the places have no cycle: a room comes after all that it may import."""
    assert {room(path) for path in FILES} == MAY_IMPORT.keys()
    done: set[str] = set()
    while done < MAY_IMPORT.keys():
        free = {name for name, rooms in MAY_IMPORT.items() if rooms <= done} - done
        assert free, f"a cycle among {MAY_IMPORT.keys() - done}"
        done |= free


@pytest.mark.parametrize("name", WITHOUT_TORCH)
def test_what_is_checked_before_a_run_needs_no_torch(name: str) -> None:
    for path in (path for path in FILES if room(path) == name):
        assert not any(re.match(r"torch\b", module) for module in imports(path)), path


def test_averaging_imports_torch_and_the_standard_library_only() -> None:
    """So that it can be lifted out."""
    allowed = {"torch", "aswa", *sys.stdlib_module_names}
    files = [path for path in FILES if room(path) == "averaging"]
    found = {name.partition(".")[0] for path in files for name in imports(path)}
    assert found <= allowed, found - allowed


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_a_file_is_of_readable_length(path: Path) -> None:
    """And has a name that says what is in it."""
    assert len(path.read_text().splitlines()) <= 300
    assert not re.search("utils|helpers|manager", path.stem)


@pytest.mark.parametrize("name", ["train", "analyze", "fetch", "status", "export"])
def test_an_entry_point_parses_calls_and_prints(name: str) -> None:
    assert len((SOURCE / f"{name}.py").read_text().splitlines()) < 100


# What a name, or an attribute that may be there, tells: declared by its owner instead.
INFERRED = (
    r"\bkind == [\"']",
    r"\bname == [\"'](sgd|swa|ema|aswa|early_stopping)",
    r"startswith\([\"']aswa",
    r"\bhasattr\((?!os\b|torch\b|signal\b)",
)


@pytest.mark.parametrize("pattern", INFERRED)
def test_nothing_is_inferred(pattern: str) -> None:
    found = [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()}"
        for path in FILES
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if re.search(pattern, line)
    ]
    assert not found
