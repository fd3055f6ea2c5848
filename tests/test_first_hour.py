"""docs/first_hour.md is true: its files and commands, in a new folder, say what it says."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
COMMANDS = ("train", "status", "analyze", "export")
DECIDED_BY_NUMBERS = re.compile(r"transe/\w+|-?\d[\d.]*|\b(train|new)$|\b(s|min) (?=left|one )")

pytestmark = pytest.mark.slow


def _console_scripts(folder: Path) -> None:
    folder.mkdir()
    words = {"python": ""} | {f"aswa-{name}": f"-m aswa.{name}" for name in COMMANDS}
    for name, module in words.items():
        (folder / name).write_text(f'#!/bin/sh\nexec "{sys.executable}" {module} "$@"\n')
        (folder / name).chmod(0o755)


def _installed(toml: str, target: Path) -> None:
    """What `pip install -e my_models` leaves of the page's package."""
    project = tomllib.loads(toml)["project"]
    info = target / "my_models-0.1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Name: {project['name']}\nVersion: {project['version']}\n")
    lines = [f"{name} = {place}" for name, place in project["entry-points"]["aswa.models"].items()]
    (info / "entry_points.txt").write_text("\n".join(["[aswa.models]", *lines]))


def _comparable(text: str) -> list[str]:
    """Lines with single spaces and without numbers: machines differ in seconds and digits."""
    lines = (DECIDED_BY_NUMBERS.sub("#", line.strip()) for line in text.splitlines())
    return [" ".join(line.split()) for line in lines]


def test_the_page_is_true(tmp_path: Path) -> None:
    """Blocks in order: files are written, commands given, and every line shown is said."""
    _console_scripts(tmp_path / "bin")
    package = tmp_path / "my_models"
    path = os.pathsep.join([str(package), str(ROOT / "src"), os.environ.get("PYTHONPATH", "")])
    environment = os.environ | {
        "PATH": f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": path,
        "XDG_CACHE_HOME": str(tmp_path / "cache"),
    }
    blocks = BLOCK.findall((ROOT / "docs" / "first_hour.md").read_text())
    shown = 0
    done = None
    for (language, text), (_, following) in zip(blocks, [*blocks[1:], ("", "")], strict=True):
        if found := re.match(r"# file: (\S+)\n", text):
            file = tmp_path / found[1]
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text[found.end() :])
            if language == "toml":
                _installed(text, package)
                (package / "my_models" / "__init__.py").touch()
        elif language == "bash":
            refused = following.startswith("aswa-train: ")
            done = subprocess.run(
                ["bash", "-c" if refused else "-ec", text],
                cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=600,
            )  # fmt: skip
            assert (done.returncode != 0) == refused, done.stdout + done.stderr
        elif language == "text":
            assert done is not None
            if text.startswith("aswa-train: "):
                assert done.stderr == text
            said = _comparable(done.stdout + done.stderr)
            assert [line for line in _comparable(text) if line not in said] == [], done.stdout
            shown += 1
    assert shown == 7
    assert len(list(tmp_path.glob("results/runs/*/*/*/history.csv"))) == 1
